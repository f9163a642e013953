"""Hashed n-grams of a text, as in DSIR (Xie et al. 2023, arXiv 2302.03169, section 3; its code ``data_selection``).

Words are those of NLTK's ``WordPunctTokenizer`` over the lower-cased text: runs of letters, digits and ``_``, and runs of
other characters that are not white space (``\\w+|[^\\w\\s]+``). Each word and each pair of neighbours, joined by a space, is
hashed into one of 10,000 buckets: 64-bit FNV-1a over the UTF-8, then MurmurHash3's finalizer (FNV alone puts words that differ
only in their last letters close together). DSIR's code uses SHA-256 instead. Time is linear for any text.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from prox_spark.programs.bytes_kernels import Bytes, Floats, Integers, Texts, room, side_by_side
from prox_spark.programs.compiled import entry, inner
from prox_spark.rules.scan import class_of, decode, int64

BUCKETS = 10_000
"""Of DSIR's paper and code."""

_OTHER, _WORD, _SPACE = range(3)
_ROWS = 0x33480
"""For ``str``, code points from here on are neither white space nor parts of words."""

# Unsigned, so that products wrap around and the remainder uses the whole hash.
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_BLANK, _N_BUCKETS = np.uint64(32), np.uint64(BUCKETS)
_SHIFT, _FIRST, _SECOND = np.uint64(33), np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


@functools.cache
def _kinds() -> Any:
    """Kind of each code point (uint8, read only); those beyond belong to no word. Takes 0.1 s, once."""
    characters = [chr(code) for code in range(_ROWS)]
    table = np.fromiter((c == "_" or c.isalnum() for c in characters), np.bool_, _ROWS).astype(np.uint8) * _WORD
    table[np.fromiter(map(str.isspace, characters), np.bool_, _ROWS)] = _SPACE
    table.flags.writeable = False
    return table


@inner
def _bucket(value: Any) -> Any:
    value = (value ^ (value >> _SHIFT)) * _FIRST
    value = (value ^ (value >> _SHIFT)) * _SECOND
    return (value ^ (value >> _SHIFT)) % _N_BUCKETS


@inner
def _emit(one: Any, two: Any, out: Integers, n: int, words: int) -> int:
    """Write the buckets of a word and, unless it is the first, of its pair with the word before; returns the new total."""
    out[n] = _bucket(one)
    if words == 0:
        return n + 1
    out[n + 1] = _bucket(two)
    return n + 2


@inner
def _buckets(data: Bytes, start: int, end: int, kinds: Bytes, out: Integers) -> tuple[Integers, int, int]:
    """Buckets of all n-grams of ``data[start:end]``: the table, which may have grown, how many, and the number of words."""
    n, words, position, state = 0, 0, start, _SPACE
    one, two, before = _BASIS, _BASIS, _BASIS
    while position < end:
        byte = data[position]
        if byte < 0x80:
            kind, after = int64(kinds[byte]), position + 1
        else:
            code, after = decode(data, position)
            kind = class_of(kinds, code)
        if kind != state:
            if state != _SPACE:
                out = room(out, n, 2)
                n = _emit(one, two, out, n, words)
                words += 1
                before = one
            # The pair's hash continues the first word's hash, after a space.
            one, two, state = _BASIS, (before ^ _BLANK) * _PRIME, kind
        if kind != _SPACE:
            for i in range(position, after):
                value = np.uint64(data[i])
                one, two = (one ^ value) * _PRIME, (two ^ value) * _PRIME
        position = after
    if state != _SPACE:
        out = room(out, n, 2)
        n = _emit(one, two, out, n, words)
        words += 1
    return out, n, words


@entry
def _count(texts: Texts, kinds: Bytes, counts: Integers) -> None:
    out = np.empty(1024, np.int32)
    for text in range(texts.starts.shape[0]):
        out, n, _ = _buckets(texts.data, texts.starts[text], texts.ends[text], kinds, out)
        for i in range(n):
            counts[out[i]] += 1


@entry
def _weigh(texts: Texts, kinds: Bytes, weights: Floats) -> tuple[Floats, Integers]:
    out = np.empty(1024, np.int32)
    sums, lengths = np.zeros(texts.starts.shape[0], np.float64), np.zeros(texts.starts.shape[0], np.int64)
    for text in range(texts.starts.shape[0]):
        out, n, lengths[text] = _buckets(texts.data, texts.starts[text], texts.ends[text], kinds, out)
        total = 0.0
        for i in range(n):
            total += weights[out[i]]
        sums[text] = total
    return sums, lengths


def add_counts(texts: Sequence[str], counts: Integers) -> None:
    """Add the texts' n-grams to ``counts`` (int64, one a bucket).

    >>> counts = np.zeros(BUCKETS, np.int64)
    >>> add_counts(["To be, or not to be"], counts)
    >>> int(counts.sum())  # seven words with the comma, six pairs of neighbours
    13
    """
    _count(_lower(texts), _kinds(), counts)


def weigh(texts: Sequence[str], weights: Floats) -> tuple[Floats, Integers]:
    """For each text the sum of its n-grams' weights (``weights``: float64, one a bucket), and its number of words."""
    return _weigh(_lower(texts), _kinds(), weights)


def _lower(texts: Sequence[str]) -> Texts:
    return side_by_side([text.lower() for text in texts])
