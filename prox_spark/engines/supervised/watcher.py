"""The watcher: a tiny process that outlives an engine just long enough to end all of it.

It waits on the owner and on the supervisor. When either goes, also by SIGKILL, it kills the supervisor's whole process
group and session (vLLM's own children survive their parent) and removes what they leave in ``/dev/shm``. It holds the
engine's lock until then, so that a fresh engine starts only when the old one's memory is free.

usage: python -m prox_spark.engines.supervised.watcher BASE SLOT OWNER_PID OWNER_STARTED SUPERVISOR_PID GROUP
"""

import os
import select
import signal
import sys
import time
from pathlib import Path

from prox_spark.engines.supervised.place import Place
from prox_spark.processes import Owner, stat_fields

_SCAN_SECONDS = 5.0
_KILL_SECONDS = 30.0
_SHARED_MEMORY = Path("/dev/shm")
_OURS = ("psm_", "sem.mp-", "torch_", "nccl-")


def main(arguments: list[str]) -> None:
    """Wait until the owner or the supervisor exits, then clean up."""
    base, slot, owner_pid, owner_started, supervisor, group = arguments
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    where = Place(Owner(int(owner_pid), int(owner_started)), slot, Path(base))
    leader = int(group)
    if leader <= 1:
        # No group of its own: what would be killed is the container's.
        sys.exit(f"the engine runs in process group {leader}, which it does not own")
    shared = _wait(where.owner, int(supervisor), leader)
    shared |= _mapped(leader)
    _kill(leader)
    where.socket.unlink(missing_ok=True)
    for file in shared:
        file.unlink(missing_ok=True)
    # Another owner's task may be opening the files of a shared place.
    if not where.owner.alive() and not where.is_shared:
        where.log.unlink(missing_ok=True)
        where.lock.unlink(missing_ok=True)


def _wait(owner: Owner, supervisor: int, leader: int) -> set[Path]:
    """Wait for either process's end; returns the shared memory files that the group was seen to use."""
    shared = _mapped(leader)
    try:
        watched = [os.pidfd_open(owner.pid), os.pidfd_open(supervisor)]
    except ProcessLookupError:
        return shared
    while owner.alive():
        ended, _, _ = select.select(watched, [], [], _SCAN_SECONDS)
        shared |= _mapped(leader)
        if ended:
            break
    return shared


def _members(leader: int) -> list[int]:
    """Living processes of the group or session that ``leader`` started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = stat_fields(int(entry.name))
            if fields and fields[0] not in "ZX" and str(leader) in (fields[2], fields[3]):
                found.append(int(entry.name))
    return found


def _mapped(leader: int) -> set[Path]:
    """Files of ``/dev/shm`` that processes of the group have mapped and made: theirs by their random names.

    Only names that multiprocessing, torch and NCCL give: a model's weights may lie in ``/dev/shm`` too. Matched by
    inode, as a semaphore is mapped under a name it had before its last.
    """
    inodes = set()
    for pid in _members(leader):
        try:
            with Path(f"/proc/{pid}/maps").open(encoding="utf-8", errors="replace") as maps:
                inodes |= {int(line.split(maxsplit=5)[4]) for line in maps if str(_SHARED_MEMORY) in line}
        except OSError:
            continue
    if not inodes:
        return set()
    return {file for file in _SHARED_MEMORY.iterdir() if file.name.startswith(_OURS) and _inode(file) in inodes}


def _inode(file: Path) -> int | None:
    try:
        return file.lstat().st_ino
    except OSError:
        return None


def _kill(leader: int) -> None:
    """SIGKILL all members until none is left, for at most ``_KILL_SECONDS``."""
    deadline = time.monotonic() + _KILL_SECONDS
    while time.monotonic() < deadline:
        members = _members(leader)
        if not members:
            return
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1:])
