"""``compat`` mode over many documents, compiled: the published executor's quirks, as in ``compat.py``.

Numbers other than ASCII integers of up to 18 digits are rare and need Python (other scripts' digits, very long numbers): their
documents are marked, and go through ``execute``.
"""

from typing import Any

import numpy as np

from prox_spark.execution.compat import (
    GROWTH_BASE,
    GROWTH_FACTOR,
    MAX_ERRORS,
    MIN_KEPT_SHARE,
    MIN_WORDS,
    WORK_BASE,
    WORK_FACTOR,
)
from prox_spark.execution.groups import BatchArrays, Chunks, LogColumns
from prox_spark.execution.line_kernels import (
    BY,
    CHUNK,
    Open,
    Steps,
    Table,
    close_lines,
    count_surviving_words,
    count_words,
    find_all,
    join_lines,
    log_lines,
    most_words,
    new_open,
    new_steps,
    new_table,
    open_lines,
    remove,
    replace_all,
    split_lines,
)
from prox_spark.execution.result import COUNTS
from prox_spark.execution.strict_kernels import RAISED, REASONS
from prox_spark.programs.bytes_kernels import (
    Bytes,
    Integers,
    Texts,
    copy,
    count_characters,
    equal,
    find,
    find_byte,
    room,
)
from prox_spark.programs.compiled import entry, inner
from prox_spark.programs.lookup import NORMALIZE, REMOVE_ALL, REMOVE_LINES

ODD_NUMBER = len(RAISED)
"""Code for documents that must go through ``execute``; it follows those of ``RAISED``."""
_REASON, _GUARD, _RAISED = range(3)
_NULL_TEXT, _ZERO_DIVISION, _TOO_COSTLY = range(1, 4)
_REMOVED_SHARE, _TOO_SHORT = REASONS.index("removed_share"), REASONS.index("too_short")
_ERROR_BUDGET = 1
_LINES, _LINES_REMOVED, _LINES_REWRITTEN = (COUNTS.index(f"n_lines{what}") for what in ("", "_removed", "_rewritten"))
_CHARACTERS, _CHARACTERS_ORIGINAL = COUNTS.index("n_characters"), COUNTS.index("n_characters_original")
_CALLS, _ERRORS, _NO_MATCH, _CHUNKS = (COUNTS.index(f"n_{what}") for what in ("calls", "errors", "no_match", "chunks"))
_REMOVE = np.frombuffer(b"remove_lines", np.uint8).copy()
_EDIT = np.frombuffer(b"normalize", np.uint8).copy()
_ALL = np.frombuffer(b"all=True", np.uint8).copy()
_SPACE, _NEWLINE, _QUOTE, _OPEN, _CLOSE, _COMMA, _EQUALS, _UNDERSCORE = 32, 10, 34, 40, 41, 44, 61, 95
_NAN: Any = np.float32(np.nan)


@inner
def _starts_with(data: Bytes, start: int, end: int, word: Bytes) -> bool:
    return end - start >= word.shape[0] and equal(data, start, word, 0, word.shape[0])


@inner
def _brackets(data: Bytes, start: int, end: int) -> tuple[int, int, int]:
    """The text in the brackets of a call, and its errors; a negative start if there are no brackets."""
    opening = find_byte(data, start, end, _OPEN)
    if opening == end:
        return -1, -1, 1
    closing = find_byte(data, start, end, _CLOSE)
    errors = 0
    if closing == end:
        errors = 1
        closing = end - 1
        while closing > start and data[closing] & 0xC0 == 0x80:
            closing -= 1
    return opening + 1, max(opening + 1, closing), errors


@inner
def _value(data: Bytes, start: int, end: int) -> tuple[int, int]:
    """The text between the first ``=`` and the second, or the end; a negative start where there is no ``=``."""
    sign = find_byte(data, start, end, _EQUALS)
    return (-1, -1) if sign == end else (sign + 1, find_byte(data, sign + 1, end, _EQUALS))


