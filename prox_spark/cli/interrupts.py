"""Ctrl-C: it is noted whoever handles it, because what it interrupts may end with another error, as a call into the JVM does."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

EXIT_CODE = 130
"""128 and the number of the signal, as shells have it."""

_came = False


@dataclass(frozen=True)
class _Noting:
    """A handler of Ctrl-C that notes it, then does what the one before it does."""

    before: Callable[[int, Any], Any]

    def __call__(self, number: int, frame: Any) -> None:
        global _came
        _came = True
        self.before(number, frame)


def watch() -> None:
    """Note every Ctrl-C from now on; again after what sets a handler of its own, such as a Spark session.

    Only a process's main thread handles signals: elsewhere, and where Ctrl-C is ignored, nothing changes.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is threading.main_thread() and callable(handler) and not isinstance(handler, _Noting):
        signal.signal(signal.SIGINT, _Noting(handler))


@contextmanager
def watched() -> Iterator[None]:
    """Note every Ctrl-C for the length of a block."""
    global _came
    _came = False
    watch()
    try:
        yield
    finally:
        handler = signal.getsignal(signal.SIGINT)
        if isinstance(handler, _Noting):
            signal.signal(signal.SIGINT, handler.before)


def interrupted() -> bool:
    """Whether Ctrl-C came in the block of ``watched``."""
    return _came
