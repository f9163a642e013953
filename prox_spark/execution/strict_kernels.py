"""``strict`` mode over many documents, compiled: the rules of ``strict.py``, step by step."""

from typing import Any

import numpy as np

from prox_spark.execution.compat import TOO_COSTLY, ZERO_DIVISION
from prox_spark.execution.line_kernels import (
    BY,
    CALL,
    CHUNK,
    FROM,
    REWRITTEN_BY,
    START,
    TO,
    Log,
    close_lines,
    count_surviving_words,
    count_words,
    find_all,
    join_lines,
    log_lines,
    most_words,
    open_lines,
    remove,
    replace_all,
    split_lines,
)
from prox_spark.execution.result import COUNTS, NULL_TEXT
from prox_spark.execution.strict import EDIT_BUDGET, EDIT_BUDGET_BASE, GROWTH_BASE
from prox_spark.programs.bytes_kernels import (
    Bytes,
    Floats,
    Integers,
    copy,
    count_characters,
    entry,
    equal,
    find_byte,
    inner,
    room,
)
from prox_spark.programs.kernels import (
    HAS_LINES,
    LINE_END,
    LINE_START,
    OK,
    OPERATION,
    OUTCOME,
    REMOVE_LINES,
    SOURCE,
    SOURCE_END,
    TARGET,
    TARGET_END,
    TRUNCATED,
    edits_of,
)

REASONS: tuple[str | None, ...] = (None, "program", "removed_share", "too_short")
RAISED: tuple[str | None, ...] = (None, NULL_TEXT, ZERO_DIVISION, TOO_COSTLY)
"""Names of the codes that kernels give for a document."""
BatchArrays = tuple[Bytes, Integers, Integers, Integers, int, Log]
"""What a batch comes back as: bytes and offsets of the results; counts (columns of ``COUNTS``); marks (codes of reason,
guard, raised); the number of dropped lines, and their log."""
_REASON, _GUARD, _RAISED = range(3)
_BY_PROGRAM, _REMOVED_SHARE, _TOO_SHORT = range(1, 4)
_ERROR_BUDGET, _LOOP, _OVER_EDIT_BUDGET = 1, 2, 4
(
    _LINES, _LINES_REMOVED, _LINES_REWRITTEN, _CHARACTERS, _CHARACTERS_ORIGINAL, _CALLS, _ERRORS, _TRUNCATED,
    _CLIPPED, _NO_MATCH, _REPEATED, _LOW_CONFIDENCE, _CHUNKS, _CHUNKS_VOIDED,
) = range(len(COUNTS))  # fmt: skip
_EDITS_LINES, _EDITS_STRINGS, _EDITS_DOCUMENT = edits_of("lines"), edits_of("strings"), edits_of("document")
_FEW_CALLS = 16
_NEWLINE = 10
_NAN: Any = np.float32(np.nan)


@inner
def _hash(calls: Integers, strings: Bytes, call: int) -> int:
    row = calls[call]
    value: Any = row[OPERATION] * 31 + row[LINE_START] * 1000003 + row[LINE_END]
    for column in (SOURCE, TARGET):
        value = value * 31 + 7
        for i in range(row[column], row[column + 1]):
            value = value * 31 + np.int64(strings[i])
    hashed: int = value ^ value >> 29
    return hashed


@inner
def _same_call(calls: Integers, strings: Bytes, one: int, other: int) -> bool:
    a, b = calls[one], calls[other]
    if a[OPERATION] != b[OPERATION] or a[LINE_START] != b[LINE_START] or a[LINE_END] != b[LINE_END]:
        return False
    for column in (SOURCE, TARGET):
        length = a[column + 1] - a[column]
        if b[column + 1] - b[column] != length or not equal(strings, a[column], strings, b[column], length):
            return False
    return True


