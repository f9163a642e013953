"""``strict`` mode over many documents, compiled: the rules of ``strict.py``, step by step."""

from typing import Any, NamedTuple

import numpy as np

from prox_spark.execution.compat import TOO_COSTLY, ZERO_DIVISION
from prox_spark.execution.groups import BatchArrays, Chunks, LogColumns
from prox_spark.execution.insert_kernels import insert, join, new_inserts, note
from prox_spark.execution.line_kernels import (
    BY,
    CALL,
    CHUNK,
    FROM,
    JOINED_BY,
    JOINED_CHUNK,
    JOINED_SCORE,
    REWRITTEN_BY,
    START,
    TO,
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
from prox_spark.execution.result import COUNTS, NULL_TEXT
from prox_spark.execution.settings import Limits
from prox_spark.execution.strict import EDIT_BUDGET, EDIT_BUDGET_BASE, GROWTH_BASE, GUARDS
from prox_spark.programs.bytes_kernels import Bytes, Integers, Texts, copy, count_characters, equal, find_byte, room
from prox_spark.programs.compiled import entry, inner
from prox_spark.programs.kernels import OK, PROSE, TRUNCATED, Calls
from prox_spark.programs.lookup import (
    AT,
    HAS_LINES,
    INDEX,
    LINE_END,
    LINE_START,
    OPERATION,
    OUTCOME,
    REMOVE_LINES,
    SOURCE,
    SOURCE_END,
    TARGET,
    TARGET_END,
    UNIQUE,
    edits_of,
)

REASONS: tuple[str | None, ...] = (None, "program", "removed_share", "too_short")
RAISED: tuple[str | None, ...] = (None, NULL_TEXT, ZERO_DIVISION, TOO_COSTLY)
"""Names of the codes that kernels give for a document."""
_REASON, _GUARD, _RAISED = range(3)
_BY_PROGRAM, _REMOVED_SHARE, _TOO_SHORT = range(1, 4)
_ERROR_BUDGET, _LOOP, _OVER_EDIT_BUDGET = (1 << GUARDS.index(name) for name in ("error_budget", "loop", "edit_budget"))
(
    _LINES, _LINES_REMOVED, _LINES_REWRITTEN, _CHARACTERS, _CHARACTERS_ORIGINAL, _CALLS, _ERRORS, _TRUNCATED,
    _CLIPPED, _NO_MATCH, _REPEATED, _LOW_CONFIDENCE, _CHUNKS, _CHUNKS_VOIDED,
) = range(len(COUNTS))  # fmt: skip
_EDITS_LINES, _EDITS_STRINGS, _EDITS_DOCUMENT = edits_of("lines"), edits_of("strings"), edits_of("document")
_INSERTS = edits_of("inserts")
_FEW_CALLS = 16
_NEWLINE, _SPACE = 10, 32
_ODD = 0x1E3779B97F4A7C15
"""A large odd number: multiplying by it loses no bits, and spreads the low ones."""
_NAN: Any = np.float32(np.nan)


class Scope(NamedTuple):
    """A chunk: its index in the batch, its number in the document, its lines (clipped to the document), and the number of
    lines of the document."""

    chunk: int
    number: int
    start: int
    end: int
    n_lines: int


class Plan(NamedTuple):
    """The plan of a program: its steps; row k of ``seen`` has the k-th distinct call and its number of occurrences."""

    steps: Steps
    seen: Integers


@inner
def _hash(calls: Calls, call: int) -> int:
    row = calls.table[call]
    value: Any = np.int64(0)
    # Mix after each field: otherwise a program could force collisions by keeping a sum of fields equal.
    for column in (OPERATION, LINE_START, LINE_END, INDEX):
        value = (value ^ row[column]) * _ODD
        value ^= value >> 29
    for column in (SOURCE, TARGET):
        value = value * 31 + 7
        for i in range(row[column], row[column + 1]):
            value = value * 31 + np.int64(calls.strings[i])
    hashed: int = value ^ value >> 29
    return hashed


@inner
def _same_call(calls: Calls, one: int, other: int) -> bool:
    a, b = calls.table[one], calls.table[other]
    if a[OPERATION] != b[OPERATION] or a[LINE_START] != b[LINE_START] or a[LINE_END] != b[LINE_END]:
        return False
    if a[INDEX] != b[INDEX]:
        return False
    for column in (SOURCE, TARGET):
        length = a[column + 1] - a[column]
        if b[column + 1] - b[column] != length:
            return False
        if not equal(calls.strings, a[column], calls.strings, b[column], length):
            return False
    return True


@inner
def _find_seen(
    calls: Calls, call: int, seen: Integers, n_seen: int, buckets: Integers, hashed: bool
) -> tuple[int, int]:
    """The row of ``seen`` with an equal call (-1 for none), and its bucket, or the free bucket for the call."""
    if not hashed:
        for i in range(n_seen):
            if _same_call(calls, seen[i, 0], call):
                return i, 0
        return -1, 0
    mask = buckets.shape[0] - 1
    bucket = _hash(calls, call) & mask
    while buckets[bucket] >= 0:
        if _same_call(calls, seen[buckets[bucket], 0], call):
            return buckets[bucket], bucket
        bucket = bucket + 1 & mask
    return -1, bucket


@inner
def _plan(
    calls: Calls, places: Integers, chunks: Chunks, scope: Scope, limits: Limits, counts: Integers, plan: Plan
) -> tuple[int, int, int, int, Plan]:
    """Plan a program: the numbers of steps, edits and clipped steps, the guard that voids it, and the plan."""
    first, last = calls.firsts[scope.chunk], calls.firsts[scope.chunk + 1]
    offset = chunks.offsets[scope.chunk]
    confidence = chunks.confidences.starts[scope.chunk]
    n_confidences = chunks.confidences.ends[scope.chunk] - confidence
    steps, step_scores = room(plan.steps.rows, 0, last - first + 1), room(plan.steps.scores, 0, last - first + 1)
    seen = room(plan.seen, 0, last - first)
    hashed = last - first > _FEW_CALLS
    n_buckets = 1
    while hashed and n_buckets < 2 * (last - first):
        n_buckets *= 2
    buckets = np.full(n_buckets, -1, np.int64)
    n_steps, n_edits, n_clipped, n_seen, errors, most = 0, 0, 0, 0, 0, 0
    for call in range(first, last):
        row = calls.table[call]
        if row[OUTCOME] == PROSE:
            continue
        counts[_CALLS] += 1
        place = places[call]
        score = chunks.confidences.values[confidence + place] if 0 <= place < n_confidences else _NAN
        if score < limits.min_confidence:
            counts[_LOW_CONFIDENCE] += 1
            continue
        if row[OUTCOME] == TRUNCATED:
            counts[_TRUNCATED] += 1
            continue
        if row[OUTCOME] != OK:
            errors += 1
            continue
        at, bucket = _find_seen(calls, call, seen, n_seen, buckets, hashed)
        if at >= 0:
            seen[at, 1] += 1
            most = max(most, seen[at, 1])
            counts[_REPEATED] += 1
            continue
        seen[n_seen, 0], seen[n_seen, 1] = call, 1
        buckets[bucket] = n_seen
        n_seen += 1
        most = max(most, 1)
        operation, line_start, line_end = row[OPERATION], scope.start, scope.end
        if HAS_LINES[operation]:
            said_start, said_end = row[LINE_START] + offset, row[LINE_END] + offset
            low = -1 if scope.start == 0 and _INSERTS[operation] else scope.start
            line_start, line_end = max(low, said_start), min(scope.end, said_end)
            if line_start > line_end:
                elsewhere = said_start <= said_end and said_end >= 0 and said_start < scope.n_lines
                if limits.semantics > 1 and elsewhere:
                    counts[_CLIPPED] += 1
                else:
                    errors += 1
                continue
            n_clipped += line_start != said_start or line_end != said_end
        n_edits += _EDITS_STRINGS[operation]
        n_steps += 1
        steps[n_steps, BY], steps[n_steps, FROM], steps[n_steps, TO] = operation, line_start, line_end
        steps[n_steps, CALL], steps[n_steps, CHUNK] = call, scope.number
        step_scores[n_steps] = score
    counts[_ERRORS] += errors
    guard = 0
    if most > limits.max_repeats:
        guard = _LOOP
    elif errors > limits.error_budget and (limits.semantics == 1 or errors > n_steps):
        guard = _ERROR_BUDGET
    return n_steps, n_edits, n_clipped, guard, Plan(Steps(steps, step_scores), seen)


@inner
def _lines_of_step(lines: Integers, n_lines: int, step: Integers) -> tuple[int, int]:
    """The rows of the open lines that a step may edit: first, and one past the last."""
    if not HAS_LINES[step[BY]]:
        return 0, n_lines
    low, high = 0, n_lines
    while low < high:
        middle = (low + high) // 2
        if lines[middle, 0] < step[FROM]:
            low = middle + 1
        else:
            high = middle
    after = low
    while after < n_lines and lines[after, 0] <= step[TO]:
        after += 1
    return low, after


@inner
def _edit(
    calls: Calls,
    steps: Steps,
    step: int,
    opened: Open,
    n_lines: int,
    growth: int,
    most_growth: int,
    semantics: int,
    counts: Integers,
) -> tuple[Open, int]:
    """Apply one step that edits strings to the open lines; returns the lines, and the growth so far."""
    call, lines = calls.table[steps.rows[step, CALL]], opened.rows
    source, source_end, target, target_end = call[SOURCE], call[SOURCE_END], call[TARGET], call[TARGET_END]
    from_line, to_line = _lines_of_step(lines, n_lines, steps.rows[step])
    n_hits, hits = 0, opened.hits
    length = source_end - source
    # Removing every single blank would leave a text without words.
    unique = semantics > 1 and UNIQUE[call[OPERATION]]
    blank = semantics > 1 and length == 1 and calls.strings[source] == _SPACE
    if (
        length > 0
        and not blank
        and from_line < to_line
        and find_byte(calls.strings, source, source_end, _NEWLINE) == source_end
    ):
        start, end = lines[from_line, 1], lines[to_line, 1] - 1
        n_hits, hits = find_all(opened.working, start, end, calls.strings, source, source_end, hits)
        opened = Open(lines, opened.working, opened.other, hits)
        if unique and n_hits > 1:
            n_hits = 0
    if n_hits == 0:
        counts[_NO_MATCH] += 1
        return opened, growth
    added = n_hits * (target_end - target - length)
    if added > 0:
        if growth + added > most_growth:
            counts[_ERRORS] += 1
            return opened, growth
        growth += added
    return replace_all(opened, n_lines, n_hits, length, calls.strings, target, target_end, step), growth


@inner
def _ends_line(calls: Calls, call: Integers) -> bool:
    """Whether an edit is written with the newline at the end of its line."""
    source, target = call[SOURCE_END] - 1, call[TARGET_END] - 1
    return bool(
        (source >= call[SOURCE] >= 0 and calls.strings[source] == _NEWLINE)
        or (target >= call[TARGET] >= 0 and calls.strings[target] == _NEWLINE)
    )


@inner
def _edit_end(
    calls: Calls,
    steps: Steps,
    step: int,
    opened: Open,
    n_open: int,
    table: Table,
    n_lines: int,
    growth: int,
    most_growth: int,
    counts: Integers,
) -> tuple[Open, int]:
    """Apply one step that edits the end of a line to the open lines: the lines, and the growth so far."""
    call, lines, strings = calls.table[steps.rows[step, CALL]], opened.rows, calls.strings
    source, source_end, target, target_end = call[SOURCE], call[SOURCE_END], call[TARGET], call[TARGET_END]
    takes = source_end > source and strings[source_end - 1] == _NEWLINE
    gives = target_end > target and strings[target_end - 1] == _NEWLINE
    source_end, target_end = source_end - takes, target_end - gives
    from_line, to_line = _lines_of_step(lines, n_open, steps.rows[step])
    length, n_hits, hits = source_end - source, 0, opened.hits
    if from_line < to_line and find_byte(strings, source, source_end, _NEWLINE) == source_end:
        start, end = lines[from_line, 1], lines[to_line, 1] - 1
        if end - start >= length and equal(opened.working, end - length, strings, source, length):
            if takes:
                number = lines[from_line, 0]
                n_hits = number < n_lines - 1 and table.rows[number, JOINED_BY] == 0
            elif length > 1 or (length == 1 and strings[source] != _SPACE):
                n_hits, hits = find_all(opened.working, start, end, strings, source, source_end, hits)
                opened = Open(lines, opened.working, opened.other, hits)
    if n_hits != 1:
        counts[_NO_MATCH] += 1
        return opened, growth
    added = target_end - target - length
    if added > 0:
        if growth + added > most_growth:
            counts[_ERRORS] += 1
            return opened, growth
        growth += added
    hits[0] = lines[to_line, 1] - 1 - length
    if takes and not gives:
        number = lines[from_line, 0]
        table.rows[number, JOINED_BY], table.rows[number, JOINED_CHUNK] = steps.rows[step, BY], steps.rows[step, CHUNK]
        table.scores[number, JOINED_SCORE] = steps.scores[step]
    return replace_all(opened, n_open, 1, length, strings, target, target_end, step), growth


@entry
def confidence_places(first_reading: Calls, calls: Calls) -> Integers:
    """For each call the index of its confidence in its program: that of the call that version 1 of the rules reads there."""
    places = np.empty(calls.table.shape[0], np.int64)
    for program in range(calls.firsts.shape[0] - 1):
        first, last = first_reading.firsts[program], first_reading.firsts[program + 1]
        place = -1
        for call in range(calls.firsts[program], calls.firsts[program + 1]):
            while first + place + 1 < last and first_reading.table[first + place + 1, AT] <= calls.table[call, AT]:
                place += 1
            places[call] = place
    return places


@entry
def execute_strict_batch(
    texts: Texts, chunks: Chunks, calls: Calls, places: Integers, limits: Limits, out: Bytes, log: LogColumns
) -> BatchArrays:
    """Execute the programs of every document. ``places`` come from ``confidence_places``, ``out`` and ``log`` from
    ``new_buffers``."""
    data = texts.data
    n_documents = texts.starts.shape[0]
    out_offsets = np.zeros(n_documents + 1, np.int64)
    all_counts = np.zeros((n_documents, len(COUNTS)), np.int64)
    marks = np.zeros((n_documents, 3), np.int64)
    n_rows, at = 0, 0
    table, opened, rewritten = new_table(), new_open(), np.empty(65536, np.uint8)
    plan = Plan(new_steps(), np.empty((64, 2), np.int64))
    inserts = new_inserts()
    for document in range(n_documents):
        counts = all_counts[document]
        if texts.valid[document] == 0:
            marks[document, _RAISED] = 1
            out_offsets[document + 1] = at
            continue
        text_start, text_end = texts.starts[document], texts.ends[document]
        n_bytes = text_end - text_start
        n_lines, table = split_lines(data, text_start, text_end, table)
        n_removed, used, edit_bytes, growth, n_inserts = 0, 0, 0, 0, 0
        by_program, edited = False, False
        for chunk in range(chunks.firsts[document], chunks.lasts[document]):
            index, line_start = chunk - chunks.firsts[document], chunks.line_starts[chunk]
            start = max(0, line_start)
            end = max(start - 1, min(n_lines - 1, chunks.line_ends[chunk]))
            for i in range(chunks.line_scores.starts[chunk], chunks.line_scores.ends[chunk]):
                line = line_start + i - chunks.line_scores.starts[chunk]
                score = chunks.line_scores.values[i]
                if start <= line <= end and score < limits.drop_line_below:
                    n_removed += remove(table, line, line, REMOVE_LINES, index, score)
            counts[_CHUNKS] += 1
            if calls.firsts[chunk] == calls.firsts[chunk + 1]:
                continue
            scope = Scope(chunk, index, start, end, n_lines)
            n_steps, n_edits, n_clipped, guard, plan = _plan(calls, places, chunks, scope, limits, counts, plan)
            steps = plan.steps
            if n_edits > 0 and guard == 0:
                read = table.rows[end + 1, START] - table.rows[start, START] if start <= end else 0
                if edit_bytes + n_edits * read > EDIT_BUDGET * n_bytes + EDIT_BUDGET_BASE:
                    guard = _OVER_EDIT_BUDGET
                else:
                    edit_bytes += n_edits * read
            if guard != 0:
                marks[document, _GUARD] |= guard
                counts[_CHUNKS_VOIDED] += 1
                continue
            counts[_CLIPPED] += n_clipped
            for step in range(1, n_steps + 1):
                row = steps.rows[step]
                if _EDITS_LINES[row[BY]]:
                    n_removed += remove(table, row[FROM], row[TO], row[BY], index, steps.scores[step])
                by_program |= _EDITS_DOCUMENT[row[BY]]
            most_growth = n_bytes + GROWTH_BASE
            for step in range(1, n_steps + 1):
                if not _INSERTS[steps.rows[step, BY]]:
                    continue
                call = calls.table[steps.rows[step, CALL]]
                added = call[TARGET_END] - call[TARGET] + 1
                if growth + added > most_growth:
                    counts[_ERRORS] += 1
                    continue
                growth += added
                inserts = note(inserts, n_inserts, steps, step, call[INDEX])
                n_inserts += 1
            if n_edits == 0:
                continue
            edited = True
            n_open, opened = open_lines(data, table, start, end, rewritten, opened)
            for step in range(1, n_steps + 1):
                by = steps.rows[step, BY]
                if not _EDITS_STRINGS[by]:
                    continue
                if limits.semantics > 2 and UNIQUE[by] and _ends_line(calls, calls.table[steps.rows[step, CALL]]):
                    opened, growth = _edit_end(
                        calls, steps, step, opened, n_open, table, n_lines, growth, most_growth, counts
                    )
                else:
                    opened, growth = _edit(
                        calls, steps, step, opened, n_open, growth, most_growth, limits.semantics, counts
                    )
            rewritten, used = close_lines(data, table, opened, n_open, rewritten, used, steps)
        if edited and limits.semantics > 2:
            rewritten, used, n_joined = join(data, table, n_lines, inserts, n_inserts, rewritten, used)
            n_removed += n_joined
        if n_inserts > 0:
            edited = True
            rewritten, n_removed = insert(
                data, table, n_lines, inserts, n_inserts, calls, limits.semantics, rewritten, used, n_removed
            )
        counts[_LINES] = n_lines
        counts[_CHARACTERS_ORIGINAL] = count_characters(data, text_start, text_end)
        changed = n_removed > 0
        if edited:
            for line in range(n_lines):
                changed |= table.rows[line, REWRITTEN_BY] != 0
        reason = _BY_PROGRAM if by_program else 0
        if changed and reason == 0:
            reason = _judge(data, text_start, text_end, table, n_lines, n_removed, rewritten, limits)
        marks[document, _REASON] = reason
        if reason == 0:
            at_start = at
            if changed:
                out, at = join_lines(data, table, n_lines, rewritten, out, at)
                n_rows, log, n_rewritten = log_lines(data, table, n_lines, rewritten, document, n_rows, log)
                counts[_LINES_REMOVED], counts[_LINES_REWRITTEN] = n_removed, n_rewritten
                counts[_CHARACTERS] = count_characters(out, at_start, at)
            else:
                out = room(out, at, n_bytes)
                at = copy(out, at, data, text_start, n_bytes)
                counts[_CHARACTERS] = counts[_CHARACTERS_ORIGINAL]
        out_offsets[document + 1] = at
    return BatchArrays(out, out_offsets, all_counts, marks, n_rows, log)


@inner
def _judge(
    data: Bytes, start: int, end: int, table: Table, n_lines: int, n_removed: int, rewritten: Bytes, limits: Limits
) -> int:
    """The document's guards. Most documents pass easily, so only their first words are counted."""
    if n_removed == n_lines:
        return _REMOVED_SHARE
    kept_share = 1.0 - limits.max_removed_share
    enough = max(kept_share * most_words(end - start) + 1.0, np.float64(limits.min_words))
    after = count_surviving_words(data, table, n_lines, rewritten, True, enough)
    if after > enough:
        return 0
    before = count_words(data, start, end, True)
    if after <= kept_share * before:
        return _REMOVED_SHARE
    return _TOO_SHORT if before > limits.min_words and after <= limits.min_words else 0