@inner
def _number(data: Bytes, start: int, end: int) -> tuple[int, int]:
    """``int`` of a string: status 0 and the number, 1 if ``int`` raises, 2 if Python must decide."""
    for i in range(start, end):
        if data[i] >= 0x80:
            return 2, 0
    while start < end and (data[start] == _SPACE or 9 <= data[start] <= 13):
        start += 1
    while end > start and (data[end - 1] == _SPACE or 9 <= data[end - 1] <= 13):
        end -= 1
    sign = 1
    if start < end and (data[start] == 43 or data[start] == 45):
        sign = -1 if data[start] == 45 else 1
        start += 1
    value: Any = 0
    digits, after_digit = 0, False
    for i in range(start, end):
        byte = np.int64(data[i])
        if 48 <= byte <= 57:
            digits += 1
            value = value * 10 + byte - 48 if digits <= 18 else 0
            after_digit = True
        elif byte == _UNDERSCORE and after_digit:
            after_digit = False
        else:
            return 1, 0
    if not after_digit:
        return 1, 0
    return (2, 0) if digits > 18 else (0, sign * value)


@inner
def _range(data: Bytes, start: int, end: int) -> tuple[int, int, int]:
    """The two line numbers in brackets: a status as from ``_number``, and the numbers."""
    comma = find_byte(data, start, end, _COMMA)
    if comma == end:
        return 1, 0, 0
    first, first_end = _value(data, start, comma)
    if first < 0:
        return 1, 0, 0
    # Python converts the first number before it looks for the second, and a missing second one is an error whatever the first.
    status, low = _number(data, first, first_end)
    if status == 1:
        return 1, 0, 0
    second, second_end = _value(data, comma + 1, find_byte(data, comma + 1, end, _COMMA))
    if second < 0:
        return 1, 0, 0
    other, high = _number(data, second, second_end)
    return (1, 0, 0) if other == 1 else (max(status, other), low, high)


@inner
def _sort_by_start(ranges: Integers, n: int) -> Integers:
    """Ranges sorted by start, in a stable order: bottom-up merge sort, unless they are sorted already."""
    is_sorted = True
    for i in range(1, n):
        is_sorted &= ranges[i - 1, 0] <= ranges[i, 0]
    if is_sorted:
        return ranges
    source, target = ranges, np.empty((n, 2), np.int64)
    width = 1
    while width < n:
        for low in range(0, n, 2 * width):
            middle, high = min(low + width, n), min(low + 2 * width, n)
            i, j = low, middle
            for k in range(low, high):
                if i < middle and (j >= high or source[i, 0] <= source[j, 0]):
                    target[k, 0], target[k, 1] = source[i, 0], source[i, 1]
                    i += 1
                else:
                    target[k, 0], target[k, 1] = source[j, 0], source[j, 1]
                    j += 1
        source, target = target, source
        width *= 2
    return source


@inner
def _errors_of_ranges(ranges: Integers, n: int, last: int) -> int:
    """The number of ranges that reach past the last line, after merging those that touch."""
    if n == 0:
        return 0
    ranges = _sort_by_start(ranges, n)
    errors = 0
    start, end = ranges[0, 0], ranges[0, 1]
    for i in range(1, n):
        if ranges[i, 0] <= end + 1:
            end = max(end, ranges[i, 1])
        else:
            errors += start > last or end > last
            start, end = ranges[i, 0], ranges[i, 1]
    errors += start > last or end > last
    return int(errors)


