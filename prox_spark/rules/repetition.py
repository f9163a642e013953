"""Repetition inside one document: equal lines, paragraphs, and n-grams of words. Compiled; time is linear.

Equal means equal bytes: hashes only find the slot in a table. Every process draws a new random key for the hashes; it has no
effect on results, and stops pages from being written to collide.
"""

from typing import Any, NamedTuple

import numpy as np

from prox_spark.programs.bytes_kernels import Bytes, Integers, equal, room
from prox_spark.programs.compiled import inner
from prox_spark.rules.scan import BEFORE, int64

LONGEST_GRAM = 10
_TOP = 4
_MIX, _MIX_MORE = 0x7F4A7C159E3779B1, 0x4CF5AD432745937F
"""Odd numbers with well-mixed bits, for multiplicative hashing."""


class Equals(NamedTuple):
    """``first[i]`` is the first of the ranges whose bytes equal those of range i; ``slots`` and ``hashes`` find it."""

    first: Integers
    slots: Integers
    hashes: Integers


class Grams(NamedTuple):
    """N-grams of a document's words: the class of the n-gram at each word, and the places of those that repeat.

    N-grams that occur once have class 0. ``counts`` is by class; ``keys`` and ``slots`` are the hash table of classes.
    """

    groups: Integers
    counts: Integers
    places: Integers
    keys: Integers
    slots: Integers


@inner
def _mixed(value: int) -> int:
    value = (value ^ (value >> 32)) * _MIX
    value = (value ^ (value >> 29)) * _MIX_MORE
    return value ^ (value >> 32)


@inner
def _hash(data: Bytes, start: int, end: int, key: int) -> int:
    value = key
    for i in range(np.uint64(start), np.uint64(end)):
        value = (value ^ int64(data[i])) * key
    return _mixed(value)


@inner
def _table_size(n: int) -> int:
    """A power of two of which at most half is used."""
    size = 8
    while size < 2 * n:
        size *= 2
    return size


@inner
def new_equals() -> Equals:
    """Room for the first document."""
    return Equals(np.empty(1024, np.int32), np.empty(1024, np.int32), np.empty(1024, np.int64))


@inner
def find_equal(data: Bytes, ranges: Integers, n: int, key: int, equals: Equals) -> Equals:
    """Find the ranges with equal bytes among ``n`` ranges (first two columns: start and end); the arrays may grow."""
    size = _table_size(n)
    first, hashes, slots = room(equals.first, 0, n + 1), room(equals.hashes, 0, n + 1), room(equals.slots, 0, size)
    slots[:size] = -1
    for i in range(n):
        start, end = ranges[i, 0], ranges[i, 1]
        value = _hash(data, start, end, key)
        hashes[i] = value
        slot = value & (size - 1)
        first[i] = i
        while slots[slot] >= 0:
            other = slots[slot]
            at = ranges[other, 0]
            if (
                hashes[other] == value
                and ranges[other, 1] - at == end - start
                and equal(data, start, data, at, end - start)
            ):
                first[i] = other
                break
            slot = (slot + 1) & (size - 1)
        if first[i] == i:
            slots[slot] = i
    return Equals(first, slots, hashes)


@inner
def _class_words(first: Integers, n: int, grams: Grams) -> int:
    """Classes of single words: how many words repeat."""
    groups, counts, places = grams.groups, grams.counts, grams.places
    for i in range(n):
        counts[i] = 0
    for i in range(n):
        counts[first[i]] += 1
    n_places = 0
    for i in range(n):
        if counts[first[i]] > 1:
            groups[i] = first[i] + 1
            places[n_places] = i
            n_places += 1
        else:
            groups[i] = 0
    groups[n] = 0
    return n_places


@inner
def _lengthen(grams: Grams, n_places: int) -> int:
    """Turn classes of n-grams into classes of (n + 1)-grams, in place; returns the number of places that still repeat.

    A longer n-gram repeats only if the two shorter ones in it do, and their two classes identify it.
    """
    groups, counts, places, keys, slots = grams
    size = _table_size(n_places)
    keys[:size] = 0
    n_classes, kept = 0, 0
    for k in range(n_places):
        i = int64(places[k])
        one, other = int64(groups[i]), int64(groups[i + 1])
        if one == 0 or other == 0:
            groups[i] = 0
            continue
        pair = one << 32 | other
        slot = _mixed(pair) & (size - 1)
        while keys[slot] != 0 and keys[slot] != pair:
            slot = (slot + 1) & (size - 1)
        if keys[slot] == 0:
            keys[slot] = pair
            n_classes += 1
            slots[slot], counts[n_classes] = n_classes, 0
        counts[slots[slot]] += 1
        groups[i] = slots[slot]
        places[kept] = i
        kept += 1
    n_places, kept = kept, 0
    for k in range(n_places):
        i = places[k]
        if counts[groups[i]] > 1:
            places[kept] = i
            kept += 1
        else:
            groups[i] = 0
    return kept


@inner
def _top_characters(grams: Grams, n_places: int, words: Integers, n_words: int, n: int) -> int:
    """Characters in all occurrences of the most frequent n-gram (the first of equals), including spaces between words."""
    groups, counts, places = grams.groups, grams.counts, grams.places
    if n_words < n:
        return 0
    best, at = 1, 0
    for k in range(n_places):
        count = int64(counts[groups[places[k]]])
        if count > best:
            best, at = count, int64(places[k])
    return int(best * (words[at + n, BEFORE] - words[at, BEFORE] + n - 1))


@inner
def _duplicate_characters(grams: Grams, n_places: int, words: Integers, n: int) -> int:
    """Characters of n-grams that repeat an earlier one, from left to right; no word is counted twice."""
    groups, counts, places = grams.groups, grams.counts, grams.places
    total, free = 0, 0
    for k in range(n_places):
        i = int64(places[k])
        if i < free:
            continue
        group = groups[i]
        # Mark a class as seen in its count, which is no longer needed.
        if counts[group] < 0:
            total += words[i + n, BEFORE] - words[i, BEFORE]
            free = i + n
        else:
            counts[group] = -1
    return int(total)


@inner
def new_grams() -> Grams:
    """Room for the first document."""
    return Grams(
        np.empty(1024, np.int32), np.empty(1024, np.int32), np.empty(1024, np.int32),
        np.empty(1024, np.int64), np.empty(1024, np.int32),
    )  # fmt: skip


@inner
def measure_ngrams(
    words: Integers, n_words: int, first: Integers, grams: Grams, row: Any, column: int, characters: int
) -> Grams:
    """Fill ``row[column:]`` with the share of characters in the top 2- to 4-grams, then in duplicate 5- to 10-grams.

    ``first`` is that of ``find_equal`` over the words. The arrays of ``grams`` may grow.
    """
    size = _table_size(n_words)
    grams = Grams(
        room(grams.groups, 0, n_words + 2), room(grams.counts, 0, n_words + 2), room(grams.places, 0, n_words + 2),
        room(grams.keys, 0, size), room(grams.slots, 0, size),
    )  # fmt: skip
    n_places = _class_words(first, n_words, grams)
    for n in range(2, LONGEST_GRAM + 1):
        n_places = _lengthen(grams, n_places)
        if n <= _TOP:
            found = _top_characters(grams, n_places, words, n_words, n)
        else:
            found = _duplicate_characters(grams, n_places, words, n)
        row[column + n - 2] = found / characters
    return grams
