"""Records Ctrl-C, whatever handles it, because an interrupted call, for example into the JVM, may end with another error."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

EXIT_CODE = 130
"""128 plus the number of the signal, as in shells."""

_came = False


@dataclass(frozen=True)
class _Noting:
    """A handler of Ctrl-C that records it, then calls the previous handler."""

    before: Callable[[int, Any], Any]

    def __call__(self, number: int, frame: Any) -> None:
        global _came
        _came = True
        self.before(number, frame)


def watch() -> None:
    """Record every Ctrl-C from now on. Call it again after code that sets another handler, such as a Spark session.

    Only a process's main thread handles signals: elsewhere, and where Ctrl-C is ignored, nothing changes.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is threading.main_thread() and callable(handler) and not isinstance(handler, _Noting):
        signal.signal(signal.SIGINT, _Noting(handler))


@contextmanager
def watched() -> Iterator[None]:
    """Record every Ctrl-C during the block."""
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
