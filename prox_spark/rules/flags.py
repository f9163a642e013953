"""Which line rules hit which line: a bit for each, in the order of ``catalogue.LINE_RULES``. Compiled code.

Letters are compared without regard to case in ASCII only. The phrases are our own reading of what the sources describe;
C4's six policy phrases are its published code's.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from prox_spark.programs.bytes_kernels import Bytes, Integers, equal, find
from prox_spark.programs.compiled import inner
from prox_spark.rules.catalogue import C4_WORDS, FINEWEB_WORDS, LINE_RULES, LONGEST_WORD, MAINLY, NAVIGATION_WORDS
from prox_spark.rules.characters import TERMINAL
from prox_spark.rules.scan import (
    DIGITS,
    END,
    FILLED,
    FIRST_WORD,
    FLAGS,
    LONGEST,
    N_FILLED,
    START,
    UPPERCASE,
    WORD_END,
    WORD_START,
    Page,
    class_of,
    decode,
    last_start,
    words_of,
)


def rule_bits(names: Iterable[str]) -> int:
    """The mask of these line rules."""
    places = list(LINE_RULES)
    return sum(1 << places.index(name) for name in names)


def _phrases(*phrases: str) -> tuple[Any, Any]:
    """Phrases side by side, and where each begins (and one past the last)."""
    return (
        np.frombuffer("".join(phrases).encode(), np.uint8),
        np.cumsum([0, *(len(phrase.encode()) for phrase in phrases)]),
    )


_PUNCTUATION, _ELLIPSIS = rule_bits(["c4_terminal_punctuation"]), rule_bits(["c4_ellipsis"])
_FEW, _FEWER, _LONG = rule_bits(["c4_few_words"]), rule_bits(["fineweb_few_words"]), rule_bits(["c4_long_word"])
_JAVASCRIPT, _POLICY = rule_bits(["c4_javascript"]), rule_bits(["c4_policy"])
_UPPERCASE, _NUMERIC = rule_bits(["refinedweb_uppercase"]), rule_bits(["refinedweb_numeric"])
_COUNTER, _ONE_WORD = rule_bits(["refinedweb_counter"]), rule_bits(["refinedweb_one_word"])
_NAVIGATION = rule_bits(["refinedweb_navigation"])
ENDS_IN_ELLIPSIS, BEGINS_WITH_BULLET, ENDS_IN_PUNCTUATION = (1 << (len(LINE_RULES) + i) for i in range(3))
"""Bits for measures of documents that are not line rules."""

_JAVASCRIPT_PHRASE, _JAVASCRIPT_AT = _phrases("javascript")
_POLICY_PHRASES, _POLICY_AT = _phrases(
    "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"
)
_CART_PHRASES, _CART_AT = _phrases("items in cart", "item in cart", "in your cart")
_BEGINNINGS, _BEGINNINGS_AT = _phrases(
    *("sign in", "sign-in", "sign up", "sign-up", "signup", "log in", "log-in", "login", "register", "skip to")
)
_ENDINGS, _ENDINGS_AT = _phrases("read more", "see more", "show more", "view more", "load more", "continue reading")
_COUNTED, _COUNTED_AT = _phrases(
    *("like", "share", "comment", "reply", "replie", "view", "follower", "subscriber", "vote", "upvote", "review"),
    *("rating", "download", "tweet", "retweet", "repost", "reaction", "point", "favorite", "favourite"),
)
_DOT, _COMMA, _PLUS, _S = 46, 44, 43, 115


@inner
def _is_letter(byte: int) -> bool:
    return 97 <= byte <= 122


@inner
def mark_phrases(lower: Bytes, base: int, length: int, phrases: Bytes, at: Integers, lines: Integers, bit: int) -> None:
    """Set ``bit`` for lines with one of the phrases. ``lower`` is the document's text in lower case; it starts at ``base``."""
    for k in range(at.shape[0] - 1):
        line, position = 0, 0
        while True:
            position = find(lower, position, length, phrases, at[k], at[k + 1])
            if position < 0:
                break
            while lines[line, END] <= base + position:
                line += 1
            lines[line, FLAGS] |= bit
            position = lines[line, END] - base


@inner
def _begins(lower: Bytes, start: int, end: int) -> bool:
    """Whether the text here starts with one of the beginnings, as whole words."""
    for k in range(_BEGINNINGS_AT.shape[0] - 1):
        length = _BEGINNINGS_AT[k + 1] - _BEGINNINGS_AT[k]
        if length <= end - start and equal(lower, start, _BEGINNINGS, _BEGINNINGS_AT[k], length):
            return bool(start + length == end or not _is_letter(lower[start + length]))
    return False