@inner
def _find_seen(
    calls: Integers, strings: Bytes, call: int, seen: Integers, n_seen: int, buckets: Integers, hashed: bool
) -> tuple[int, int]:
    """Which row of ``seen`` holds an equal call (-1 for none), and the bucket where it is or belongs."""
    if not hashed:
        for i in range(n_seen):
            if _same_call(calls, strings, seen[i, 0], call):
                return i, 0
        return -1, 0
    mask = buckets.shape[0] - 1
    bucket = _hash(calls, strings, call) & mask
    while buckets[bucket] >= 0:
        if _same_call(calls, strings, seen[buckets[bucket], 0], call):
            return buckets[bucket], bucket
        bucket = bucket + 1 & mask
    return -1, bucket


@inner
def _plan(
    calls: Integers, strings: Bytes, first: int, last: int, confidences: Floats, confidence: int, n_confidences: int,
    start: int, end: int, offset: int, chunk: int, min_confidence: float, error_budget: int, max_repeats: int,
    counts: Integers, steps: Integers, step_scores: Floats, seen: Integers,
) -> tuple[int, int, int, int, Integers, Floats, Integers]:  # fmt: skip
    """What a program amounts to: its steps, those that are edits, those that are clipped, the guard that voids it."""
    steps, step_scores = room(steps, 0, last - first + 1), room(step_scores, 0, last - first + 1)
    seen = room(seen, 0, last - first)
    hashed = last - first > _FEW_CALLS
    n_buckets = 1
    while hashed and n_buckets < 2 * (last - first):
        n_buckets *= 2
    buckets = np.full(n_buckets, -1, np.int64)
    n_steps, n_edits, n_clipped, n_seen, errors, most = 0, 0, 0, 0, 0, 0
    counts[_CALLS] += last - first
    for call in range(first, last):
        row = calls[call]
        score = confidences[confidence + call - first] if call - first < n_confidences else _NAN
        if score < min_confidence:
            counts[_LOW_CONFIDENCE] += 1
            continue
        if row[OUTCOME] == TRUNCATED:
            counts[_TRUNCATED] += 1
            continue
        if row[OUTCOME] != OK:
            errors += 1
            continue
        at, bucket = _find_seen(calls, strings, call, seen, n_seen, buckets, hashed)
        if at >= 0:
            seen[at, 1] += 1
            most = max(most, seen[at, 1])
            counts[_REPEATED] += 1
            continue
        seen[n_seen, 0], seen[n_seen, 1] = call, 1
        buckets[bucket] = n_seen
        n_seen += 1
        most = max(most, 1)
        operation, line_start, line_end = row[OPERATION], start, end
        if HAS_LINES[operation]:
            line_start, line_end = max(start, row[LINE_START] + offset), min(end, row[LINE_END] + offset)
            if line_start > line_end:
                errors += 1
                continue
            n_clipped += line_start != row[LINE_START] + offset or line_end != row[LINE_END] + offset
        n_edits += _EDITS_STRINGS[operation]
        n_steps += 1
        steps[n_steps, BY], steps[n_steps, FROM], steps[n_steps, TO] = operation, line_start, line_end
        steps[n_steps, CALL], steps[n_steps, CHUNK] = call, chunk
        step_scores[n_steps] = score
    counts[_ERRORS] += errors
    guard = 0
    if most > max_repeats:
        guard = _LOOP
    elif errors > error_budget:
        guard = _ERROR_BUDGET
    return n_steps, n_edits, n_clipped, guard, steps, step_scores, seen


@inner
def _lines_of_step(lines: Integers, n_lines: int, step: Integers) -> tuple[int, int]:
    """Which rows of the open lines a step may edit: first, and one past the last."""
    if not HAS_LINES[step[BY]]:
        return 0, n_lines
    low, high = 0, n_lines
    while low < high:
        middle = (low + high) // 2
        if lines[middle, 0] < step[FROM]:
            low = middle + 1
        else:
            high = middle
    return (low, low + 1) if low < n_lines and lines[low, 0] == step[FROM] else (0, 0)


