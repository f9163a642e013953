"""Unique identities of processes: process ids and host names alone are reused, also on other machines."""

import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

_FIELDS = 6
_UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class Owner:
    """A process of this machine, identified also by its start in clock ticks since boot (``started``)."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether this process, and not a later one with its id, still runs."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """When process ``pid`` started, in clock ticks since boot; ``None`` if there is none or it is a zombie."""
    fields = stat_fields(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def stat_fields(pid: int) -> list[str] | None:
    """``/proc/PID/stat`` after the command: state, parent, group, session, …; ``None`` without such a process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command is in parentheses and can contain any character, also parentheses.
    return text[text.rindex(")") + 2 :].split()


def myself() -> str:
    """This process as host:boot:namespace:pid:start:nonce; the nonce distinguishes two sessions of one process.

    ``boot`` is the id of the machine's boot, ``namespace`` that of the process ids (each container has its own), ``start``
    counts ticks since boot (seconds since 1970 where there is no ``/proc``).
    """
    fields = (socket.gethostname(), _boot(), _namespace(), str(os.getpid()), str(_started(os.getpid())))
    return ":".join([*fields, uuid.uuid4().hex[:8]])


def alive(holder: str) -> bool:
    """Whether a process named by ``myself`` may still be alive: False only if it ran here and has certainly ended.

    Here: in the same boot of the same machine, with the same process ids. For others, only the expiry of their lease decides.
    """
    fields = holder.rsplit(":", _FIELDS - 1)
    if len(fields) != _FIELDS:
        # Written by a package before 0.3, which did not record the boot.
        return True
    _, boot, namespace, pid, started, _ = fields
    if (boot, namespace) != (_boot(), _namespace()) or not pid.isdigit():
        return True
    return str(_started(int(pid))) == started


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        import psutil

        return f"{socket.gethostname()} {psutil.boot_time():.0f}"


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink()).removeprefix("pid:")
    except OSError:
        return _UNKNOWN


def _started(pid: int) -> int | None:
    if Path("/proc/self/stat").exists():
        return start_time(pid)
    import psutil

    try:
        return int(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