@inner
def _source_and_target(data: Bytes, start: int, end: int, edit: Integers) -> int:
    """Fill ``edit`` with the ranges of source and target: 0, 1 for an error, 2 where the call does nothing."""
    comma = find_byte(data, start, end, _COMMA)
    one_argument = comma == end
    second_end = end if one_argument else find_byte(data, comma + 1, end, _COMMA)
    if second_end != end:
        return 2
    edit[0], edit[1] = _value(data, start, comma)
    edit[2], edit[3] = (0, 0) if one_argument else _value(data, comma + 1, end)
    if edit[0] < 0 or edit[2] < 0:
        return 1
    for i in range(0, 4, 2):
        while edit[i] < edit[i + 1] and data[edit[i]] == _QUOTE:
            edit[i] += 1
        while edit[i] < edit[i + 1] and data[edit[i + 1] - 1] == _QUOTE:
            edit[i + 1] -= 1
    length = edit[1] - edit[0]
    return 2 if length == 0 or (not one_argument and length == 1 and data[edit[0]] == _SPACE) else 0


@inner
def _judge(
    data: Bytes, table: Table, n_lines: int, text_start: int, text_end: int, rewritten: Bytes, errors: int
) -> int:
    """The published executor's guards. Most documents pass easily, so only their first words are counted."""
    enough = max(MIN_KEPT_SHARE * most_words(text_end - text_start) + 1.0, np.float64(MIN_WORDS))
    after = count_surviving_words(data, table, n_lines, rewritten, False, enough)
    if after > enough:
        return 0
    if errors <= MAX_ERRORS and after / count_words(data, text_start, text_end, False) <= MIN_KEPT_SHARE:
        return _REMOVED_SHARE
    return _TOO_SHORT if after <= MIN_WORDS else 0


