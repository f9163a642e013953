"""Joined and new lines inside compiled code: what ``Lines.join`` and ``Lines.insert`` do in ``document.py``, over the table of
lines."""

from typing import NamedTuple

import numpy as np

from prox_spark.execution.line_kernels import (
    BY,
    CALL,
    CHUNK,
    FROM,
    JOINED_BY,
    JOINED_CHUNK,
    JOINED_SCORE,
    NOW_END,
    NOW_START,
    REMOVED_BY,
    REWRITTEN_BY,
    REWRITTEN_CHUNK,
    REWRITTEN_SCORE,
    START,
    Steps,
    Table,
    next_alive,
    remove,
)
from prox_spark.programs.bytes_kernels import Bytes, Floats, Integers, copy, equal, room
from prox_spark.programs.compiled import inner
from prox_spark.programs.kernels import Calls
from prox_spark.programs.lookup import TARGET, TARGET_END
from prox_spark.programs.operations import MAX_INDEX

_KEY, _CALL, _BY, _CHUNK = range(4)
_NEWLINE = 10


class Inserts(NamedTuple):
    """New lines: one row each, and the confidences of their calls. They are sorted by ``_KEY``, then by order of writing."""

    rows: Integers
    scores: Floats


@inner
def new_inserts() -> Inserts:
    """Room for the new lines of the first document that has any."""
    return Inserts(np.empty((16, 4), np.int64), np.empty(16, np.float32))


@inner
def note(inserts: Inserts, n: int, steps: Steps, step: int, index: int) -> Inserts:
    """Add a new line after ``n`` others."""
    rows, scores = room(inserts.rows, n, 1), room(inserts.scores, n, 1)
    taken = steps.rows[step]
    rows[n, _KEY] = (taken[FROM] + 1) * (MAX_INDEX + 1) + index
    rows[n, _CALL], rows[n, _BY], rows[n, _CHUNK] = taken[CALL], taken[BY], taken[CHUNK]
    scores[n] = steps.scores[step]
    return Inserts(rows, scores)


@inner
def _own(data: Bytes, table: Table, line: int, rewritten: Bytes, used: int) -> tuple[Bytes, int]:
    """Write a line's text as it is now after ``used`` bytes of ``rewritten``."""
    row = table.rows[line]
    if row[REWRITTEN_BY] != 0:
        length = row[NOW_END] - row[NOW_START]
        rewritten = room(rewritten, used, length)
        return rewritten, copy(rewritten, used, rewritten, row[NOW_START], length)
    length = table.rows[line + 1, START] - 1 - row[START]
    rewritten = room(rewritten, used, length)
    return rewritten, copy(rewritten, used, data, row[START], length)


@inner
def _rewrite(data: Bytes, table: Table, line: int, rewritten: Bytes, begin: int, end: int) -> None:
    """Store a line's new text; one that is again what it was is not rewritten."""
    row = table.rows[line]
    length = table.rows[line + 1, START] - 1 - row[START]
    row[NOW_START], row[NOW_END] = begin, end
    if end - begin == length and equal(rewritten, begin, data, row[START], length):
        row[REWRITTEN_BY] = 0


@inner
def join(
    data: Bytes, table: Table, n_lines: int, inserts: Inserts, n: int, rewritten: Bytes, used: int
) -> tuple[Bytes, int, int]:
    """Give each line without its end the text of the next one: the rewritten lines, bytes used, and lines removed by it."""
    rows, scores = table.rows, table.scores
    keys = np.sort(inserts.rows[:n, _KEY])
    n_joined = 0
    for line in range(n_lines):
        if rows[line, JOINED_BY] == 0 or rows[line, REMOVED_BY] != 0:
            continue
        begin, last = used, line
        while rows[last, JOINED_BY] != 0:
            following = next_alive(rows, last + 1)
            if following == n_lines:
                break
            low, high = (last + 1) * (MAX_INDEX + 1), (following + 1) * (MAX_INDEX + 1)
            if np.searchsorted(keys, low) < np.searchsorted(keys, high):
                break
            by, chunk, score = rows[last, JOINED_BY], rows[last, JOINED_CHUNK], scores[last, JOINED_SCORE]
            if last == line:
                rewritten, used = _own(data, table, line, rewritten, used)
            rewritten, used = _own(data, table, following, rewritten, used)
            n_joined += remove(table, following, following, by, chunk, score)
            rows[line, REWRITTEN_BY], rows[line, REWRITTEN_CHUNK] = by, chunk
            scores[line, REWRITTEN_SCORE] = score
            last = following
        if last != line:
            _rewrite(data, table, line, rewritten, begin, used)
    return rewritten, used, n_joined


@inner
def _hosts(table: Table, n_lines: int, rows: Integers, order: Integers, semantics: int) -> Integers:
    """The line that each new line is logged with: the last one left above it, or the first that is left.

    In version 2 of the rules, the line before it, removed or not.
    """
    hosts = np.empty(order.shape[0], np.int64)
    top = next_alive(table.rows, 0)
    left = top < n_lines
    host, line = top if left else 0, 0
    for i in range(order.shape[0]):
        after = rows[order[i], _KEY] // (MAX_INDEX + 1) - 1
        if semantics < 3:
            hosts[i] = max(after, 0)
            continue
        while left and line <= after:
            if table.rows[line, REMOVED_BY] == 0:
                host = line
            line += 1
        hosts[i] = host
    return hosts


@inner
def insert(
    data: Bytes,
    table: Table,
    n_lines: int,
    inserts: Inserts,
    n: int,
    calls: Calls,
    semantics: int,
    rewritten: Bytes,
    used: int,
    n_removed: int,
) -> tuple[Bytes, int]:
    """Put the new lines where they belong: the rewritten lines, and how many lines are removed now."""
    rows, strings = inserts.rows, calls.strings
    order = np.argsort(rows[:n, _KEY], kind="mergesort")
    hosts = _hosts(table, n_lines, rows, order, semantics)
    first = 0
    while first < n:
        host, last = hosts[first], first
        while last < n and hosts[last] == host:
            last += 1
        row = table.rows[host]
        begin, placed = used, row[REMOVED_BY] != 0
        for i in range(first, last):
            key = rows[order[i], _KEY]
            if not placed and key // (MAX_INDEX + 1) - 1 >= host:
                rewritten, used = _own(data, table, host, rewritten, used)
                rewritten, placed = room(rewritten, used, 1), True
                rewritten[used] = _NEWLINE
                used += 1
            # The last of those that have the same place is the one that counts.
            if i + 1 < last and rows[order[i + 1], _KEY] == key:
                continue
            call = calls.table[rows[order[i], _CALL]]
            length = call[TARGET_END] - call[TARGET]
            rewritten = room(rewritten, used, length + 1)
            used = copy(rewritten, used, strings, call[TARGET], length)
            rewritten[used] = _NEWLINE
            used += 1
        if placed:
            used -= 1
        else:
            rewritten, used = _own(data, table, host, rewritten, used)
        n_removed -= row[REMOVED_BY] != 0
        newest = order[last - 1]
        row[REMOVED_BY] = 0
        row[REWRITTEN_BY], row[REWRITTEN_CHUNK] = rows[newest, _BY], rows[newest, _CHUNK]
        table.scores[host, REWRITTEN_SCORE] = inserts.scores[newest]
        _rewrite(data, table, host, rewritten, begin, used)
        first = last
    return rewritten, n_removed
