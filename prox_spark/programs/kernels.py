"""The parser of ``parser.py`` over the bytes of many programs, compiled. Same grammar, same outcomes."""

from typing import NamedTuple

import numpy as np

from prox_spark.programs.bytes_kernels import Bytes, Integers, Texts, copy, find_byte, room
from prox_spark.programs.compiled import entry, inner
from prox_spark.programs.literal_kernels import integer, unescape
from prox_spark.programs.lookup import (
    AT,
    COLUMNS,
    FLAGGED,
    FUNCTION_OPERATION,
    INDEX,
    IS_INTEGER,
    IS_STRING,
    IS_TRUE,
    KEYWORD_AT,
    KEYWORDS,
    LINE_END,
    LINE_START,
    N_COLUMNS,
    NEEDED,
    OPERATION,
    OUTCOME,
    SLOTS,
    SOURCE,
    SOURCE_END,
    TARGET,
    TARGET_END,
    TRUE_AT,
    TRUE_WORDS,
    TYPES,
    UNIQUE,
    edits_of,
)
from prox_spark.programs.operations import MAX_ARGUMENTS, MAX_INDEX
from prox_spark.programs.word_kernels import after_blanks, after_name, call_follows, function, index, starts_a_name
from prox_spark.programs.written_kernels import (
    after_stray_thoughts,
    ends_here,
    in_sentence,
    is_prose,
    line_end,
    skipped,
)

OK, MALFORMED, TRUNCATED, UNKNOWN, PROSE = range(5)
_NO_KEYWORD = -1
_FIRST, _ARGUMENT, _VALUE, _EQUALS, _SEPARATOR = range(5)
_KEYWORD, _TYPE, _FROM, _TO, _SLOT = range(5)
_SPACE, _NEWLINE, _QUOTE, _HASH, _APOSTROPHE, _OPEN, _CLOSE = 32, 10, 34, 35, 39, 40, 41
_INSERTS = edits_of("inserts")
_COMMA, _EQUAL_SIGN, _BACKSLASH, _BACKTICK = 44, 61, 92, 96


class Calls(NamedTuple):
    """The calls of many programs: those of program ``i`` are rows ``firsts[i]`` to ``firsts[i + 1]`` of the table.

    ``strings`` holds the bytes of their sources and targets.
    """

    firsts: Integers
    table: Integers
    strings: Bytes


@inner
def _closing_quote(data: Bytes, opening: int, end: int, semantics: int) -> int:
    quote, position = data[opening], opening + 1
    while position < end:
        byte = data[position]
        if byte == quote:
            return position
        if byte == _BACKSLASH:
            position += 2
        else:
            position += 1
            if byte == _NEWLINE and call_follows(data, position, end, semantics):
                return -position
    return -end


@inner
def _build(form: int, values: Integers, n_values: int, strings: Bytes, semantics: int, row: Integers) -> bool:
    """Fill the row of a call from its arguments; ``False`` if the function does not take them."""
    operation = FUNCTION_OPERATION[form]
    row[LINE_START], row[LINE_END], row[INDEX] = 0, 0, 0
    row[SOURCE], row[SOURCE_END], row[TARGET], row[TARGET_END] = -1, -1, -1, -1
    row[OPERATION] = operation
    if n_values == 1 and values[0, _TYPE] == IS_TRUE:
        keyword = values[0, _KEYWORD]
        if keyword < 0 or FLAGGED[operation, keyword] == 0:
            return False
        row[OPERATION] = FLAGGED[operation, keyword]
        return True
    given = 0
    for i in range(n_values):
        keyword = values[i, _KEYWORD]
        slot = i if keyword == _NO_KEYWORD else (SLOTS[semantics, form, keyword] if keyword >= 0 else -1)
        if slot < 0 or given >> slot & 1 or TYPES[form, slot] != values[i, _TYPE]:
            return False
        given |= 1 << slot
        values[i, _SLOT] = slot
    if given & NEEDED[form] != NEEDED[form]:
        return False
    # In the order of the parameters, not of writing: a later one may be more exact.
    for slot in range(MAX_ARGUMENTS):
        for i in range(n_values):
            if values[i, _SLOT] != slot:
                continue
            column, last = COLUMNS[form, slot]
            if values[i, _TYPE] == IS_INTEGER:
                row[column], row[last] = values[i, _FROM], values[i, _FROM]
            else:
                row[column], row[column + 1] = values[i, _FROM], values[i, _TO]
    if not 0 <= row[INDEX] <= MAX_INDEX:
        return False
    newline = find_byte(strings, row[TARGET], row[TARGET_END], _NEWLINE)
    if newline >= row[TARGET_END]:
        return True
    # Elsewhere than at its end a newline in a target would renumber the lines of the document.
    if semantics < 3 or newline != row[TARGET_END] - 1 or not (_INSERTS[operation] or UNIQUE[operation]):
        return False
    if _INSERTS[operation]:
        row[TARGET_END] = newline
    return True