@inner
def _edit(
    calls: Integers, strings: Bytes, steps: Integers, edit: int, lines: Integers, n_lines: int,
    working: Bytes, other: Bytes, hits: Integers, growth: int, most_growth: int, counts: Integers,
) -> tuple[Bytes, Bytes, Integers, int]:  # fmt: skip
    """Apply one edit to the open lines: the two buffers (swapped where it did anything), hits, growth so far."""
    call = calls[steps[edit, CALL]]
    source, source_end, target, target_end = call[SOURCE], call[SOURCE_END], call[TARGET], call[TARGET_END]
    from_line, to_line = _lines_of_step(lines, n_lines, steps[edit])
    n_hits = 0
    length = source_end - source
    if length > 0 and from_line < to_line and find_byte(strings, source, source_end, _NEWLINE) == source_end:
        n_hits, hits = find_all(working, lines[from_line, 1], lines[to_line, 1] - 1, strings, source, source_end, hits)
    if n_hits == 0:
        counts[_NO_MATCH] += 1
        return working, other, hits, growth
    added = n_hits * (target_end - target - length)
    if added > 0:
        if growth + added > most_growth:
            counts[_ERRORS] += 1
            return working, other, hits, growth
        growth += added
    other = replace_all(lines, n_lines, working, other, hits, n_hits, length, strings, target, target_end, edit)
    return other, working, hits, growth


