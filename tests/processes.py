"""Processes that tests start, look for and end; what an engine leaves behind is found here."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from prox_spark.processes import Owner, start_time, stat_fields

COMMAND = Path(sys.executable).parent / "prox-spark"

ENGINE = "prox_spark.engines.supervised.supervisor"


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Return as soon as ``condition`` holds; fails where it does not within a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def members(group: int) -> list[int]:
    """Living processes of a group."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [p for p in pids if (f := stat_fields(p)) and f[0] not in "ZX" and f[2] == str(group)]


def processes_about(*words: str) -> list[psutil.Process]:
    """Living processes whose command line holds every one of ``words``."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if process.info["status"] != psutil.STATUS_ZOMBIE and all(word in line for word in words):
            found.append(process)
    return found


def python_workers(jvm: psutil.Process) -> list[psutil.Process]:
    """The Python workers of a JVM's tasks, without the daemons that start and end them."""
    found = []
    for daemon in jvm.children():
        with suppress(psutil.Error):
            if "pyspark.daemon" in daemon.cmdline():
                found += daemon.children()
    return found


def engines() -> dict[int, Owner]:
    """Every engine's supervisor and whose it is."""
    found = {}
    for process in processes_about(ENGINE):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if ENGINE in words:
            pid, started = words[words.index(ENGINE) + 3 :][:2]
            found[process.pid] = Owner(int(pid), int(started))
    return found


def engines_of(*owners: int) -> dict[int, int]:
    """Owner and supervisor of the engines that belong to one of these processes."""
    return {owner.pid: pid for pid, owner in engines().items() if owner.pid in owners}


def orphans() -> list[int]:
    """Supervisors that outlive their owner."""
    return [pid for pid, owner in engines().items() if not owner.alive()]


@contextmanager
def started(
    command: list[str], log: Path, environment: dict[str, str] | None = None, timeout: float = 60.0
) -> Iterator[psutil.Process]:
    """A process in a session of its own; it and all that it started are killed at the end."""
    with log.open("w") as out:
        # No terminal behind its standard input: the process must not read this one's.
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=environment
        )
    try:
        yield psutil.Process(child.pid)
    finally:
        kill(child, timeout)


def kill(child: subprocess.Popen[bytes], timeout: float = 60.0) -> None:
    """SIGKILL for a process, its JVM and Python workers at once, as when a machine is lost."""
    try:
        family = psutil.Process(child.pid).children(recursive=True)
        os.killpg(child.pid, signal.SIGKILL)
    except (psutil.NoSuchProcess, ProcessLookupError):
        family = []
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    child.wait(timeout=timeout)
    _, alive = psutil.wait_procs(family, timeout=timeout)
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def ended(pid: int) -> bool:
    """Whether this process is gone."""
    return start_time(pid) is None
