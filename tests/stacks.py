"""What all processes of a test are doing when its time is nearly over: hooks of pytest-timeout for a conftest.

pytest-timeout fails the test with the stacks of this process's own threads. Before that, these hooks ask the processes that
the test started: a JVM prints its threads on SIGQUIT, and Python on SIGABRT, of which it dies (``PYTHONFAULTHANDLER``).
"""

import os
import signal
import stat
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

BEFORE_SECONDS = 15.0
"""So long before the deadline the processes are asked, or after half of a shorter time."""

_ANSWER_SECONDS = 3.0
_TAIL = 20_000

_timers: pytest.StashKey[threading.Timer] = pytest.StashKey()

# For the processes that tests start.
os.environ["PYTHONFAULTHANDLER"] = "1"


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> None:
    """Beside the plugin's own timer: ``None`` lets it go on."""
    if not settings.timeout:
        return
    timer = threading.Timer(max(settings.timeout - BEFORE_SECONDS, settings.timeout / 2), show)
    timer.daemon = True
    item.stash[_timers] = timer
    timer.start()


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> None:
    """At the end of the test."""
    timer = item.stash.get(_timers, None)
    if timer is not None:
        timer.cancel()


def show() -> None:
    """Write what the processes below this one say of themselves to standard error, where pytest captures it."""
    logs: dict[Path, None] = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, OSError):
            print(f"--- {process.pid} {' '.join(process.cmdline())[:300]}", file=sys.stderr)
            logs |= dict.fromkeys(_logs(process.pid))
            if process.name() == "java":
                process.send_signal(signal.SIGQUIT)
            elif process.name().startswith("python"):
                process.send_signal(signal.SIGABRT)
    time.sleep(_ANSWER_SECONDS)
    for log in logs:
        with suppress(OSError):
            print(f"--- {log}\n{log.read_text(errors='replace')[-_TAIL:]}", file=sys.stderr)


def _logs(pid: int) -> list[Path]:
    """The files that a process has for its output."""
    files = [Path(f"/proc/{pid}/fd/{number}").resolve() for number in (1, 2)]
    return [file for file in files if file.exists() and stat.S_ISREG(file.stat().st_mode)]
