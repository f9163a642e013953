"""New lines inside compiled code: what ``Lines.insert`` does in ``document.py``, over the table of lines."""

from typing import NamedTuple

import numpy as np

from prox_spark.execution.line_kernels import (
    BY,
    CALL,
    CHUNK,
    FROM,
    NOW_END,
    NOW_START,
    REMOVED_BY,
    REWRITTEN_BY,
    REWRITTEN_CHUNK,
    REWRITTEN_SCORE,
    START,
    Steps,
    Table,
)
from prox_spark.programs.bytes_kernels import Bytes, Floats, Integers, copy, equal, room
from prox_spark.programs.compiled import inner
from prox_spark.programs.kernels import Calls
from prox_spark.programs.lookup import TARGET, TARGET_END
from prox_spark.programs.operations import MAX_INDEX

_KEY, _CALL, _BY, _CHUNK = range(4)
_NEWLINE = 10


class Inserts(NamedTuple):
    """New lines: a row each, and the confidences of their calls. Their order is that of ``_KEY``, then that of writing."""

    rows: Integers
    scores: Floats


@inner
def new_inserts() -> Inserts:
    """Room for the new lines of the first document that has any."""
    return Inserts(np.empty((16, 4), np.int64), np.empty(16, np.float32))


@inner
def note(inserts: Inserts, n: int, steps: Steps, step: int, index: int) -> Inserts:
    """Write down a new line after ``n`` others."""
    rows, scores = room(inserts.rows, n, 1), room(inserts.scores, n, 1)
    taken = steps.rows[step]
    rows[n, _KEY] = (taken[FROM] + 1) * (MAX_INDEX + 1) + index
    rows[n, _CALL], rows[n, _BY], rows[n, _CHUNK] = taken[CALL], taken[BY], taken[CHUNK]
    scores[n] = steps.scores[step]
    return Inserts(rows, scores)


@inner
def _line(key: int) -> int:
    """The line that a new line is beside."""
    return max(key // (MAX_INDEX + 1) - 1, 0)


@inner
def insert(
    data: Bytes, table: Table, inserts: Inserts, n: int, calls: Calls, rewritten: Bytes, used: int, n_removed: int
) -> tuple[Bytes, int]:
    """Put the new lines where they belong: the rewritten lines, and how many lines are removed now."""
    rows, lines, strings = inserts.rows, table.rows, calls.strings
    order = np.argsort(rows[:n, _KEY], kind="mergesort")
    first = 0
    while first < n:
        line = _line(rows[order[first], _KEY])
        last, needed = first, 0
        while last < n and _line(rows[order[last], _KEY]) == line:
            call = calls.table[rows[order[last], _CALL]]
            needed += call[TARGET_END] - call[TARGET] + 1
            last += 1
        row, start = lines[line], lines[line, START]
        original = lines[line + 1, START] - 1 - start
        own = row[REMOVED_BY] == 0
        changed = row[REWRITTEN_BY] != 0
        own_start, own_length = (row[NOW_START], row[NOW_END] - row[NOW_START]) if changed else (start, original)
        rewritten = room(rewritten, used, needed + own_length + 1)
        begin, at, placed = used, used, not own
        for i in range(first, last):
            key = rows[order[i], _KEY]
            if not placed and key > MAX_INDEX:
                at = copy(rewritten, at, rewritten if changed else data, own_start, own_length)
                rewritten[at] = _NEWLINE
                at, placed = at + 1, True
            # The last of those that have the same place is the one that counts.
            if i + 1 < last and rows[order[i + 1], _KEY] == key:
                continue
            call = calls.table[rows[order[i], _CALL]]
            at = copy(rewritten, at, strings, call[TARGET], call[TARGET_END] - call[TARGET])
            rewritten[at] = _NEWLINE
            at += 1
        if not placed:
            at = copy(rewritten, at, rewritten if changed else data, own_start, own_length)
            at += 1
        used = at - 1
        n_removed -= not own
        row[REMOVED_BY] = 0
        row[NOW_START], row[NOW_END] = begin, used
        newest = order[last - 1]
        row[REWRITTEN_BY], row[REWRITTEN_CHUNK] = rows[newest, _BY], rows[newest, _CHUNK]
        table.scores[line, REWRITTEN_SCORE] = inserts.scores[newest]
        if used - begin == original and equal(rewritten, begin, data, start, original):
            row[REWRITTEN_BY] = 0
        first = last
    return rewritten, n_removed
