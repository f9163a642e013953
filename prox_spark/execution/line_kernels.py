"""The lines of a document in compiled code, for both modes; ``document.py`` does the same in Python.

A document's lines are rows of a table, which the next document reuses and which never shrinks. Line ``i`` is
``data[START[i]:START[i + 1] - 1]``. Functions that may have to enlarge a group's arrays return a new group.
"""

from typing import NamedTuple

import numpy as np

from prox_spark.execution.groups import LogColumns
from prox_spark.execution.words import SPACELESS_RANGES
from prox_spark.programs.bytes_kernels import Bytes, Floats, Integers, copy, equal, find, find_byte, is_ascii, room
from prox_spark.programs.compiled import inner

(
    START, ALIVE, REMOVED_BY, REMOVED_CHUNK, REWRITTEN_BY, REWRITTEN_CHUNK, NOW_START, NOW_END, JOINED_BY, JOINED_CHUNK,
) = range(10)  # fmt: skip
"""Columns of the table of lines. ``ALIVE`` leads to the next line that is not removed; ``REMOVED_BY``, ``REWRITTEN_BY`` and
``JOINED_BY`` (the line's end was removed) are codes of operations, 0 for none; a rewritten line is
``rewritten[NOW_START:NOW_END]``."""
REMOVED_SCORE, REWRITTEN_SCORE, JOINED_SCORE = range(3)
BY, FROM, TO, CALL, CHUNK = range(5)
"""Columns of the table of steps, the calls that are applied: operation, lines, call, chunk. Row 0 is not used."""


class Table(NamedTuple):
    """The lines of a document: a row each, and the scores behind its removal, its last edit and the removal of its end."""

    rows: Integers
    scores: Floats


class Steps(NamedTuple):
    """The calls that are applied: a row each, and their confidences."""

    rows: Integers
    scores: Floats


class Open(NamedTuple):
    """The current text of a range's surviving lines, concatenated, so that an edit processes all of them at once.

    Row k of ``rows`` is a line's number, its start in ``working``, and the step that changed it last (0 for none); the row
    after the last one has the start that a further line would have. The next edit writes to ``other``; ``hits`` are the
    positions of the strings that it replaces.
    """

    rows: Integers
    working: Bytes
    other: Bytes
    hits: Integers


_NEWLINE = 10
_LONG = 1 << 20
"""In documents of at least this many bytes, lines are counted first: a table that doubles while filling takes twice the memory.
"""
_LOW = np.array([low for low, _ in SPACELESS_RANGES], np.int64)
_HIGH = np.array([high for _, high in SPACELESS_RANGES], np.int64)


@inner
def new_table() -> Table:
    """A table for the lines of the first document."""
    return Table(np.empty((1024, 10), np.int64), np.empty((1024, 3), np.float32))


@inner
def new_steps() -> Steps:
    """Steps for the first program."""
    return Steps(np.empty((64, 5), np.int64), np.empty(64, np.float32))


@inner
def new_open() -> Open:
    """Room for the open lines of the first program that edits."""
    return Open(
        np.empty((1024, 3), np.int64), np.empty(65536, np.uint8), np.empty(65536, np.uint8), np.empty(64, np.int64)
    )


@inner
def count_lines(data: Bytes, start: int, end: int) -> int:
    """Lines of a document."""
    count = 1
    for i in range(np.uint64(start), np.uint64(end)):
        count += data[i] == _NEWLINE
    return count


@inner
def split_lines(data: Bytes, start: int, end: int, table: Table) -> tuple[int, Table]:
    """Fill the table with the lines of a document; returns their number, and the table."""
    n, position, rows = 0, start, table.rows
    if end - start > _LONG:
        rows = room(rows, 0, count_lines(data, start, end) + 1)
    while position <= end:
        if n + 2 > rows.shape[0]:
            rows = room(rows, n, 2)
        rows[n, START], rows[n, ALIVE], rows[n, REMOVED_BY], rows[n, REWRITTEN_BY] = position, n, 0, 0
        rows[n, JOINED_BY] = 0
        n += 1
        position = find_byte(data, position, end, _NEWLINE) + 1
    rows[n, START], rows[n, ALIVE] = end + 1, n
    return n, Table(rows, room(table.scores, 0, rows.shape[0]))