@entry
def execute_compat_batch(texts: Texts, chunks: Chunks, outputs: Texts, out: Bytes, log: LogColumns) -> BatchArrays:
    """Execute the programs of every document. ``out`` and ``log`` come from ``new_buffers``."""
    data, programs = texts.data, outputs.data
    n_documents = texts.starts.shape[0]
    out_offsets = np.zeros(n_documents + 1, np.int64)
    all_counts = np.zeros((n_documents, len(COUNTS)), np.int64)
    marks = np.zeros((n_documents, 3), np.int64)
    n_rows, at = 0, 0
    table, opened, steps, rewritten = new_table(), new_open(), new_steps(), np.empty(65536, np.uint8)
    ranges, removals, edit = np.empty((64, 2), np.int64), np.empty((64, 4), np.int64), np.empty(4, np.int64)
    for document in range(n_documents):
        counts = all_counts[document]
        out_offsets[document + 1] = at
        if texts.valid[document] == 0:
            marks[document, _RAISED] = _NULL_TEXT
            continue
        text_start, text_end = texts.starts[document], texts.ends[document]
        n_bytes = text_end - text_start
        n_lines, table = split_lines(data, text_start, text_end, table)
        last = n_lines - 1
        n_ranges, n_removals, n_steps, errors, raised = 0, 0, 0, 0, 0
        n_open, n_now, work, used = -1, n_bytes, 0, 0
        for chunk in range(chunks.firsts[document], chunks.lasts[document]):
            if outputs.valid[chunk] == 0 or raised != 0:
                continue
            index = counts[_CHUNKS]
            counts[_CHUNKS] += 1
            position, end = outputs.starts[chunk], outputs.ends[chunk]
            while position < end and programs[position] == _SPACE:
                position += 1
            while end > position and programs[end - 1] == _SPACE:
                end -= 1
            while position < end and raised == 0:
                start, stop = position, find_byte(programs, position, end, _NEWLINE)
                position = stop + 1
                if _starts_with(programs, start, stop, _REMOVE):
                    counts[_CALLS] += 1
                    removals = room(removals, n_removals, 1)
                    entry_row = removals[n_removals]
                    if find(programs, start, stop, _ALL, 0, 8) >= 0:
                        entry_row[0], entry_row[1], entry_row[2], entry_row[3] = 0, last, REMOVE_ALL, index
                        n_removals += 1
                        continue
                    inside, inside_end, wrong = _brackets(programs, start, stop)
                    errors += wrong
                    if inside < 0:
                        continue
                    status, low, high = _range(programs, inside, inside_end)
                    if status == 2:
                        raised = ODD_NUMBER
                    elif status == 1:
                        errors += 1
                    else:
                        ranges = room(ranges, n_ranges, 1)
                        ranges[n_ranges, 0], ranges[n_ranges, 1] = low, high
                        n_ranges += 1
                        entry_row[0], entry_row[1] = max(0, low), min(last, high)
                        entry_row[2], entry_row[3] = REMOVE_LINES, index
                        n_removals += 1
                elif _starts_with(programs, start, stop, _EDIT):
                    counts[_CALLS] += 1
                    inside, inside_end, wrong = _brackets(programs, start, stop)
                    errors += wrong
                    if inside < 0:
                        continue
                    status = _source_and_target(programs, inside, inside_end, edit)
                    errors += status == 1
                    if status != 0:
                        continue
                    work += n_now + 1
                    if work > WORK_FACTOR * n_bytes + WORK_BASE:
                        raised = _TOO_COSTLY
                        continue
                    length = edit[1] - edit[0]
                    hits = opened.hits
                    if n_open < 0:
                        n_hits, hits = find_all(data, text_start, text_end, programs, edit[0], edit[1], hits)
                        if n_hits > 0:
                            n_open, opened = open_lines(data, table, 0, last, rewritten, opened)
                            for hit in range(n_hits):
                                hits[hit] -= text_start
                    else:
                        n_hits, hits = find_all(opened.working, 0, n_now, programs, edit[0], edit[1], hits)
                    opened = Open(opened.rows, opened.working, opened.other, hits)
                    if n_hits == 0:
                        counts[_NO_MATCH] += 1
                        continue
                    n_now += n_hits * (edit[3] - edit[2] - length)
                    if n_now > GROWTH_FACTOR * n_bytes + GROWTH_BASE:
                        raised = _TOO_COSTLY
                        continue
                    n_steps += 1
                    steps = Steps(room(steps.rows, n_steps, 1), room(steps.scores, n_steps, 1))
                    steps.rows[n_steps, BY], steps.rows[n_steps, CHUNK] = NORMALIZE, index
                    steps.scores[n_steps] = _NAN
                    opened = replace_all(opened, n_open, n_hits, length, programs, edit[2], edit[3], n_steps)
        if raised == 0 and count_surviving_words(data, table, n_lines, rewritten, False, 0.0) == 0:
            raised = _ZERO_DIVISION
        if raised != 0:
            marks[document, _RAISED] = raised
            counts[:] = 0
            continue
        if n_open >= 0:
            rewritten, used = close_lines(data, table, opened, n_open, rewritten, used, steps)
        n_removed = 0
        for i in range(n_removals):
            removal = removals[i]
            n_removed += remove(table, removal[0], removal[1], removal[2], removal[3], _NAN)
        errors += _errors_of_ranges(ranges, n_ranges, last)
        counts[_LINES], counts[_ERRORS] = n_lines, errors
        counts[_CHARACTERS_ORIGINAL] = count_characters(data, text_start, text_end)
        reason = _judge(data, table, n_lines, text_start, text_end, rewritten, errors)
        marks[document, _REASON] = reason
        if reason != 0:
            continue
        at_start = at
        if errors > MAX_ERRORS:
            marks[document, _GUARD] = _ERROR_BUDGET
            out = room(out, at, n_bytes)
            at = copy(out, at, data, text_start, n_bytes)
        else:
            out, at = join_lines(data, table, n_lines, rewritten, out, at)
            n_rows, log, n_rewritten = log_lines(data, table, n_lines, rewritten, document, n_rows, log)
            counts[_LINES_REMOVED], counts[_LINES_REWRITTEN] = n_removed, n_rewritten
        counts[_CHARACTERS] = count_characters(out, at_start, at)
        out_offsets[document + 1] = at
    return BatchArrays(out, out_offsets, all_counts, marks, n_rows, log)
