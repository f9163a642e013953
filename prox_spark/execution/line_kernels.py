"""The lines of a document inside compiled code: what ``document.py`` does in Python, for both modes.

A document's lines are rows of a table, which is used again for the next document and only ever grows. Line ``i`` is
``data[START[i]:START[i + 1] - 1]``.
"""

from typing import Any

import numpy as np

from prox_spark.execution.words import SPACELESS_RANGES
from prox_spark.programs.bytes_kernels import (
    Bytes,
    Floats,
    Integers,
    copy,
    equal,
    find,
    find_byte,
    inner,
    is_ascii,
    room,
)

START, ALIVE, REMOVED_BY, REMOVED_CHUNK, REWRITTEN_BY, REWRITTEN_CHUNK, NOW_START, NOW_END = range(8)
"""Columns of the table of lines. ``ALIVE`` leads to the next line that is not removed; ``REMOVED_BY`` and
``REWRITTEN_BY`` are codes of operations, 0 for none; a rewritten line is ``rewritten[NOW_START:NOW_END]``."""
REMOVED_SCORE, REWRITTEN_SCORE = range(2)
BY, FROM, TO, CALL, CHUNK = range(5)
"""Columns of the table of steps, the calls that are applied: operation, lines, call, chunk. Row 0 is not used."""

Log = tuple[Integers, Integers, Bytes, Any, Floats, Integers, Integers, Any, Bytes, Bytes]
"""Dropped lines, a row each: document, line, operation, chunk, score, end of the text, end of the replacement, whether
there is one; then the bytes of texts and of replacements."""
_NEWLINE = 10
_LOW = np.array([low for low, _ in SPACELESS_RANGES], np.int64)
_HIGH = np.array([high for _, high in SPACELESS_RANGES], np.int64)


@inner
def split_lines(data: Bytes, start: int, end: int, table: Integers) -> tuple[int, Integers]:
    """Fill the table with the lines of a document: their number, and the table, which may have grown."""
    n, position = 0, start
    while position <= end:
        if n + 2 > table.shape[0]:
            table = room(table, n, 2)
        table[n, START], table[n, ALIVE], table[n, REMOVED_BY], table[n, REWRITTEN_BY] = position, n, 0, 0
        n += 1
        position = find_byte(data, position, end, _NEWLINE) + 1
    table[n, START], table[n, ALIVE] = end + 1, n
    return n, table


@inner
def next_alive(table: Integers, line: int) -> int:
    """The first line from here on that is not removed."""
    while table[line, ALIVE] != line:
        table[line, ALIVE] = table[table[line, ALIVE], ALIVE]
        line = table[line, ALIVE]
    return line


@inner
def remove(table: Integers, scores: Floats, start: int, end: int, operation: int, chunk: int, score: float) -> int:
    """Remove the lines of a range that are not removed yet: how many these are."""
    n = 0
    line = next_alive(table, start) if start <= end else start
    while line <= end:
        table[line, ALIVE], table[line, REMOVED_BY], table[line, REMOVED_CHUNK] = line + 1, operation, chunk
        scores[line, REMOVED_SCORE] = score
        n += 1
        line = next_alive(table, line + 1)
    return n


@inner
def open_lines(
    data: Bytes, table: Integers, start: int, end: int, rewritten: Bytes, lines: Integers, working: Bytes
) -> tuple[int, Integers, Bytes]:
    """Lay the surviving lines of a range side by side, as they are now, so that edits can pass over them at once.

    Row k of ``lines`` is a line's number, its start in ``working``, and 0 (the edit that changed it last); the row
    after the last one has the start that a further line would have. Returns their number and the two arrays.
    """
    n, at, needed = 0, 0, 0
    for line in range(start, end + 1):
        if table[line, REMOVED_BY] == 0 and table[line, REWRITTEN_BY] != 0:
            needed += table[line, NOW_END] - table[line, NOW_START] + 1
        else:
            needed += table[line + 1, START] - table[line, START]
    lines, working = room(lines, 0, max(end - start, 0) + 2), room(working, 0, needed)
    for line in range(start, end + 1):
        if table[line, REMOVED_BY] != 0:
            continue
        lines[n, 0], lines[n, 1], lines[n, 2] = line, at, 0
        n += 1
        if table[line, REWRITTEN_BY] != 0:
            at = copy(working, at, rewritten, table[line, NOW_START], table[line, NOW_END] - table[line, NOW_START])
        else:
            at = copy(working, at, data, table[line, START], table[line + 1, START] - 1 - table[line, START])
        working[at] = _NEWLINE
        at += 1
    lines[n, 0], lines[n, 1], lines[n, 2] = -1, at, 0
    return n, lines, working