@inner
def _call(
    data: Bytes,
    position: int,
    end: int,
    form: int,
    semantics: int,
    strings: Bytes,
    used: int,
    values: Integers,
    row: Integers,
) -> tuple[int, int, int]:
    """Parse a known function from after its bracket; returns the position after it, bytes of ``strings`` used, outcome."""
    expects, keyword, n_values, bad, before = _FIRST, _NO_KEYWORD, 0, False, used
    named, only_names = False, True
    while position < end:
        byte = data[position]
        kind, start, stop = -1, 0, 0
        if byte == _NEWLINE:
            position += 1
            if call_follows(data, position, end, semantics):
                return position, before, MALFORMED
            continue
        if byte == _SPACE or 9 <= byte <= 13:
            position += 1
            continue
        if byte == _CLOSE:
            complete = not bad and expects in (_FIRST, _SEPARATOR)
            if complete and _build(form, values, n_values, strings, semantics, row):
                return position + 1, used, OK
            signature = semantics > 1 and named and only_names
            return position + 1, before, PROSE if signature else MALFORMED
        if byte in (_QUOTE, _APOSTROPHE):
            closing = _closing_quote(data, position, end, semantics)
            if closing < 0:
                return -closing, before, TRUNCATED if -closing >= end else MALFORMED
            kind, start = IS_STRING, used
            used = stop = unescape(data, position + 1, closing, strings, used)
            position = closing + 1
        else:
            start, after = integer(data, position, end)
            if after > position:
                kind, position = IS_INTEGER, after
            else:
                after = after_name(data, position, end)
                if semantics > 1 and ends_here(data, position, end, semantics):
                    return position, before, MALFORMED
                if semantics > 1 and expects == _FIRST and not bad and after > position:
                    bracket = after_blanks(data, after, end)
                    same = function(data, position, after, semantics) == form
                    if same and bracket < end and data[bracket] == _OPEN:
                        position = bracket + 1
                        continue
                named |= after > position
                only_names &= byte != _EQUAL_SIGN
                if after > position and expects == _VALUE and _is_true(data, position, after):
                    kind = IS_TRUE
                elif after > position and (expects in (_FIRST, _ARGUMENT)):
                    keyword = index(data, position, after, KEYWORDS, KEYWORD_AT, KEYWORD_AT.shape[0] - 1)
                    keyword, expects = -2 if keyword < 0 else keyword, _EQUALS
                elif byte == _EQUAL_SIGN and expects == _EQUALS:
                    expects = _VALUE
                elif byte == _COMMA and expects == _SEPARATOR:
                    expects = _ARGUMENT
                else:
                    bad = True
                position = max(after, position + 1)
        if kind >= 0:
            only_names = False
            if expects in (_EQUALS, _SEPARATOR) or n_values == MAX_ARGUMENTS:
                bad = True
            else:
                values[n_values, _KEYWORD], values[n_values, _TYPE] = keyword, kind
                values[n_values, _FROM], values[n_values, _TO] = start, stop
                n_values += 1
            keyword, expects = _NO_KEYWORD, _SEPARATOR
    return end, before, TRUNCATED


@inner
def _is_true(data: Bytes, start: int, end: int) -> bool:
    return bool(index(data, start, end, TRUE_WORDS, TRUE_AT, TRUE_AT.shape[0] - 1) >= 0)


@inner
def _end_of_line(data: Bytes, position: int, end: int, semantics: int) -> int:
    return line_end(data, position, end, semantics) if semantics > 1 else find_byte(data, position, end, _NEWLINE)


