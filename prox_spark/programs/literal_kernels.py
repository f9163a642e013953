"""Strings and integers in the bytes of programs, compiled."""

from typing import Any

import numpy as np

from prox_spark.programs.bytes_kernels import Bytes, copy, find_byte
from prox_spark.programs.compiled import inner
from prox_spark.programs.model import MAX_LINE
from prox_spark.programs.word_kernels import is_digit

_TAB, _NEWLINE, _QUOTE, _APOSTROPHE, _PLUS, _MINUS, _BACKSLASH, _N, _T, _U = 9, 10, 34, 39, 43, 45, 92, 110, 116, 117


@inner
def _hex(data: Bytes, position: int, end: int) -> int:
    """The value of ``\\uXXXX`` with its backslash at ``position``; -1 if there is no such escape."""
    if position + 6 > end or data[position] != _BACKSLASH or data[position + 1] != _U:
        return -1
    code = 0
    for i in range(position + 2, position + 6):
        byte = data[i]
        if is_digit(byte):
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
def unescape(data: Bytes, start: int, end: int, strings: Bytes, at: int) -> int:
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
                # The next character is not a backslash, so it is copied with the rest.
                at = _write_utf8(strings, at, _BACKSLASH)
                position = found + 1
            else:
                at = _write_utf8(strings, at, code)
                position += 4


@inner
def integer(data: Bytes, position: int, end: int) -> tuple[int, int]:
    """The saturated integer at ``position``, and the position after it; the same position if there is none."""
    sign, start = 1, position
    if data[position] == _PLUS or data[position] == _MINUS:
        sign = -1 if data[position] == _MINUS else 1
        start = position + 1
    value: Any = 0
    stop = start
    while stop < end and is_digit(data[stop]):
        value = value * 10 + (np.int64(data[stop]) - 48) if value < MAX_LINE // 10 else MAX_LINE
        stop += 1
    return (0, position) if stop == start else (sign * value, stop)