@inner
def next_alive(rows: Integers, line: int) -> int:
    """The first line from here on that is not removed."""
    while rows[line, ALIVE] != line:
        rows[line, ALIVE] = rows[rows[line, ALIVE], ALIVE]
        line = rows[line, ALIVE]
    return line


@inner
def remove(table: Table, start: int, end: int, operation: int, chunk: int, score: float) -> int:
    """Remove the lines of a range that are not removed yet; returns their number."""
    n, rows, scores = 0, table.rows, table.scores
    line = next_alive(rows, start) if start <= end else start
    while line <= end:
        rows[line, ALIVE], rows[line, REMOVED_BY], rows[line, REMOVED_CHUNK] = line + 1, operation, chunk
        scores[line, REMOVED_SCORE] = score
        n += 1
        line = next_alive(rows, line + 1)
    return n


@inner
def open_lines(data: Bytes, table: Table, start: int, end: int, rewritten: Bytes, opened: Open) -> tuple[int, Open]:
    """Open the surviving lines of a range; returns their number, and the lines."""
    rows, lines, working = table.rows, opened.rows, opened.working
    n, at, needed = 0, 0, 0
    for line in range(start, end + 1):
        if rows[line, REMOVED_BY] == 0 and rows[line, REWRITTEN_BY] != 0:
            needed += rows[line, NOW_END] - rows[line, NOW_START] + 1
        else:
            needed += rows[line + 1, START] - rows[line, START]
    lines, working = room(lines, 0, max(end - start, 0) + 2), room(working, 0, needed)
    for line in range(start, end + 1):
        if rows[line, REMOVED_BY] != 0:
            continue
        lines[n, 0], lines[n, 1], lines[n, 2] = line, at, 0
        n += 1
        if rows[line, REWRITTEN_BY] != 0:
            at = copy(working, at, rewritten, rows[line, NOW_START], rows[line, NOW_END] - rows[line, NOW_START])
        else:
            at = copy(working, at, data, rows[line, START], rows[line + 1, START] - 1 - rows[line, START])
        working[at] = _NEWLINE
        at += 1
    lines[n, 0], lines[n, 1], lines[n, 2] = -1, at, 0
    return n, Open(lines, working, opened.other, opened.hits)


@inner
def find_all(
    text: Bytes, start: int, end: int, strings: Bytes, first: int, last: int, hits: Integers
) -> tuple[int, Integers]:
    """Positions of all non-overlapping occurrences of a string, left to right: their number, and ``hits``."""
    n, position = 0, find(text, start, end, strings, first, last)
    while position >= 0:
        if n == hits.shape[0]:
            hits = room(hits, n, 1)
        hits[n] = position
        n += 1
        position = find(text, position + last - first, end, strings, first, last)
    return n, hits


@inner
def replace_all(
    opened: Open, n_lines: int, n_hits: int, length: int, strings: Bytes, target: int, target_end: int, step: int
) -> Open:
    """Replace every hit, of ``length`` bytes, in the open lines, and mark the changed lines with ``step``."""
    lines, working, other, hits = opened.rows, opened.working, opened.other, opened.hits
    total, added = lines[n_lines, 1], target_end - target
    other = room(other, 0, total + n_hits * (added - length))
    read, write = 0, 0
    hit, shift = 0, 0
    for k in range(n_lines):
        line_end = lines[k + 1, 1]
        lines[k, 1] += shift
        if hit < n_hits and hits[hit] < line_end:
            lines[k, 2] = step
            while hit < n_hits and hits[hit] < line_end:
                write = copy(other, write, working, read, hits[hit] - read)
                write = copy(other, write, strings, target, added)
                read = hits[hit] + length
                shift += added - length
                hit += 1
    lines[n_lines, 1] += shift
    copy(other, write, working, read, total - read)
    return Open(lines, other, working, hits)


