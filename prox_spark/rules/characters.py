"""What kind of character every code point is: one table, looked up by the kernels."""

import functools
from typing import Any

import numpy as np

from prox_spark.execution.words import SPACELESS_RANGES

SPACE, LETTER, UPPER, DIGIT, SPACELESS, MARK, TERMINAL, SENTENCE_END = (1 << bit for bit in range(8))
"""Bits of a class: white space of ``str.split``; letter, uppercase, digit as ``str`` knows them; a script without spaces
between words, and the punctuation that separates words there; what may end a line of prose, and a sentence."""

ENDS = (".", "!", "?", '"', "”", "。", "！", "？", "」", "』", "।", "؟")  # noqa: RUF001 -- marks of other scripts
SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟")  # noqa: RUF001 -- marks of other scripts
_MARKS = ((0x3001, 0x3003), (0x3008, 0x301F), (0xFF01, 0xFF0F), (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65))
_KNOWN = 0x40000
"""Beyond it there are no letters."""
_ROWS = 0x33480
"""Beyond it ``str`` knows none either."""


@functools.cache
def classes() -> Any:
    """Class of each code point below 0x40000 (uint8, read only); what lies beyond has none. Takes 0.1 s, once."""
    table = np.zeros(_KNOWN, np.uint8)
    characters = [chr(code) for code in range(_ROWS)]
    for bit, test in ((SPACE, str.isspace), (LETTER, str.isalpha), (UPPER, str.isupper), (DIGIT, str.isdigit)):
        table[:_ROWS] |= np.fromiter(map(test, characters), np.bool_, _ROWS).astype(np.uint8) * np.uint8(bit)
    for bit, ranges in ((SPACELESS, SPACELESS_RANGES), (MARK, _MARKS)):
        for low, high in ranges:
            table[low : high + 1] |= np.uint8(bit)
    for bit, marks in ((TERMINAL, ENDS), (SENTENCE_END, SENTENCE_ENDS)):
        table[[ord(mark) for mark in marks]] |= np.uint8(bit)
    table.flags.writeable = False
    return table