@inner
def _ends(lower: Bytes, start: int, end: int) -> bool:
    """Whether the text ends with one of the endings, ignoring dots and arrows after it."""
    while end > start and not _is_letter(lower[end - 1]):
        end -= 1
    for k in range(_ENDINGS_AT.shape[0] - 1):
        length = _ENDINGS_AT[k + 1] - _ENDINGS_AT[k]
        if length <= end - start and equal(lower, end - length, _ENDINGS, _ENDINGS_AT[k], length):
            return True
    return False


@inner
def _is_counter(lower: Bytes, base: int, words: Integers, first: int) -> bool:
    """Whether two words are a number (also 1.2k or 1,000+) and the thing it counts."""
    position, end = words[first, WORD_START] - base, words[first, WORD_END] - base
    if not 48 <= lower[position] <= 57:
        return False
    while position < end and (48 <= lower[position] <= 57 or lower[position] in (_DOT, _COMMA)):
        position += 1
    if position < end and lower[position] in (107, 109):  # k, m
        position += 1
    if position < end and lower[position] == _PLUS:
        position += 1
    if position < end:
        return False
    start, end = words[first + 1, WORD_START] - base, words[first + 1, WORD_END] - base
    while end > start and not _is_letter(lower[end - 1]):
        end -= 1
    if end > start and lower[end - 1] == _S:
        end -= 1
    for k in range(_COUNTED_AT.shape[0] - 1):
        length = _COUNTED_AT[k + 1] - _COUNTED_AT[k]
        if length == end - start and equal(lower, start, _COUNTED, _COUNTED_AT[k], length):
            return True
    return False


@inner
def _ending(data: Bytes, row: Integers, classes: Bytes) -> int:
    """Bits of how a line begins and ends."""
    start, end, bits = row[START], row[END], 0
    code, _ = decode(data, last_start(data, start, end))
    if class_of(classes, code) & TERMINAL:
        bits |= ENDS_IN_PUNCTUATION
    else:
        bits |= _PUNCTUATION
    if code == _DOT and end - start >= 3 and data[end - 2] == _DOT and data[end - 3] == _DOT:
        bits |= _ELLIPSIS | ENDS_IN_ELLIPSIS
    if code == 0x2026:  # …
        bits |= ENDS_IN_ELLIPSIS
    code, _ = decode(data, start)
    if code == 0x2022 or code == 45:  # • or -
        bits |= BEGINS_WITH_BULLET
    return bits


@inner
def flag_lines(data: Bytes, start: int, length: int, lower: Bytes, classes: Bytes, page: Page) -> None:
    """Fill ``FLAGS`` of every line of a document."""
    lines, words = page.lines, page.words
    mark_phrases(lower, start, length, _JAVASCRIPT_PHRASE, _JAVASCRIPT_AT, lines, _JAVASCRIPT)
    mark_phrases(lower, start, length, _POLICY_PHRASES, _POLICY_AT, lines, _POLICY)
    mark_phrases(lower, start, length, _CART_PHRASES, _CART_AT, lines, _NAVIGATION)
    for line in range(page.counts[N_FILLED]):
        row = lines[line]
        n_words, first = words_of(lines, line), row[FIRST_WORD]
        at, end = row[START] - start, row[END] - start
        bits = row[FLAGS] | _ending(data, row, classes)
        bits |= _FEW * (n_words < C4_WORDS) | _FEWER * (n_words < FINEWEB_WORDS) | _ONE_WORD * (n_words == 1)
        bits |= _LONG * (row[LONGEST] > LONGEST_WORD) | _NUMERIC * (row[DIGITS] == row[FILLED])
        bits |= _UPPERCASE * (row[UPPERCASE] > MAINLY * row[FILLED])
        if n_words > NAVIGATION_WORDS:
            bits &= ~_NAVIGATION
        elif _begins(lower, at, end) or _ends(lower, at, end):
            bits |= _NAVIGATION
        if n_words == 2 and _is_counter(lower, start, words, first):
            bits |= _COUNTER
        row[FLAGS] = bits


@inner
def lower_case(data: Bytes, start: int, end: int, lower: Bytes) -> None:
    """Copy a document to the start of ``lower``, its ASCII letters in lower case."""
    for i in range(np.uint64(0), np.uint64(end - start)):
        byte = data[np.uint64(start) + i]
        lower[i] = byte | np.uint8(np.uint8(np.uint8(byte - np.uint8(65)) < np.uint8(26)) << np.uint8(5))