@inner
def close_lines(
    data: Bytes, table: Table, opened: Open, n_lines: int, rewritten: Bytes, used: int, steps: Steps
) -> tuple[Bytes, int]:
    """Store the lines that edits changed; a line equal to its original again does not count as rewritten."""
    lines = opened.rows
    for k in range(n_lines):
        step = lines[k, 2]
        if step == 0:
            continue
        row = table.rows[lines[k, 0]]
        start, length = lines[k, 1], lines[k + 1, 1] - 1 - lines[k, 1]
        original = table.rows[lines[k, 0] + 1, START] - 1 - row[START]
        if length == original and equal(opened.working, start, data, row[START], length):
            row[REWRITTEN_BY] = 0
            continue
        rewritten = room(rewritten, used, length)
        row[REWRITTEN_BY], row[REWRITTEN_CHUNK] = steps.rows[step, BY], steps.rows[step, CHUNK]
        table.scores[lines[k, 0], REWRITTEN_SCORE] = steps.scores[step]
        row[NOW_START] = used
        used = copy(rewritten, used, opened.working, start, length)
        row[NOW_END] = used
    return rewritten, used


@inner
def _is_space(code: int) -> bool:
    """White space of ``str.split`` beyond ASCII."""
    return (
        code == 0x85 or code == 0xA0 or code == 0x1680 or 0x2000 <= code <= 0x200A or code == 0x2028
        or code == 0x2029 or code == 0x202F or code == 0x205F or code == 0x3000
    )  # fmt: skip


@inner
def _is_spaceless(code: int) -> bool:
    for i in range(_LOW.shape[0]):
        if code < _LOW[i]:
            return False
        if code <= _HIGH[i]:
            return True
    return False


@inner
def _is_ascii_space(byte: int) -> bool:
    return bool((byte == np.uint8(32)) | (np.uint8(byte - 9) < np.uint8(5)) | (np.uint8(byte - 28) < np.uint8(4)))


@inner
def _count_ascii_words(data: Bytes, start: int, end: int) -> int:
    """Counts bytes that are not white space and follow white space. Usually for a line, seldom for a whole document."""
    count = int(not _is_ascii_space(data[start]))
    for i in range(np.uint64(start + 1), np.uint64(end)):
        count += _is_ascii_space(data[i - np.uint64(1)]) & (not _is_ascii_space(data[i]))
    return count


@inner
def count_words(data: Bytes, start: int, end: int, spaceless: bool) -> int:
    """``words.count_words`` of ``data[start:end]``, or, without ``spaceless``, the length of ``str.split()``."""
    if start >= end:
        return 0
    if is_ascii(data, start, end):
        return _count_ascii_words(data, start, end)
    count, inside, position = 0, False, start
    while position < end:
        byte = np.int64(data[position])
        if byte < 0x80:
            position += 1
            space = byte == 32 or 9 <= byte <= 13 or 28 <= byte <= 31
            count += (not space) & (not inside)
            inside = not space
            continue
        if byte < 0xE0:
            code = (byte & 0x1F) << 6 | data[position + 1] & 0x3F
            position += 2
        elif byte < 0xF0:
            code = (byte & 0x0F) << 12 | (np.int64(data[position + 1]) & 0x3F) << 6 | data[position + 2] & 0x3F
            position += 3
        else:
            code = (byte & 0x07) << 18 | (np.int64(data[position + 1]) & 0x3F) << 12
            code |= (np.int64(data[position + 2]) & 0x3F) << 6 | data[position + 3] & 0x3F
            position += 4
        if _is_space(code):
            inside = False
        elif spaceless and _is_spaceless(code):
            count += 1
            inside = False
        else:
            count += not inside
            inside = True
    return count


@inner
def count_surviving_words(
    data: Bytes, table: Table, n_lines: int, rewritten: Bytes, spaceless: bool, enough: float
) -> int:
    """The number of words in the remaining lines; counting stops once there are more than ``enough``."""
    count, rows = 0, table.rows
    for line in range(n_lines):
        if rows[line, REMOVED_BY] != 0:
            continue
        if rows[line, REWRITTEN_BY] != 0:
            count += count_words(rewritten, rows[line, NOW_START], rows[line, NOW_END], spaceless)
        else:
            count += count_words(data, rows[line, START], rows[line + 1, START] - 1, spaceless)
        if count > enough:
            break
    return count


@inner
def most_words(n_bytes: int) -> int:
    """Upper bound of the words in this many bytes: a word takes a byte and a space, or a character of three bytes."""
    return (n_bytes + 1) // 2


