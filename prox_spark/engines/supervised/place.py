"""Ownership and location of an engine: owner process, private folder, lock, start.

An engine belongs to its *owner*: the executor's JVM, which outlives Spark's Python workers, or without one the current
process. On a GPU whose UUID is known there is one engine for all processes of the user on this host, whatever their JVM: its
owner is the one that started it, and the others start a new one when that goes. Its files are in a folder that only the user
can enter, under short names (a Unix socket's path has 107 bytes):

- ``KEY.lock`` is held (flock) by the supervisor and its watcher as long as anything of that engine lives, and names the owner,
- ``KEY.sock`` is where it listens,
- ``KEY.log`` has its own words and those of the engine.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from prox_spark.engines.supervised.caches import private_caches
from prox_spark.engines.supervised.devices import identity
from prox_spark.engines.supervised.engine_log import last_words
from prox_spark.errors import EngineError
from prox_spark.processes import Owner, start_time, stat_fields

_MAX_SOCKET_PATH = 100
_SHARED = "gpu-"
_SUPERVISOR = "prox_spark.engines.supervised.supervisor"
LOG_BYTES = 32 << 20
"""An engine's log that is longer loses its beginning."""

_LOG_KEPT = 4 << 20


def find_owner() -> Owner:
    """The nearest ancestor of this process that is a JVM, else this process."""
    import psutil

    try:
        owner = next((p.pid for p in psutil.Process().parents() if p.name() == "java"), os.getpid())
    except psutil.Error:
        owner = os.getpid()
    started = start_time(owner)
    if started is None:
        raise EngineError(f"process {owner} does not exist or /proc cannot be read; engines need Linux")
    return Owner(owner, started)


def private_folder() -> Path:
    """This user's folder for sockets, locks and logs, made where it is missing.

    Raises ``EngineError`` if it is not a folder, or others can enter it.
    """
    name = f"prox-{os.getuid()}"
    folder = Path(tempfile.gettempdir()) / name
    if len(os.fsencode(folder)) > _MAX_SOCKET_PATH - 40:
        folder = Path("/tmp") / name
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise EngineError(f"{folder} must belong to this user with mode 0700; move it away")
    return folder


@dataclass(frozen=True, slots=True)
class Place:
    """The files of an engine on one slot (a GPU's address, or ``cpu``): of one owner's, or of all that share a GPU."""

    owner: Owner
    slot: str
    base: Path

    @property
    def is_shared(self) -> bool:
        """Whether other owners' tasks use the same files: then they stay when the owner goes."""
        return self.base.name.startswith(_SHARED)

    @property
    def lock(self) -> Path:
        """Held while anything of the engine lives."""
        return self.base.with_name(self.base.name + ".lock")

    @property
    def socket(self) -> Path:
        """Where the supervisor listens."""
        return self.base.with_name(self.base.name + ".sock")

    @property
    def log(self) -> Path:
        """What supervisor and engine said, of the last start only."""
        return self.base.with_name(self.base.name + ".log")


def place(owner: Owner, slot: str) -> Place:
    """Where the engine for ``slot`` is found: that of the GPU on this host, where it has a name, else ``owner``'s."""
    shared = identity(slot)
    if shared is not None:
        return Place(owner, slot, private_folder() / f"{_SHARED}{shared}")
    short = slot if re.fullmatch(r"[0-9a-z]{1,8}", slot) else hashlib.sha256(slot.encode()).hexdigest()[:8]
    return Place(owner, slot, private_folder() / f"{owner.pid}-{owner.started}-{short}")


def connect(where: Place) -> socket.socket | None:
    """A connection to the supervisor at ``where``, or ``None`` where none listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10.0)
    try:
        connection.connect(str(where.socket))
    except OSError:
        connection.close()
        return None
    return connection


def try_lock(where: Place) -> int | None:
    """The lock's file descriptor, or ``None`` where a supervisor or its watcher holds it."""
    lock = os.open(where.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def start_supervisor(where: Place, lock: int, environment: dict[str, str], idle_seconds: float) -> None:
    """Start a supervisor at ``where`` in a session of its own; it takes over ``lock``, which this process lets go of.

    Raises ``EngineError`` where not even the process starts.
    """
    command = [sys.executable, "-m", _SUPERVISOR, str(where.base), where.slot]
    command += [str(where.owner.pid), str(where.owner.started), str(lock), str(idle_seconds)]
    # Spark adds a job's Python files to sys.path, which a child does not inherit.
    environment = {**environment, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    try:
        environment |= private_caches(environment, where.base.parent / "caches")
        os.truncate(lock, 0)
        os.pwrite(lock, f"{where.owner.pid} {where.owner.started}".encode(), 0)
        _sweep(where.base.parent)
        where.socket.unlink(missing_ok=True)
        where.log.unlink(missing_ok=True)
        # Appending: what is written after `bound_log` comes after what that kept.
        with where.log.open("ab") as log:
            launcher = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=(lock,),
                start_new_session=True,
                timeout=60,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"the engine's supervisor cannot start: {error}") from error
    finally:
        os.close(lock)
    if launcher.returncode != 0:
        raise EngineError(f"the engine's supervisor cannot start:\n{last_words(where.log)}")


def _sweep(folder: Path) -> None:
    """Remove what engines left whose owner went after them: nobody is there to ask for their log."""
    for lock in folder.glob("*-*-*.lock"):
        pid, started, slot = lock.stem.split("-", 2)
        gone = Place(Owner(int(pid), int(started)), slot, lock.with_suffix(""))
        if gone.owner.alive():
            continue
        # An owner in another process namespace is not seen, but its engine's lock is.
        held = try_lock(gone)
        if held is not None:
            for file in (gone.socket, gone.log, gone.lock):
                file.unlink(missing_ok=True)
            os.close(held)


def is_supervisor(pid: int) -> bool:
    """Whether this process is one of this package's supervisors: numbers of processes are used again."""
    try:
        return _SUPERVISOR.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def is_at_work(pid: int) -> bool:
    """Whether this supervisor runs or waits for a disk: it is neither stopped nor gone."""
    fields = stat_fields(pid)
    return fields is not None and fields[0] not in "TtZX" and is_supervisor(pid)


def owner_of(where: Place) -> Owner | None:
    """The process that the running engine belongs to, as its starter wrote it; ``None`` where nobody did."""
    try:
        pid, started = where.lock.read_text(encoding="ascii").split()
        return Owner(int(pid), int(started))
    except (OSError, ValueError):
        return None


def bound_log(where: Place) -> None:
    """Keep the end of a log that has become too long; what is said in that moment may be lost."""
    with contextlib.suppress(FileNotFoundError), where.log.open("r+b") as log:
        size = log.seek(0, os.SEEK_END)
        if size > LOG_BYTES:
            log.seek(size - _LOG_KEPT)
            kept = log.read()
            log.truncate(0)
            log.seek(0)
            log.write(b"(the beginning was cut off)\n" + kept)