@entry
def execute_strict_batch(
    data: Bytes, text_starts: Integers, text_ends: Integers, text_valid: Bytes,
    chunk_firsts: Integers, chunk_lasts: Integers,
    line_starts: Integers, line_ends: Integers, offsets: Integers,
    call_firsts: Integers, calls: Integers, strings: Bytes,
    score_starts: Integers, score_ends: Integers, line_scores: Floats,
    confidence_starts: Integers, confidence_ends: Integers, confidences: Floats,
    error_budget: int, max_removed_share: float, min_words: int, max_repeats: int,
    drop_line_below: float, min_confidence: float,
    out: Bytes, log: Log,
) -> BatchArrays:  # fmt: skip
    """Execute the programs of every document. ``out`` and ``log`` are what ``new_buffers`` gives."""
    n_documents = text_starts.shape[0]
    out_offsets = np.zeros(n_documents + 1, np.int64)
    all_counts = np.zeros((n_documents, len(COUNTS)), np.int64)
    marks = np.zeros((n_documents, 3), np.int64)
    n_rows, at = 0, 0
    table, table_scores = np.empty((1024, 8), np.int64), np.empty((1024, 2), np.float32)
    steps, step_scores, seen = np.empty((64, 5), np.int64), np.empty(64, np.float32), np.empty((64, 2), np.int64)
    lines, hits = np.empty((1024, 3), np.int64), np.empty(64, np.int64)
    working, other, rewritten = np.empty(65536, np.uint8), np.empty(65536, np.uint8), np.empty(65536, np.uint8)
    for document in range(n_documents):
        counts = all_counts[document]
        if text_valid[document] == 0:
            marks[document, _RAISED] = 1
            out_offsets[document + 1] = at
            continue
        text_start, text_end = text_starts[document], text_ends[document]
        n_bytes = text_end - text_start
        n_lines, table = split_lines(data, text_start, text_end, table)
        table_scores = room(table_scores, 0, table.shape[0])
        n_removed, used, edit_bytes, growth = 0, 0, 0, 0
        by_program, edited = False, False
        for chunk in range(chunk_firsts[document], chunk_lasts[document]):
            index = chunk - chunk_firsts[document]
            start = max(0, line_starts[chunk])
            end = max(start - 1, min(n_lines - 1, line_ends[chunk]))
            for i in range(score_starts[chunk], score_ends[chunk]):
                line = line_starts[chunk] + i - score_starts[chunk]
                if start <= line <= end and line_scores[i] < drop_line_below:
                    n_removed += remove(table, table_scores, line, line, REMOVE_LINES, index, line_scores[i])
            counts[_CHUNKS] += 1
            first, last = call_firsts[chunk], call_firsts[chunk + 1]
            if first == last:
                continue
            n_steps, n_edits, n_clipped, guard, steps, step_scores, seen = _plan(
                calls, strings, first, last, confidences, confidence_starts[chunk],
                confidence_ends[chunk] - confidence_starts[chunk], start, end, offsets[chunk], index, min_confidence,
                error_budget, max_repeats, counts, steps, step_scores, seen,
            )  # fmt: skip
            if n_edits > 0 and guard == 0:
                scope = table[end + 1, START] - table[start, START] if start <= end else 0
                if edit_bytes + n_edits * scope > EDIT_BUDGET * n_bytes + EDIT_BUDGET_BASE:
                    guard = _OVER_EDIT_BUDGET
                else:
                    edit_bytes += n_edits * scope
            if guard != 0:
                marks[document, _GUARD] |= guard
                counts[_CHUNKS_VOIDED] += 1
                continue
            counts[_CLIPPED] += n_clipped
            for step in range(1, n_steps + 1):
                operation = steps[step, BY]
                if _EDITS_LINES[operation]:
                    n_removed += remove(
                        table, table_scores, steps[step, FROM], steps[step, TO], operation, index, step_scores[step]
                    )
                by_program |= _EDITS_DOCUMENT[operation]
            if n_edits == 0:
                continue
            edited = True
            n_open, lines, working = open_lines(data, table, start, end, rewritten, lines, working)
            for step in range(1, n_steps + 1):
                operation = steps[step, BY]
                if _EDITS_STRINGS[operation]:
                    working, other, hits, growth = _edit(
                        calls, strings, steps, step, lines, n_open, working, other, hits,
                        growth, n_bytes + GROWTH_BASE, counts,
                    )  # fmt: skip
            rewritten, used = close_lines(
                data, table, table_scores, lines, n_open, working, rewritten, used, steps, step_scores
            )
        counts[_LINES] = n_lines
        counts[_CHARACTERS_ORIGINAL] = count_characters(data, text_start, text_end)
        changed = n_removed > 0
        if edited:
            for line in range(n_lines):
                changed |= table[line, REWRITTEN_BY] != 0
        reason = _BY_PROGRAM if by_program else 0
        if changed and reason == 0:
            reason = _judge(
                data, table, n_lines, n_removed, text_start, text_end, rewritten, max_removed_share, min_words
            )
        marks[document, _REASON] = reason
        if reason == 0:
            at_start = at
            if changed:
                out, at = join_lines(data, table, n_lines, rewritten, out, at)
                n_rows, log, n_rewritten = log_lines(
                    data, table, table_scores, n_lines, rewritten, document, n_rows, log
                )
                counts[_LINES_REMOVED], counts[_LINES_REWRITTEN] = n_removed, n_rewritten
                counts[_CHARACTERS] = count_characters(out, at_start, at)
            else:
                out = room(out, at, n_bytes)
                at = copy(out, at, data, text_start, n_bytes)
                counts[_CHARACTERS] = counts[_CHARACTERS_ORIGINAL]
        out_offsets[document + 1] = at
    return out, out_offsets, all_counts, marks, n_rows, log


@inner
def _judge(
    data: Bytes, table: Integers, n_lines: int, n_removed: int, text_start: int, text_end: int,
    rewritten: Bytes, max_removed_share: float, min_words: int,
) -> int:  # fmt: skip
    """The document's guards. Most documents pass by far: then only the first of their words are counted."""
    if n_removed == n_lines:
        return _REMOVED_SHARE
    kept_share = 1.0 - max_removed_share
    enough = max(kept_share * most_words(text_end - text_start) + 1.0, np.float64(min_words))
    after = count_surviving_words(data, table, n_lines, rewritten, True, enough)
    if after > enough:
        return 0
    before = count_words(data, text_start, text_end, True)
    if after <= kept_share * before:
        return _REMOVED_SHARE
    return _TOO_SHORT if before > min_words and after <= min_words else 0