@inner
def find_all(
    working: Bytes, start: int, end: int, strings: Bytes, first: int, last: int, hits: Integers
) -> tuple[int, Integers]:
    """Positions of all non-overlapping occurrences of a string, left to right: their number, and ``hits``."""
    n, position = 0, find(working, start, end, strings, first, last)
    while position >= 0:
        if n == hits.shape[0]:
            hits = room(hits, n, 1)
        hits[n] = position
        n += 1
        position = find(working, position + last - first, end, strings, first, last)
    return n, hits


@inner
def replace_all(
    lines: Integers, n_lines: int, working: Bytes, other: Bytes, hits: Integers, n_hits: int,
    length: int, strings: Bytes, target: int, target_end: int, edit: int,
) -> Bytes:  # fmt: skip
    """Write the working lines to ``other``, every hit replaced, and mark the lines it stands in with ``edit``."""
    total, added = lines[n_lines, 1], target_end - target
    other = room(other, 0, total + n_hits * (added - length))
    read, write = 0, 0
    hit, shift = 0, 0
    for k in range(n_lines):
        line_end = lines[k + 1, 1]
        lines[k, 1] += shift
        if hit < n_hits and hits[hit] < line_end:
            lines[k, 2] = edit
            while hit < n_hits and hits[hit] < line_end:
                write = copy(other, write, working, read, hits[hit] - read)
                write = copy(other, write, strings, target, added)
                read = hits[hit] + length
                shift += added - length
                hit += 1
    lines[n_lines, 1] += shift
    copy(other, write, working, read, total - read)
    return other


@inner
def close_lines(
    data: Bytes, table: Integers, scores: Floats, lines: Integers, n_lines: int, working: Bytes,
    rewritten: Bytes, used: int, steps: Integers, step_scores: Floats,
) -> tuple[Bytes, int]:  # fmt: skip
    """Store the lines that edits changed; one that is again what it was is not rewritten.

    ``steps`` and ``step_scores`` are those of the edits, by the number that marks the line.
    """
    for k in range(n_lines):
        edit = lines[k, 2]
        if edit == 0:
            continue
        row = table[lines[k, 0]]
        start, length = lines[k, 1], lines[k + 1, 1] - 1 - lines[k, 1]
        original = table[lines[k, 0] + 1, START] - 1 - row[START]
        if length == original and equal(working, start, data, row[START], length):
            row[REWRITTEN_BY] = 0
            continue
        rewritten = room(rewritten, used, length)
        row[REWRITTEN_BY], row[REWRITTEN_CHUNK] = steps[edit, BY], steps[edit, CHUNK]
        scores[lines[k, 0], REWRITTEN_SCORE] = step_scores[edit]
        row[NOW_START] = used
        used = copy(rewritten, used, working, start, length)
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
    """Bytes that are no space and follow one. Few bytes at a time: a line, seldom a whole document."""
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
    data: Bytes, table: Integers, n_lines: int, rewritten: Bytes, spaceless: bool, enough: float
) -> int:
    """Words of the lines that are left; counting stops once there are more than ``enough``."""
    count = 0
    for line in range(n_lines):
        if table[line, REMOVED_BY] != 0:
            continue
        if table[line, REWRITTEN_BY] != 0:
            count += count_words(rewritten, table[line, NOW_START], table[line, NOW_END], spaceless)
        else:
            count += count_words(data, table[line, START], table[line + 1, START] - 1, spaceless)
        if count > enough:
            break
    return count


@inner
def most_words(n_bytes: int) -> int:
    """No text of so many bytes has more words: a word takes a byte and a space, or a character of three bytes."""
    return (n_bytes + 1) // 2


