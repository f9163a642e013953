"""Twenty-four statistics of a document's text, each in buckets.

They cover sentences, pronouns, repetition and boilerplate phrases. The statistics and their buckets have a version
(``VERSION``): weights that were fitted to another version are refused. The word lists are English: a text in another
language looks like a list of names.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection

_SMALL = frozenset(["the", "be", "to", "of", "and", "that", "have", "with"])
_STOP = _SMALL | frozenset(
    (
        "a",
        "in",
        "is",
        "it",
        "for",
        "as",
        "was",
        "on",
        "are",
        "this",
        "by",
        "at",
        "from",
        "or",
        "an",
        "not",
        "but",
        "they",
        "his",
        "her",
        "he",
        "she",
        "we",
        "you",
        "i",
        "which",
        "were",
        "had",
        "has",
        "their",
        "been",
        "will",
        "would",
        "can",
        "there",
        "what",
        "when",
        "who",
        "if",
        "so",
        "all",
        "about",
        "more",
        "one",
        "some",
        "into",
        "than",
        "then",
        "them",
        "its",
        "our",
        "my",
        "your",
        "me",
        "him",
        "us",
        "do",
        "does",
        "did",
        "could",
        "should",
        "may",
        "might",
        "just",
        "also",
        "no",
        "only",
        "other",
        "how",
        "because",
        "after",
        "before",
        "over",
        "very",
        "where",
        "while",
        "most",
        "any",
        "these",
        "those",
    )
)
_FIRST = frozenset(["i", "we", "my", "our", "me", "us", "he", "she", "his", "her", "they", "them", "him", "their"])
_PAST = frozenset(["was", "were", "had", "did", "been", "would", "could", "said"])
_YOU = frozenset(("you", "your"))
_FURNITURE = (
    *("copyright", "all rights reserved", "post a comment", "no comments", "read more", "click here", "sign up"),
    *("log in", "login", "privacy", "subscribe", "\u00a9", "powered by", "add to cart", "shipping", "reply"),
)
"""English boilerplate phrases."""
_AROUND = ".,;:!?\"'()[]\u201c\u201d\u2019\u2018*|-"
_QUOTES = "\"'\u201d\u2019)"
_BULLETS = frozenset("-\u2022*|>\u00b7")
_FEW, _MANY, _HEAD = 4, 10, 200
_LABEL = 3
"""A line with at most this many words is left out, unless it ends a sentence."""

_EDGES: dict[str, tuple[float, ...]] = {
    "words": (3.04, 3.57, 4.1, 4.63, 5.16, 5.69, 6.22, 6.75, 7.28, 7.81),
    "words_a_line": (1.35, 1.75, 2.14, 2.54, 2.93, 3.33, 3.72, 4.12, 4.51, 4.9),
    "small_words": (0.0417, 0.0634, 0.085, 0.107, 0.128, 0.15, 0.171, 0.193, 0.215, 0.236),
    "stop_words": (0.168, 0.211, 0.255, 0.299, 0.342, 0.386, 0.43, 0.473, 0.517),
    "entropy": (3.12, 3.44, 3.77, 4.1, 4.43, 4.76, 5.09, 5.42, 5.75, 6.08),
    "with_letters": (0.853, 0.876, 0.898, 0.921, 0.943, 0.966, 0.989),
    "capitalised": (0.0153, 0.0749, 0.135, 0.194, 0.254, 0.313, 0.373, 0.433, 0.492),
    "upper_case": (0.000505, 0.0141, 0.0277, 0.0413, 0.0549, 0.0684, 0.082, 0.0956, 0.109),
    "short_lines": (0.0399, 0.15, 0.261, 0.371, 0.482, 0.592, 0.703),
    "sentence_lines": (0.13, 0.29, 0.45, 0.611, 0.771, 0.931),
    "past": (0.00114, 0.00814, 0.0151, 0.0221, 0.0292, 0.0362, 0.0432),
    "persons": (0.00872, 0.023, 0.0373, 0.0516, 0.0659, 0.0802, 0.0945),
    "you": (0.00636, 0.0146, 0.0229, 0.0312, 0.0395, 0.0478),
    "sentences": (0.00834, 0.0216, 0.0348, 0.0481, 0.0613, 0.0746, 0.0878, 0.101, 0.114),
    "commas": (0.000803, 0.0199, 0.039, 0.0581, 0.0771, 0.0962, 0.115, 0.134),
    "ellipses": (0.000731, 0.00454, 0.00836, 0.0122, 0.016, 0.0198),
    "furniture": (0.00722, 0.0444, 0.0815, 0.119, 0.156, 0.193),
    "distinct": (0.476, 0.522, 0.568, 0.614, 0.66, 0.706, 0.752, 0.798, 0.844, 0.89),
    "repeated_lines": (0.0175, 0.0351, 0.0526, 0.0702, 0.0878),
    "repeated_trigrams": (0.00954, 0.0307, 0.0518, 0.0729, 0.094, 0.115, 0.136),
    "bullets": (0.0442, 0.145, 0.246, 0.347, 0.448, 0.549),
    "digits": (0.000897, 0.0121, 0.0233, 0.0345, 0.0457, 0.0569, 0.068),
    "punctuation": (0.00259, 0.0102, 0.0178, 0.0254, 0.033, 0.0405, 0.0481, 0.0557, 0.0633, 0.0709),
    "in_long_lines": (0.381, 0.484, 0.587, 0.69, 0.793, 0.896, 0.999),
}
"""Lower bounds of each statistic's buckets: steps of half a standard deviation around the mean of DCLM's labelled documents."""

NAMES = tuple(_EDGES)
"""The statistics, in order."""
VERSION = 1
"""Increase it when a statistic, a word list or a bucket changes."""


def buckets(text: str) -> list[int]:
    """The bucket of each statistic, in the order of ``NAMES``. Linear in the text."""
    return [bisect_right(edges, value) for edges, value in zip(_EDGES.values(), _statistics(text), strict=True)]


def _statistics(text: str) -> tuple[float, ...]:
    """The values, in the order of ``NAMES``."""
    lines = [stripped for line in text.split("\n") if _says_something(stripped := line.strip())]
    text = "\n".join(lines)
    split = [line.split() for line in lines]
    words = [word for line in split for word in line]
    plain = [word.lower().strip(_AROUND) for word in words]
    n, rows, size = max(len(words), 1), max(len(lines), 1), max(len(text), 1)
    count = Counter(plain)
    trigrams = Counter(zip(plain, plain[1:], plain[2:], strict=False))
    lower = text.lower()

    def share(listed: Collection[str]) -> float:
        return sum(count[word] for word in listed) / n

    return (
        math.log(n),
        math.log(n / rows),
        share(_SMALL),
        share(_STOP),
        -sum(k / n * math.log(k / n) for k in count.values()),
        sum(any(map(str.isalpha, word)) for word in words) / n,
        sum(word[0].isupper() for word in words) / n,
        sum(map(str.isupper, text)) / size,
        sum(len(line) <= _FEW for line in split) / rows,
        sum(map(_ends_sentence, lines)) / rows,
        share(_PAST),
        share(_FIRST),
        share(_YOU),
        sum(len(word) > 1 and _ends_sentence(word) for word in words) / n,
        sum(word[-1] == "," for word in words) / n,
        (text.count("...") + text.count("\u2026")) / n,
        sum(map(lower.count, _FURNITURE)) / math.sqrt(n),
        len(set(plain[:_HEAD])) / max(len(plain[:_HEAD]), 1),
        1 - len({line.lower() for line in lines}) / rows,
        sum(k for k in trigrams.values() if k > 1) / max(len(plain) - 2, 1),
        sum(line[0] in _BULLETS for line in lines) / rows,
        sum(map(str.isdigit, text)) / size,
        sum(not character.isalnum() and not character.isspace() for character in text) / size,
        sum(len(line) for line in split if len(line) >= _MANY) / n,
    )


def _says_something(line: str) -> bool:
    """Whether a line is more than a label. Labels of menus are ignored, because extractors remove them."""
    return len(line.split(None, _LABEL)) > _LABEL or _ends_sentence(line)


def _ends_sentence(text: str) -> bool:
    return text.rstrip(_QUOTES)[-1:] in (".", "!", "?")
