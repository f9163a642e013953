"""The rules of ``written.py`` over the bytes of programs, compiled."""

import numpy as np

from prox_spark.programs.bytes_kernels import Bytes, Integers, equal, find, find_byte
from prox_spark.programs.compiled import inner
from prox_spark.programs.lookup import table
from prox_spark.programs.operations import NEWEST
from prox_spark.programs.word_kernels import after_blanks, after_name, function, is_digit
from prox_spark.programs.written import MAX_NUMBER, thoughts, written

_OPENINGS, _OPENING_AT = table(tuple(opening for opening, _ in thoughts(NEWEST)))
_CLOSINGS, _CLOSING_AT = table(tuple(closing for _, closing in thoughts(NEWEST)))
_ENDS, _END_AT = table(written("end", semantics=NEWEST))
_LEADS, _LEAD_AT = table(written("lead", "label", semantics=NEWEST))
# By version of the rules, the number of words of each table that it reads: the first ones.
_VERSIONS = range(NEWEST + 1)
_N_THOUGHTS = np.array([len(thoughts(version)) for version in _VERSIONS], np.int64)
_N_ENDS = np.array([len(written("end", semantics=version)) for version in _VERSIONS], np.int64)
_N_LEADS = np.array([len(written("lead", "label", semantics=version)) for version in _VERSIONS], np.int64)
_TAB, _NEWLINE, _SPACE, _OPEN, _CLOSE, _DOT, _EQUAL_SIGN, _UNDERSCORE = 9, 10, 32, 40, 41, 46, 61, 95
_UNCLOSED = -1


@inner
def _stands(data: Bytes, position: int, end: int, words: Bytes, at: Integers, n_words: int) -> int:
    """The word at ``position`` among the first ``n_words`` of a table; -1 for none."""
    for word in range(n_words):
        length = at[word + 1] - at[word]
        if length <= end - position and equal(data, position, words, at[word], length):
            return word
    return -1


@inner
def _lower(byte: int) -> int:
    return int(byte + 32 if 65 <= byte <= 90 else byte)


@inner
def _lead(data: Bytes, position: int, end: int, semantics: int) -> int:
    """The length of the lead at ``position``, in any case; 0 for none."""
    for word in range(_N_LEADS[semantics]):
        start, length = _LEAD_AT[word], _LEAD_AT[word + 1] - _LEAD_AT[word]
        if length > end - position:
            continue
        same = 0
        while same < length and _lower(data[position + same]) == _LEADS[start + same]:
            same += 1
        if same == length:
            return int(length)
    return 0


@inner
def _after_number(data: Bytes, position: int, end: int) -> int:
    """The end of a list's number at ``position``; ``position`` itself if there is none."""
    bracket = position < end and data[position] == _OPEN
    start = position + bracket
    stop = start
    while stop < end and stop - start < MAX_NUMBER and is_digit(data[stop]):
        stop += 1
    if stop > start:
        return stop + 1 if stop < end and (data[stop] == _DOT or data[stop] == _CLOSE) else position
    if start + 1 < end and 97 <= data[start] | 32 <= 122 and data[start + 1] == _CLOSE:
        return start + 2
    return position


@inner
def after_stray_thoughts(data: Bytes, start: int, end: int, semantics: int) -> int:
    """Where the program begins: after a line that closes thoughts opened in the prompt."""
    position = start
    for tag in range(_N_THOUGHTS[semantics]):
        first, last = _CLOSING_AT[tag], _CLOSING_AT[tag + 1]
        closing = find(data, start, end, _CLOSINGS, first, last)
        while closing >= 0:
            line = closing
            while line > start and (data[line - 1] == _SPACE or data[line - 1] == _TAB):
                line -= 1
            if line == start or data[line - 1] == _NEWLINE:
                opening = find(data, start, line, _OPENINGS, _OPENING_AT[tag], _OPENING_AT[tag + 1])
                if opening < 0:
                    position = max(position, closing + last - first)
                break
            closing = find(data, closing + last - first, end, _CLOSINGS, first, last)
    return position


@inner
def ends_here(data: Bytes, position: int, end: int, semantics: int) -> bool:
    """Whether there is an end mark at ``position``."""
    return _stands(data, position, end, _ENDS, _END_AT, _N_ENDS[semantics]) >= 0


@inner
def skipped(data: Bytes, position: int, end: int, semantics: int) -> int:
    """Where parsing continues: after thoughts or a lead at ``position``, at the end for an end mark; else ``position``.

    -1 if thoughts are opened and not closed.
    """
    tag = _stands(data, position, end, _OPENINGS, _OPENING_AT, _N_THOUGHTS[semantics])
    if tag >= 0:
        first, last = _CLOSING_AT[tag], _CLOSING_AT[tag + 1]
        after = position + _OPENING_AT[tag + 1] - _OPENING_AT[tag]
        found = find(data, after, end, _CLOSINGS, first, last)
        return _UNCLOSED if found < 0 else found + last - first
    if ends_here(data, position, end, semantics):
        return end
    length = _lead(data, position, end, semantics)
    return position + length if length > 0 else _after_number(data, position, end)


@inner
def line_end(data: Bytes, start: int, end: int, semantics: int) -> int:
    """The end of the line from ``start`` on: its newline, or the first end mark or opening of thoughts in it."""
    while (
        start < end
        and data[start] != _NEWLINE
        and not ends_here(data, start, end, semantics)
        and _stands(data, start, end, _OPENINGS, _OPENING_AT, _N_THOUGHTS[semantics]) < 0
    ):
        start += 1
    return start


@inner
def in_sentence(data: Bytes, start: int, end: int) -> bool:
    """Whether there is a word of a sentence at ``start``: a name without ``=`` after it."""
    stop = after_name(data, start, end)
    after = after_blanks(data, stop, end)
    return stop > start and not (after < end and data[after] == _EQUAL_SIGN)


@inner
def is_prose(data: Bytes, start: int, end: int, semantics: int) -> bool:
    """Whether the rest of a line has no call of any function."""
    stop = after_name(data, start, end)
    while stop > start and stop < end and data[stop] == _DOT and after_name(data, stop + 1, end) > stop + 1:
        stop = after_name(data, stop + 1, end)
    if stop > start and stop < end and data[stop] == _OPEN:
        return False
    bracket = find_byte(data, start, end, _OPEN)
    while bracket < end:
        last = bracket
        while last > start and (data[last - 1] == _SPACE or data[last - 1] == _TAB):
            last -= 1
        first = last
        while first > start and _in_name(data[first - 1]):
            first -= 1
        if first < last and function(data, first, last, semantics) >= 0:
            return False
        bracket = find_byte(data, bracket + 1, end, _OPEN)
    return True


@inner
def _in_name(byte: int) -> bool:
    return bool(97 <= byte | 32 <= 122 or byte == _UNDERSCORE or is_digit(byte))