@inner
def join_lines(data: Bytes, table: Integers, n_lines: int, rewritten: Bytes, out: Bytes, at: int) -> tuple[Bytes, int]:
    """Write the lines that are left, joined by newlines: the output, and the position after it."""
    needed = 0
    for line in range(n_lines):
        if table[line, REMOVED_BY] == 0:
            if table[line, REWRITTEN_BY] != 0:
                needed += table[line, NOW_END] - table[line, NOW_START] + 1
            else:
                needed += table[line + 1, START] - table[line, START]
    out = room(out, at, needed)
    first = True
    line = 0
    while line < n_lines:
        if table[line, REMOVED_BY] != 0:
            line += 1
            continue
        if not first:
            out[at] = _NEWLINE
            at += 1
        first = False
        if table[line, REWRITTEN_BY] != 0:
            at = copy(out, at, rewritten, table[line, NOW_START], table[line, NOW_END] - table[line, NOW_START])
            line += 1
        else:
            start = table[line, START]
            while line < n_lines and table[line, REMOVED_BY] == 0 and table[line, REWRITTEN_BY] == 0:
                line += 1
            at = copy(out, at, data, start, table[line, START] - 1 - start)
    return out, at


@inner
def log_lines(
    data: Bytes, table: Integers, scores: Floats, n_lines: int, rewritten: Bytes, document: int,
    n_rows: int, log: Log,
) -> tuple[int, Log, int]:  # fmt: skip
    """Append a row for each removed or rewritten line: rows of the log, the log, and how many were rewritten."""
    rows, numbers, operations, chunks, row_scores, text_ends, replacement_ends, is_rewritten, texts, replacements = log
    text_end = text_ends[n_rows - 1] if n_rows > 0 else 0
    replacement_end = replacement_ends[n_rows - 1] if n_rows > 0 else 0
    n_new, n_rewritten, needed = 0, 0, 0
    for line in range(n_lines):
        removed, changed = table[line, REMOVED_BY] != 0, table[line, REWRITTEN_BY] != 0
        n_new += removed or changed
        if changed and not removed:
            needed += table[line, NOW_END] - table[line, NOW_START]
            n_rewritten += 1
    if n_rows + n_new > rows.shape[0]:
        rows, numbers, operations = (
            room(rows, n_rows, n_new),
            room(numbers, n_rows, n_new),
            room(operations, n_rows, n_new),
        )
        chunks, row_scores = room(chunks, n_rows, n_new), room(row_scores, n_rows, n_new)
        text_ends, replacement_ends = room(text_ends, n_rows, n_new), room(replacement_ends, n_rows, n_new)
        is_rewritten = room(is_rewritten, n_rows, n_new)
    if replacement_end + needed > replacements.shape[0]:
        replacements = room(replacements, replacement_end, needed)
    for line in range(n_lines):
        removed_by, rewritten_by = table[line, REMOVED_BY], table[line, REWRITTEN_BY]
        if removed_by == 0 and rewritten_by == 0:
            continue
        start = table[line, START]
        text_end = copy(texts, text_end, data, start, table[line + 1, START] - 1 - start)
        rows[n_rows], numbers[n_rows] = document, line
        if removed_by != 0:
            operations[n_rows], chunks[n_rows], is_rewritten[n_rows] = removed_by, table[line, REMOVED_CHUNK], False
            row_scores[n_rows] = scores[line, REMOVED_SCORE]
        else:
            start, end = table[line, NOW_START], table[line, NOW_END]
            replacement_end = copy(replacements, replacement_end, rewritten, start, end - start)
            operations[n_rows], chunks[n_rows], is_rewritten[n_rows] = rewritten_by, table[line, REWRITTEN_CHUNK], True
            row_scores[n_rows] = scores[line, REWRITTEN_SCORE]
        text_ends[n_rows], replacement_ends[n_rows] = text_end, replacement_end
        n_rows += 1
    log = (
        rows,
        numbers,
        operations,
        chunks,
        row_scores,
        text_ends,
        replacement_ends,
        is_rewritten,
        texts,
        replacements,
    )
    return n_rows, log, n_rewritten
