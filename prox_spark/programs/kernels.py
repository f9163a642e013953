"""The parser of ``parser.py`` over the bytes of many programs, compiled. Same grammar, same outcomes."""

from typing import Any, NamedTuple

import numpy as np

from prox_spark.programs.bytes_kernels import Bytes, Integers, Texts, copy, equal, find_byte, room
from prox_spark.programs.compiled import entry, inner
from prox_spark.programs.lookup import (
    COLUMNS,
    FLAGGED,
    FUNCTION_AT,
    FUNCTION_OPERATION,
    FUNCTIONS,
    IS_INTEGER,
    IS_STRING,
    IS_TRUE,
    KEYWORD_AT,
    KEYWORDS,
    LINE_END,
    LINE_START,
    LONGEST_FUNCTION,
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
)
from prox_spark.programs.model import MAX_LINE
from prox_spark.programs.operations import MAX_ARGUMENTS

OK, MALFORMED, TRUNCATED, UNKNOWN = range(4)
_NO_KEYWORD = -1
_FIRST, _ARGUMENT, _VALUE, _EQUALS, _SEPARATOR = range(5)
_KEYWORD, _TYPE, _FROM, _TO = range(4)
_SPACE, _TAB, _NEWLINE, _QUOTE, _HASH, _APOSTROPHE, _OPEN, _CLOSE = 32, 9, 10, 34, 35, 39, 40, 41
_PLUS, _COMMA, _MINUS, _EQUAL_SIGN, _BACKSLASH, _UNDERSCORE, _BACKTICK, _N, _T, _U = (
    43, 44, 45, 61, 92, 95, 96, 110, 116, 117,
)  # fmt: skip


class Calls(NamedTuple):
    """The calls of many programs: those of program ``i`` are rows ``firsts[i]`` to ``firsts[i + 1]`` of the table.

    ``strings`` holds the bytes of their sources and targets.
    """

    firsts: Integers
    table: Integers
    strings: Bytes


@inner
def _is_digit(byte: int) -> bool:
    return 48 <= byte <= 57


@inner
def _after_blanks(data: Bytes, position: int, end: int) -> int:
    while position < end and (data[position] == _SPACE or data[position] == _TAB):
        position += 1
    return position


@inner
def _after_name(data: Bytes, position: int, end: int) -> int:
    """The end of the name that starts here; ``position`` where none does."""
    if position < end and _is_digit(data[position]):
        return position
    while position < end:
        byte = data[position]
        if not (97 <= byte | 32 <= 122 or byte == _UNDERSCORE or _is_digit(byte)):
            break
        position += 1
    return position


@inner
def _index(data: Bytes, start: int, end: int, words: Bytes, at: Integers) -> int:
    """Which word of a table this is; -1 for none."""
    for word in range(at.shape[0] - 1):
        length = at[word + 1] - at[word]
        if length == end - start and equal(data, start, words, at[word], length):
            return word
    return -1


@inner
def _starts_a_name(data: Bytes, start: int, end: int) -> bool:
    length = end - start
    for word in range(FUNCTION_AT.shape[0] - 1):
        if FUNCTION_AT[word + 1] - FUNCTION_AT[word] >= length and equal(
            data, start, FUNCTIONS, FUNCTION_AT[word], length
        ):
            return True
    return False


@inner
def _call_follows(data: Bytes, position: int, end: int) -> bool:
    start = _after_blanks(data, position, end)
    stop = _after_name(data, start, end)
    if stop == start or stop - start > LONGEST_FUNCTION or _index(data, start, stop, FUNCTIONS, FUNCTION_AT) < 0:
        return False
    stop = _after_blanks(data, stop, end)
    return stop < end and data[stop] == _OPEN


@inner
def _closing_quote(data: Bytes, opening: int, end: int) -> int:
    quote, position = data[opening], opening + 1
    while position < end:
        byte = data[position]
        if byte == quote:
            return position
        if byte == _BACKSLASH:
            position += 2
        else:
            position += 1
            if byte == _NEWLINE and _call_follows(data, position, end):
                return -position
    return -end


@inner
def _hex(data: Bytes, position: int, end: int) -> int:
    """The four hexadecimal digits of ``\\uXXXX`` whose backslash is here; -1 where that is not what stands here."""
    if position + 6 > end or data[position] != _BACKSLASH or data[position + 1] != _U:
        return -1
    code = 0
    for i in range(position + 2, position + 6):
        byte = data[i]
        if _is_digit(byte):
            code = code * 16 + byte - 48
        elif 97 <= byte | 32 <= 102:
            code = code * 16 + (byte | 32) - 87
        else:
            return -1
    return code


