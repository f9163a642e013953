"""MinHash signatures of texts, in bands for locality-sensitive hashing.

Broder 1997, On the resemblance and containment of documents; Leskovec et al., Mining of Massive Datasets, section 3.4.

A text is normalised to its words: lower case, in Unicode's form NFC, runs of letters, digits, marks and ``_``; each character
of a script without spaces is a word. All else is left out. A shingle is a fixed number of successive words; a shorter text is
one shingle. Each of ``buckets * hashes`` hash functions has a minimum over the shingles; two texts share it with a probability
equal to the Jaccard similarity of their shingles. A bucket is the hash of ``hashes`` of these minima.
"""

import functools
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from prox_spark.execution.words import SPACELESS_RANGES
from prox_spark.programs.bytes_kernels import Bytes, Integers, Texts, room, side_by_side
from prox_spark.programs.compiled import entry, inner
from prox_spark.rules.scan import class_of, decode, int64

VERSION = 1
"""Version of a text's hashes: increase it when they change."""

_OTHER, _WORD, _SINGLE = range(3)
_KNOWN = 0x40000
"""No code point from here on is a letter."""

# Unsigned, so that products wrap around: FNV-1a, and the finalizer of MurmurHash3.
_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_SHIFT, _FIRST, _SECOND = np.uint64(33), np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_HALF, _MOST = np.uint64(32), np.uint64(0xFFFFFFFF)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@functools.cache
def _kinds() -> Any:
    """Kind of each code point (uint8, read only); those beyond belong to no word. Takes a fraction of a second, once."""
    table = np.zeros(_KNOWN, np.uint8)
    for code in range(_KNOWN):
        character = chr(code)
        if character == "_" or character.isalnum() or unicodedata.category(character)[0] == "M":
            table[code] = _WORD
    for low, high in SPACELESS_RANGES:
        part = table[low : high + 1]
        part[part == _WORD] = _SINGLE
    table.flags.writeable = False
    return table


@functools.cache
def _functions(n: int) -> tuple[Any, Any]:
    """Odd factors and summands of ``n`` functions, from a fixed sequence (SplitMix64): the same on any machine."""
    state = np.arange(1, 2 * n + 1, dtype=np.uint64) * _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    factors, summands = state[:n] | np.uint64(1), state[n:].copy()
    factors.flags.writeable = summands.flags.writeable = False
    return factors, summands


@inner
def _mix(value: Any) -> Any:
    value = (value ^ (value >> _SHIFT)) * _FIRST
    value = (value ^ (value >> _SHIFT)) * _SECOND
    return value ^ (value >> _SHIFT)


@inner
def _words(data: Bytes, start: int, end: int, kinds: Bytes, out: Integers) -> tuple[Integers, int]:
    """Hashes of the words of ``data[start:end]``: the table, which may have grown, and how many."""
    n, position, inside = 0, start, False
    value = _BASIS
    while position < end:
        byte = data[position]
        if byte < 0x80:
            kind, after = int64(kinds[byte]), position + 1
        else:
            code, after = decode(data, position)
            kind = class_of(kinds, code)
        if inside and kind != _WORD:
            out = room(out, n, 1)
            out[n] = _mix(value)
            n += 1
            inside = False
        if kind != _OTHER:
            if not inside:
                value = _BASIS
            for i in range(position, after):
                value = (value ^ np.uint64(data[i])) * _PRIME
            if kind == _SINGLE:
                out = room(out, n, 1)
                out[n] = _mix(value)
                n += 1
            else:
                inside = True
        position = after
    if inside:
        out = room(out, n, 1)
        out[n] = _mix(value)
        n += 1
    return out, n


@inner
def _joined(words: Integers, first: int, last: int) -> Any:
    """Hash of the words ``first`` to ``last - 1``, in their order."""
    value = _BASIS
    for i in range(first, last):
        value = (value ^ words[i]) * _FIRST
        value ^= value >> _SHIFT
    return _mix(value)


@inner
def _minima(words: Integers, n: int, shingle: int, factors: Integers, summands: Integers, smallest: Integers) -> None:
    smallest[:] = _MOST
    for first in range(max(n - shingle, 0) + 1):
        # All 64 bits go in: with 32, two of a hundred thousand short texts would have all buckets in common.
        value = _joined(words, first, min(first + shingle, n))
        for i in range(factors.shape[0]):
            smallest[i] = min(smallest[i], (factors[i] * value + summands[i]) >> _HALF)


@entry
def _sign(
    texts: Texts,
    kinds: Bytes,
    shingle: int,
    factors: Integers,
    summands: Integers,
    hashes: int,
    text_hashes: Integers,
    buckets: Integers,
    counts: Integers,
) -> None:
    words = np.empty(1024, np.uint64)
    smallest = np.empty(factors.shape[0], np.uint64)
    for text in range(texts.starts.shape[0]):
        words, n = _words(texts.data, texts.starts[text], texts.ends[text], kinds, words)
        counts[text] = n
        if n == 0:
            continue
        text_hashes[text] = _joined(words, 0, n)
        if factors.shape[0] == 0:
            continue
        _minima(words, n, shingle, factors, summands, smallest)
        for bucket in range(buckets.shape[1]):
            value = _mix(_BASIS + np.uint64(bucket))
            for i in range(bucket * hashes, (bucket + 1) * hashes):
                value = (value ^ smallest[i]) * _PRIME
                value ^= value >> _SHIFT
            buckets[text, bucket] = _mix(value)


def sign(texts: Sequence[str], *, words: int, buckets: int, hashes: int) -> tuple[Any, Any, Any]:
    """Each text's hash (int64), its buckets (int64, a row for each text) and its number of words (int64).

    ``words``: the words of a shingle. A text without words has zeros. With ``buckets=0``, only equal normalised texts match.

    >>> texts = ["To be, or not to be!", "to be or not to be", "That is the question"]
    >>> hashes, found, counts = sign(texts, words=3, buckets=4, hashes=2)
    >>> bool(hashes[0] == hashes[1]), bool((found[0] == found[1]).all()), bool(hashes[0] == hashes[2]), counts.tolist()
    (True, True, False, [6, 6, 4])
    """
    n = len(texts)
    text_hashes, found = np.zeros(n, np.uint64), np.zeros((n, buckets), np.uint64)
    counts = np.zeros(n, np.int64)
    together = side_by_side([_normalised(text) for text in texts])
    _sign(together, _kinds(), words, *_functions(buckets * hashes), hashes, text_hashes, found, counts)
    return text_hashes.view(np.int64), found.view(np.int64), counts


def _normalised(text: str) -> str:
    lower = text.lower()
    return lower if lower.isascii() else unicodedata.normalize("NFC", lower)