@inner
def _statement(
    data: Bytes, start: int, end: int, semantics: int, strings: Bytes, used: int, values: Integers, row: Integers
) -> tuple[int, int]:
    """Fill the row of one call, or of the text in its place; returns the position after it, bytes of ``strings`` used."""
    row[:] = -1
    row[OPERATION], row[OUTCOME] = 0, UNKNOWN
    stop = after_name(data, start, end)
    sentence = semantics > 1
    if stop > start:
        form = function(data, start, stop, semantics)
        after = after_blanks(data, stop, end)
        if form >= 0:
            row[OPERATION], row[OUTCOME] = FUNCTION_OPERATION[form], MALFORMED
            if after < end and data[after] == _OPEN:
                position, used, outcome = _call(data, after + 1, end, form, semantics, strings, used, values, row)
                row[OUTCOME] = outcome
                if outcome != OK:
                    row[LINE_START:] = -1
                if outcome == PROSE:
                    row[OPERATION] = 0
                return position, used
        if after >= end and starts_a_name(data, start, stop, semantics):
            row[OUTCOME] = TRUNCATED
            return end, used
        sentence = sentence and (form < 0 or in_sentence(data, after, end))
    last = _end_of_line(data, start, end, semantics)
    if sentence and is_prose(data, start, last, semantics):
        row[OPERATION], row[OUTCOME] = 0, PROSE
    return last, used


@inner
def _after_fence(data: Bytes, position: int, end: int) -> int:
    while position < end and data[position] == _BACKTICK:
        position += 1
    word = after_name(data, position, end)
    after = after_blanks(data, word, end)
    return position if after < end and data[after] == _OPEN else word


@entry
def parse_programs(programs: Texts, semantics: int) -> Calls:
    """Parse every program by a version of the rules; a null one has no calls."""
    data, starts, ends = programs.data, programs.starts, programs.ends
    n_programs = starts.shape[0]
    firsts = np.empty(n_programs + 1, np.int64)
    total = 0
    for i in range(n_programs):
        total += ends[i] - starts[i]
    calls = np.empty((total // 24 + n_programs + 1, N_COLUMNS), np.int64)
    strings = np.empty(total + 1, np.uint8)
    values = np.empty((MAX_ARGUMENTS, 5), np.int64)
    n_calls, used = 0, 0
    for i in range(n_programs):
        firsts[i] = n_calls
        position, end = starts[i], ends[i]
        if semantics > 1:
            position = after_stray_thoughts(data, position, end, semantics)
        while position < end:
            byte = data[position]
            if byte == _SPACE or 9 <= byte <= 13:
                position += 1
                continue
            if byte == _HASH:
                position = _end_of_line(data, position, end, semantics)
                continue
            if (
                byte == _BACKTICK
                and position + 2 < end
                and data[position + 1] == _BACKTICK
                and data[position + 2] == _BACKTICK
            ):
                position = _after_fence(data, position, end)
                continue
            after = skipped(data, position, end, semantics) if semantics > 1 else position
            if after > position:
                position = after
                continue
            calls = room(calls, n_calls, 1)
            row, start = calls[n_calls], position
            if after < 0:
                row[:] = -1
                row[OPERATION], row[OUTCOME], position = 0, TRUNCATED, end
            else:
                position, used = _statement(data, position, end, semantics, strings, used, values, row)
            row[AT] = start - starts[i]
            # Merge successive lines of prose into one entry, even if comments, fences or thoughts are between them.
            again = n_calls > firsts[i] and row[OUTCOME] == PROSE and calls[n_calls - 1, OUTCOME] == PROSE
            n_calls += not again
    firsts[n_programs] = n_calls
    return Calls(firsts, calls[:n_calls], strings)


@entry
def gather(data: Bytes, starts: Integers, ends: Integers) -> tuple[Integers, Bytes]:
    """Offsets and concatenated bytes of the strings ``data[starts[i]:ends[i]]``; a negative start means empty."""
    n = starts.shape[0]
    offsets = np.empty(n + 1, np.int64)
    offsets[0] = 0
    for i in range(n):
        offsets[i + 1] = offsets[i] + (ends[i] - starts[i] if starts[i] >= 0 else 0)
    gathered = np.empty(offsets[n], np.uint8)
    for i in range(n):
        copy(gathered, offsets[i], data, starts[i], offsets[i + 1] - offsets[i])
    return offsets, gathered
