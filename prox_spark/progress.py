"""Progress of work that is committed step by step: a bar on a terminal, otherwise lines in the log.

The log gets a line at each commit, and one after a minute without a line: amount done, rate, time left.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

_log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
"""After this time without a commit, a line reports the progress."""


class Progress:
    """A bar, or lines in the log, with amount, rate and time left, during the block.

    Call ``expect`` before a step and ``advance`` after its commit. ``running`` returns the finished share (0 to 1) of the current
    step's Spark tasks, ``None`` if unknown; ``fields`` go into every line for log collectors.
    Used by several threads at once. ``clock`` gives seconds.
    """

    def __init__(
        self,
        name: str,
        total: int,
        unit: str,
        *,
        running: Callable[[], float | None] | None = None,
        fields: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._total, self._unit = name, total, unit
        self._running = running or (lambda: None)
        self._fields = dict(fields or {})
        self._clock = clock
        self._started = self._logged = clock()
        self._amount = self._expected = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._on_terminal = sys.stderr.isatty()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=Console(stderr=True), disable=not self._on_terminal, transient=True)
        self._task = self._bar.add_task(name, total=total, rate="")
        self._watch = threading.Thread(target=self._tick, name=f"progress {name}", daemon=True)

    def __enter__(self) -> "Progress":
        self._bar.start()
        if not self._on_terminal:
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._bar.stop()

    def expect(self, amount: int) -> None:
        """Announce the start of work on ``amount`` more."""
        with self._lock:
            self._expected += amount

    def advance(self, amount: int, note: str = "", **fields: Any) -> None:
        """Add ``amount`` committed items. ``note`` follows the rate; ``fields`` are for log collectors (table, version, rows)."""
        with self._lock:
            self._amount += amount
            self._expected = max(0, self._expected - amount)
            rate = self._amount / max(self._clock() - self._started, 1e-9)
            self._bar.update(self._task, advance=amount, rate=f"{rate:,.0f} {self._unit}/s {note}".rstrip())
            if not self._on_terminal:
                self._tell(self._amount, note, fields)

    def look(self) -> None:
        """Log the progress, unless a line was logged within the last minute."""
        if self._clock() - self._logged < EVERY_SECONDS:
            return
        # Called outside the lock, because Spark's answer may take a while.
        share = self._running() if self._expected else None
        with self._lock:
            # A task that ran twice (speculation, a lost executor) counts twice.
            share = None if share is None else min(share, 1.0)
            note, reached = "no commit yet" if not self._amount else "", float(self._amount)
            if share is not None:
                reached += share * self._expected
                working = f"{share:.0%} of the running Spark tasks done"
                note = f"{note}, {working}" if note else working
            self._tell(reached, note, {})

    def _tick(self) -> None:
        while not self._over.wait(max(EVERY_SECONDS - (self._clock() - self._logged), 1.0)):
            self.look()

    def _tell(self, reached: float, note: str, fields: Mapping[str, Any]) -> None:
        self._logged = self._clock()
        rate = reached / max(self._logged - self._started, 1e-9)
        left = max(self._total - reached, 0) / rate if reached else None
        done = f"{quantity(self._amount, self._unit).removesuffix(f' {self._unit}')} of {quantity(self._total, self._unit)}"
        words = [f"{done} ({reached / self._total:.0%})" if self._total else done]
        if reached:
            words.append(rate_in_words(rate, self._unit))
        if note:
            words.append(note)
        if self._amount < self._total:
            words.append("time left unknown" if left is None else f"{duration(left)} left")
        extra = {"done": self._amount, "total": self._total, "unit": self._unit, "rate": round(rate, 3)}
        extra["seconds_left"] = None if left is None else round(left, 1)
        _log.info("%s: %s", self._name, ", ".join(words), extra={**self._fields, **extra, **fields})


def quantity(amount: float, unit: str) -> str:
    """An amount with its unit.

    >>> quantity(1200, "documents"), quantity(2_500_000, "bytes")
    ('1,200 documents', '2.5 MB')
    """
    if unit != "bytes":
        return f"{amount:,.0f} {unit}"
    for size, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if amount >= size:
            return f"{amount / size:,.1f} {name}"
    return f"{amount:,.0f} bytes"


def rate_in_words(rate: float, unit: str) -> str:
    """A rate of ``unit`` per second; a slow one per minute or hour.

    >>> rate_in_words(32.4, "documents"), rate_in_words(0.05, "tables")
    ('32 documents/s', '3 tables/min')
    """
    for seconds, name in ((1, "s"), (60, "min")):
        if rate * seconds >= 1:
            return f"{quantity(rate * seconds, unit)}/{name}"
    return f"{quantity(rate * 3600, unit)}/h"


def duration(seconds: float) -> str:
    """Seconds in readable form.

    >>> duration(7.2), duration(200), duration(9000)
    ('7 s', '3 min 20 s', '2 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