@inner
def join_lines(data: Bytes, table: Table, n_lines: int, rewritten: Bytes, out: Bytes, at: int) -> tuple[Bytes, int]:
    """Write the remaining lines, joined by newlines; returns the output, and the position after it."""
    needed, rows = 0, table.rows
    for line in range(n_lines):
        if rows[line, REMOVED_BY] == 0:
            if rows[line, REWRITTEN_BY] != 0:
                needed += rows[line, NOW_END] - rows[line, NOW_START] + 1
            else:
                needed += rows[line + 1, START] - rows[line, START]
    out = room(out, at, needed)
    first = True
    line = 0
    while line < n_lines:
        if rows[line, REMOVED_BY] != 0:
            line += 1
            continue
        if not first:
            out[at] = _NEWLINE
            at += 1
        first = False
        if rows[line, REWRITTEN_BY] != 0:
            at = copy(out, at, rewritten, rows[line, NOW_START], rows[line, NOW_END] - rows[line, NOW_START])
            line += 1
        else:
            start = rows[line, START]
            while line < n_lines and rows[line, REMOVED_BY] == 0 and rows[line, REWRITTEN_BY] == 0:
                line += 1
            at = copy(out, at, data, start, rows[line, START] - 1 - start)
    return out, at


@inner
def _log_with_room(log: LogColumns, n_rows: int, n_new: int, used: int, needed: int) -> LogColumns:
    """The log with room for this many further rows, and further bytes of replacements."""
    return LogColumns(
        room(log.rows, n_rows, n_new),
        room(log.numbers, n_rows, n_new),
        room(log.operations, n_rows, n_new),
        room(log.chunks, n_rows, n_new),
        room(log.scores, n_rows, n_new),
        room(log.text_ends, n_rows, n_new),
        room(log.replacement_ends, n_rows, n_new),
        room(log.is_rewritten, n_rows, n_new),
        log.texts,
        room(log.replacements, used, needed),
    )


@inner
def log_lines(
    data: Bytes, table: Table, n_lines: int, rewritten: Bytes, document: int, n_rows: int, log: LogColumns
) -> tuple[int, LogColumns, int]:
    """Append a row for each removed or rewritten line; returns the log's rows, the log, and the number of rewritten lines."""
    rows = table.rows
    text_end = log.text_ends[n_rows - 1] if n_rows > 0 else 0
    replacement_end = log.replacement_ends[n_rows - 1] if n_rows > 0 else 0
    n_new, n_rewritten, needed = 0, 0, 0
    for line in range(n_lines):
        removed, changed = rows[line, REMOVED_BY] != 0, rows[line, REWRITTEN_BY] != 0
        n_new += removed or changed
        if changed and not removed:
            needed += rows[line, NOW_END] - rows[line, NOW_START]
            n_rewritten += 1
    if n_rows + n_new > log.rows.shape[0] or replacement_end + needed > log.replacements.shape[0]:
        log = _log_with_room(log, n_rows, n_new, replacement_end, needed)
    for line in range(n_lines):
        removed_by, rewritten_by = rows[line, REMOVED_BY], rows[line, REWRITTEN_BY]
        if removed_by == 0 and rewritten_by == 0:
            continue
        start = rows[line, START]
        text_end = copy(log.texts, text_end, data, start, rows[line + 1, START] - 1 - start)
        log.rows[n_rows], log.numbers[n_rows] = document, line
        if removed_by != 0:
            by, chunk, score = removed_by, rows[line, REMOVED_CHUNK], table.scores[line, REMOVED_SCORE]
        else:
            by, chunk, score = rewritten_by, rows[line, REWRITTEN_CHUNK], table.scores[line, REWRITTEN_SCORE]
            start, end = rows[line, NOW_START], rows[line, NOW_END]
            replacement_end = copy(log.replacements, replacement_end, rewritten, start, end - start)
        log.operations[n_rows], log.chunks[n_rows], log.scores[n_rows] = by, chunk, score
        log.is_rewritten[n_rows] = removed_by == 0
        log.text_ends[n_rows], log.replacement_ends[n_rows] = text_end, replacement_end
        n_rows += 1
    return n_rows, log, n_rewritten
