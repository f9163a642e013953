"""The character class of every code point: a table for the kernels."""

import functools
from typing import Any

import numpy as np

from prox_spark.execution.words import SPACELESS_RANGES

SPACE, LETTER, UPPER, DIGIT, SPACELESS, MARK, TERMINAL, SENTENCE_END = (1 << bit for bit in range(8))
"""Bits of a class: white space as in ``str.split``; letter, uppercase, digit as in ``str``; a script without spaces between
words, and the punctuation that separates words there; characters that may end a line of prose, and those that end a
sentence."""

ENDS = (".", "!", "?", '"', "”", "。", "！", "？", "」", "』", "।", "؟")  # noqa: RUF001 -- marks of other scripts
SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟")  # noqa: RUF001 -- marks of other scripts
_MARKS = ((0x3001, 0x3003), (0x3008, 0x301F), (0xFF01, 0xFF0F), (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65))
_KNOWN = 0x40000
"""No code point from here on has a class."""
_ROWS = 0x33480
"""No code point from here on is white space, letter or digit to ``str``."""


@functools.cache
def classes() -> Any:
    """Class of each code point below 0x40000 (uint8, read only); higher ones have no class. Takes 0.1 s, once."""
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