@inner
def _write_utf8(strings: Bytes, at: int, code: int) -> int:
    if code < 0x80:
        strings[at] = code
        return at + 1
    if code < 0x800:
        strings[at] = 0xC0 | code >> 6
        strings[at + 1] = 0x80 | code & 0x3F
        return at + 2
    if code < 0x10000:
        strings[at] = 0xE0 | code >> 12
        strings[at + 1] = 0x80 | code >> 6 & 0x3F
        strings[at + 2] = 0x80 | code & 0x3F
        return at + 3
    strings[at] = 0xF0 | code >> 18
    strings[at + 1] = 0x80 | code >> 12 & 0x3F
    strings[at + 2] = 0x80 | code >> 6 & 0x3F
    strings[at + 3] = 0x80 | code & 0x3F
    return at + 4


@inner
def _unescape(data: Bytes, start: int, end: int, strings: Bytes, at: int) -> int:
    """Write the string between two quotes; it is never longer than it was written."""
    position = start
    while True:
        found = find_byte(data, position, end, _BACKSLASH)
        at = copy(strings, at, data, position, found - position)
        if found == end:
            return at
        following = data[found + 1]
        position = found + 2
        if following == _N:
            at = _write_utf8(strings, at, _NEWLINE)
        elif following == _T:
            at = _write_utf8(strings, at, _TAB)
        elif following in (_BACKSLASH, _QUOTE, _APOSTROPHE):
            at = _write_utf8(strings, at, following)
        else:
            code = _hex(data, found, end)
            if 0xD800 <= code < 0xDC00:
                low = _hex(data, found + 6, end)
                if 0xDC00 <= low < 0xE000:
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
                    position = found + 8
            if code < 0 or 0xD800 <= code < 0xE000:
                # What follows is no backslash here, so it is copied with the rest.
                at = _write_utf8(strings, at, _BACKSLASH)
                position = found + 1
            else:
                at = _write_utf8(strings, at, code)
                position += 4


