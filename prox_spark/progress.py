"""Progress for people: a line on a terminal's standard error, nothing where nobody looks."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """A bar with amount, rate and time left for the length of a block; ``advance`` after each commit."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        self._started = time.monotonic()
        self._amount = 0
        self._unit = unit
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
        self._task = self._bar.add_task(name, total=total, rate="")

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, amount: int, note: str = "") -> None:
        """So much more is committed; ``note`` stands behind the rate."""
        self._amount += amount
        rate = self._amount / max(time.monotonic() - self._started, 1e-9)
        self._bar.update(self._task, advance=amount, rate=f"{rate:,.0f} {self._unit}/s {note}".rstrip())
