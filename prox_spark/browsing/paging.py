"""Pages of rows in the order of unit and id, however many there are.

A page begins after the last row of the previous one (keyset paging), and reads units from there until it is full. The first
query reads one unit, each further one twice as many: frequent rows need little reading, and rare rows few queries.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prox_spark.errors import UsageError

SIZE = 50
"""Rows of a page."""

_SECONDS = 10.0
"""After this time a page shows the rows found so far and the units read; the next page continues there."""


@dataclass(frozen=True)
class Place:
    """The start of a page: after this row, or, without an id, at the unit's first row."""

    unit: int = 0
    doc_id: str | None = None
    line: int = -1

    def __str__(self) -> str:
        """The place as written in a URL.

        >>> str(Place(3)), str(Place(3, "a.b", 7))
        ('3', '3.7.a.b')
        """
        return str(self.unit) if self.doc_id is None else f"{self.unit}.{self.line}.{self.doc_id}"


START = Place()


def place(text: str) -> Place:
    """The place that a URL names. Raises ``UsageError`` for any other text.

    >>> place("3.7.a.b")
    Place(unit=3, doc_id='a.b', line=7)
    """
    unit, dot, rest = text.partition(".")
    line, second, doc_id = rest.partition(".")
    try:
        if not text:
            return START
        return Place(int(unit), doc_id, int(line)) if dot and second else Place(int(text))
    except ValueError:
        raise UsageError(f"{text!r} is not the place of a row; go back to the first page") from None


@dataclass(frozen=True)
class Page:
    """Rows, the start of the next page (None at the end), and the units that were read: from ``first`` to before ``end``."""

    rows: tuple[Any, ...]
    next: Place | None
    first: int
    end: int


Find = Callable[[int, int, int], list[Any]]
"""Takes first unit, last unit (both included) and a limit; returns at most that many rows after the page's place, in order."""


def read_page(
    find: Find,
    start: Place,
    last_unit: int,
    *,
    of: Callable[[Any], Place],
    width: int = 1,
    size: int = SIZE,
    clock: Callable[[], float] = time.monotonic,
) -> Page:
    """The page that begins at ``start``. ``of`` gives a row's place, ``width`` is the number of units of the first query."""
    began, unit, found = clock(), start.unit, list[Any]()
    while unit <= last_unit and len(found) <= size:
        end = min(unit + width - 1, last_unit)
        found += find(unit, end, size + 1 - len(found))
        unit, width = end + 1, width * 2
        if clock() - began > _SECONDS:
            break
    if len(found) > size:
        following: Place | None = of(found[size - 1])
    else:
        following = Place(unit) if unit <= last_unit else None
    return Page(tuple(found[:size]), following, start.unit, unit)