@inner
def _integer(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """The saturated integer that starts here, and the position after it; the same position where none does."""
    sign, start = 1, position
    if data[position] == _PLUS or data[position] == _MINUS:
        sign = -1 if data[position] == _MINUS else 1
        start = position + 1
    value: Any = 0
    stop = start
    while stop < end and _is_digit(data[stop]):
        value = value * 10 + (np.int64(data[stop]) - 48) if value < MAX_LINE // 10 else MAX_LINE
        stop += 1
    return (0, position) if stop == start else (sign * value, stop)


@inner
def _build(operation: int, values: Integers, n_values: int, strings: Bytes, row: Integers) -> bool:
    """Fill the row of a call from its arguments; ``False`` where the function does not take them."""
    row[LINE_START], row[LINE_END] = 0, 0
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
        slot = i if keyword == _NO_KEYWORD else (SLOTS[operation, keyword] if keyword >= 0 else -1)
        if slot < 0 or given >> slot & 1 or TYPES[operation, slot] != values[i, _TYPE]:
            return False
        given |= 1 << slot
        column, last = COLUMNS[operation, slot]
        if values[i, _TYPE] == IS_INTEGER:
            row[column], row[last] = values[i, _FROM], values[i, _FROM]
        else:
            row[column], row[column + 1] = values[i, _FROM], values[i, _TO]
        # A newline in a target would renumber the lines of the document.
        if column == TARGET and find_byte(strings, row[TARGET], row[TARGET_END], _NEWLINE) < row[TARGET_END]:
            return False
    return bool(given & NEEDED[operation] == NEEDED[operation])


@inner
def _call(
    data: Bytes, position: int, end: int, operation: int, strings: Bytes, used: int, values: Integers, row: Integers
) -> tuple[int, int, int]:
    """A known function from after its bracket: position after it, bytes of ``strings`` used, outcome."""
    expects, keyword, n_values, bad, before = _FIRST, _NO_KEYWORD, 0, False, used
    while position < end:
        byte = data[position]
        kind, start, stop = -1, 0, 0
        if byte == _NEWLINE:
            position += 1
            if _call_follows(data, position, end):
                return position, before, MALFORMED
            continue
        if byte == _SPACE or 9 <= byte <= 13:
            position += 1
            continue
        if byte == _CLOSE:
            complete = not bad and expects in (_FIRST, _SEPARATOR)
            if complete and _build(operation, values, n_values, strings, row):
                return position + 1, used, OK
            return position + 1, before, MALFORMED
        if byte in (_QUOTE, _APOSTROPHE):
            closing = _closing_quote(data, position, end)
            if closing < 0:
                return -closing, before, TRUNCATED if -closing >= end else MALFORMED
            kind, start = IS_STRING, used
            used = stop = _unescape(data, position + 1, closing, strings, used)
            position = closing + 1
        else:
            start, after = _integer(data, position, end)
            if after > position:
                kind, position = IS_INTEGER, after
            else:
                after = _after_name(data, position, end)
                if after > position and expects == _VALUE and _index(data, position, after, TRUE_WORDS, TRUE_AT) >= 0:
                    kind = IS_TRUE
                elif after > position and (expects in (_FIRST, _ARGUMENT)):
                    keyword, expects = _index(data, position, after, KEYWORDS, KEYWORD_AT), _EQUALS
                    keyword = -2 if keyword < 0 else keyword
                elif byte == _EQUAL_SIGN and expects == _EQUALS:
                    expects = _VALUE
                elif byte == _COMMA and expects == _SEPARATOR:
                    expects = _ARGUMENT
                else:
                    bad = True
                position = max(after, position + 1)
        if kind >= 0:
            if expects in (_EQUALS, _SEPARATOR) or n_values == MAX_ARGUMENTS:
                bad = True
            else:
                values[n_values, _KEYWORD], values[n_values, _TYPE] = keyword, kind
                values[n_values, _FROM], values[n_values, _TO] = start, stop
                n_values += 1
            keyword, expects = _NO_KEYWORD, _SEPARATOR
    return end, before, TRUNCATED


@inner
def _statement(
    data: Bytes, start: int, end: int, strings: Bytes, used: int, values: Integers, row: Integers
) -> tuple[int, int]:
    """Fill the row of one call, or of what stands in its place: position after it, bytes of ``strings`` used."""
    row[:] = -1
    row[OPERATION], row[OUTCOME] = 0, UNKNOWN
    stop = _after_name(data, start, end)
    if stop > start:
        name = -1
        short = stop - start <= LONGEST_FUNCTION
        if short:
            name = _index(data, start, stop, FUNCTIONS, FUNCTION_AT)
        after = _after_blanks(data, stop, end)
        if name >= 0:
            row[OPERATION], row[OUTCOME] = FUNCTION_OPERATION[name], MALFORMED
            if after < end and data[after] == _OPEN:
                position, used, outcome = _call(
                    data, after + 1, end, FUNCTION_OPERATION[name], strings, used, values, row
                )
                row[OUTCOME] = outcome
                if outcome != OK:
                    row[LINE_START:] = -1
                return position, used
        if after >= end and short and _starts_a_name(data, start, stop):
            row[OUTCOME] = TRUNCATED
            return end, used
    return find_byte(data, start, end, _NEWLINE), used


@inner
def _after_fence(data: Bytes, position: int, end: int) -> int:
    while position < end and data[position] == _BACKTICK:
        position += 1
    word = _after_name(data, position, end)
    after = _after_blanks(data, word, end)
    return position if after < end and data[after] == _OPEN else word


@entry
def parse_programs(programs: Texts) -> Calls:
    """Parse every program; a null one has no calls."""
    data, starts, ends = programs.data, programs.starts, programs.ends
    n_programs = starts.shape[0]
    firsts = np.empty(n_programs + 1, np.int64)
    total = 0
    for i in range(n_programs):
        total += ends[i] - starts[i]
    calls = np.empty((total // 24 + n_programs + 1, 8), np.int64)
    strings = np.empty(total + 1, np.uint8)
    values = np.empty((MAX_ARGUMENTS, 4), np.int64)
    n_calls, used = 0, 0
    for i in range(n_programs):
        firsts[i] = n_calls
        position, end = starts[i], ends[i]
        while position < end:
            byte = data[position]
            if byte == _SPACE or 9 <= byte <= 13:
                position += 1
            elif byte == _HASH:
                position = find_byte(data, position, end, _NEWLINE)
            elif (
                byte == _BACKTICK
                and position + 2 < end
                and data[position + 1] == _BACKTICK
                and data[position + 2] == _BACKTICK
            ):
                position = _after_fence(data, position, end)
            else:
                calls = room(calls, n_calls, 1)
                position, used = _statement(data, position, end, strings, used, values, calls[n_calls])
                n_calls += 1
    firsts[n_programs] = n_calls
    return Calls(firsts, calls[:n_calls], strings)


@entry
def gather(data: Bytes, starts: Integers, ends: Integers) -> tuple[Integers, Bytes]:
    """Offsets and bytes of the strings ``data[starts[i]:ends[i]]``, one after the other; a negative start is empty."""
    n = starts.shape[0]
    offsets = np.empty(n + 1, np.int64)
    offsets[0] = 0
    for i in range(n):
        offsets[i + 1] = offsets[i] + (ends[i] - starts[i] if starts[i] >= 0 else 0)
    gathered = np.empty(offsets[n], np.uint8)
    for i in range(n):
        copy(gathered, offsets[i], data, starts[i], offsets[i + 1] - offsets[i])
    return offsets, gathered
