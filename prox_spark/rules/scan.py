"""One pass over a document's bytes finds its lines and words, as rows of tables that the next document reuses.

Compiled code; documents are valid UTF-8. ``catalogue.py`` says what a line and a word are.
"""

from typing import Any, NamedTuple

import numpy as np

from prox_spark.programs.bytes_kernels import Bytes, Integers, count_characters, find_byte, is_ascii, room
from prox_spark.programs.compiled import inner
from prox_spark.rules.characters import DIGIT, LETTER, MARK, SENTENCE_END, SPACE, SPACELESS, UPPER

START, END, NUMBER, CHARACTERS, FIRST_WORD, FILLED, UPPERCASE, DIGITS, LONGEST, FLAGS = range(10)
"""Columns of the table of lines, without blank ones: start and end of the stripped bytes, line number, characters, index of
the first word, characters that are not white space, uppercase letters, digits, characters of the longest word, and flag bits.
The row after the last also has ``FIRST_WORD``."""
WORD_START, WORD_END, BEFORE = range(3)
"""Columns of the table of words: start and end, and the characters of all words before it. One more row follows the last."""
N_LINES, N_FILLED, N_WORDS, WITH_LETTER, SPACED, SPACED_CHARACTERS = range(6)
"""Entries of a document's counts: lines, lines that are not blank, words, words with a letter, words of scripts that have
spaces, and the characters of these."""


class Page(NamedTuple):
    """The result of a scan: lines, words and counts of a document. The tables grow as needed."""

    lines: Integers
    words: Integers
    counts: Integers


int64: Any = np.int64
"""Makes a number of 64 bits with a sign, as nearly all here are; untyped, as compiled code tells no difference to ``int``."""

_NEWLINE = 10
_NO_WORD, _WORD, _HALF = range(3)
_CLOSERS = np.array([0x22, 0x27, 0x29, 0x5D, 0x2019, 0x201D, 0x300D, 0x300F], np.int64)


@inner
def decode(data: Bytes, position: int) -> tuple[int, int]:
    """The code point at ``position``, and the position after it."""
    byte = int64(data[position])
    if byte < 0x80:
        return byte, position + 1
    following = int64(data[position + 1]) & 0x3F
    if byte < 0xE0:
        return (byte & 0x1F) << 6 | following, position + 2
    third = int64(data[position + 2]) & 0x3F
    if byte < 0xF0:
        return (byte & 0x0F) << 12 | following << 6 | third, position + 3
    code = (byte & 0x07) << 18 | following << 12 | third << 6 | (int64(data[position + 3]) & 0x3F)
    return code, position + 4


@inner
def class_of(classes: Bytes, code: int) -> int:
    """The class of a code point."""
    return int64(classes[code]) if code < classes.shape[0] else 0


@inner
def last_start(data: Bytes, start: int, end: int) -> int:
    """Start of the last character of ``data[start:end]``, which is not empty."""
    position = end - 1
    while position > start and data[position] & 0xC0 == 0x80:
        position -= 1
    return position


@inner
def _strip(data: Bytes, start: int, end: int, classes: Bytes) -> tuple[int, int]:
    while start < end:
        code, after = decode(data, start)
        if not class_of(classes, code) & SPACE:
            break
        start = after
    while start < end:
        before = last_start(data, start, end)
        code, _ = decode(data, before)
        if not class_of(classes, code) & SPACE:
            break
        end = before
    return start, end


@inner
def _is_ascii_space(byte: int) -> bool:
    return bool((byte == np.uint8(32)) | (np.uint8(byte - 9) < np.uint8(5)) | (np.uint8(byte - 28) < np.uint8(4)))


@inner
def _split_ascii(data: Bytes, row: Integers, classes: Bytes, words: Integers, n: int) -> tuple[int, int]:
    """Add the words of an ASCII line; returns the new total of words, and how many of the added ones have a letter."""
    # Unsigned positions avoid compiled code for negative indices.
    position, end, one = np.uint64(row[START]), np.uint64(row[END]), np.uint64(1)
    before, with_letter = words[n, BEFORE], 0
    longest: Any = 0
    while position < end:
        start, kinds = position, np.uint8(0)
        while position < end and not _is_ascii_space(data[position]):
            kinds |= classes[data[position]]
            position += one
        if position > start:
            length = int64(position - start)
            before += length
            words[n, WORD_START], words[n, WORD_END], words[n + 1, BEFORE] = start, position, before
            longest = max(longest, length)
            with_letter += kinds & LETTER != 0
            n += 1
        position += one
    row[LONGEST] = longest
    return n, with_letter


@inner
def _fill_ascii(data: Bytes, row: Integers) -> None:
    upper, digits, spaces = int64(0), int64(0), int64(0)
    for i in range(np.uint64(row[START]), np.uint64(row[END])):
        upper += np.uint8(data[i] - np.uint8(65)) < np.uint8(26)
        digits += np.uint8(data[i] - np.uint8(48)) < np.uint8(10)
        spaces += _is_ascii_space(data[i])
    row[FILLED], row[UPPERCASE], row[DIGITS] = row[END] - row[START] - spaces, upper, digits


@inner
def _split(data: Bytes, row: Integers, classes: Bytes, words: Integers, n: int) -> tuple[int, int, int, int]:
    """Like ``_split_ascii`` for any line, and fill the row; also returns words and characters of scripts with spaces."""
    position, end = row[START], row[END]
    state, start, length, kinds = _NO_WORD, 0, 0, 0
    filled, upper, digits, longest = 0, 0, 0, 0
    before, with_letter, spaced, spaced_characters = words[n, BEFORE], 0, 0, 0
    while True:
        at, kind = position, SPACE
        if position < end:
            byte = data[position]
            if byte < 0x80:
                kind = int64(classes[byte])
                position += 1
            else:
                code, position = decode(data, position)
                kind = class_of(classes, code)
            filled += kind & SPACE == 0
            upper += kind & UPPER != 0
            digits += kind & DIGIT != 0
        apart, spaceless = kind & (SPACE | MARK) != 0, kind & SPACELESS != 0
        # A word ends before a character that is not part of it; in a script without spaces, before the third.
        if state != _NO_WORD and (apart or spaceless != (state == _HALF) or (spaceless and length == 2)):
            before += length
            words[n, WORD_START], words[n, WORD_END], words[n + 1, BEFORE] = start, at, before
            longest = max(longest, length)
            with_letter += kinds & LETTER != 0
            if state == _WORD:
                spaced += 1
                spaced_characters += length
            n += 1
            state = _NO_WORD
        if at >= end:
            break
        if apart:
            continue
        if state == _NO_WORD:
            state, start, length, kinds = _HALF if spaceless else _WORD, at, 0, 0
        length += 1
        kinds |= kind
    row[FILLED], row[UPPERCASE], row[DIGITS], row[LONGEST] = filled, upper, digits, longest
    return n, with_letter, spaced, spaced_characters


@inner
def _scan_words(data: Bytes, row: Integers, classes: Bytes, words: Integers, counts: Integers) -> None:
    """Add the line's words to their table, and fill the row with counts of its characters."""
    n = counts[N_WORDS]
    if is_ascii(data, row[START], row[END]):
        _fill_ascii(data, row)
        after, with_letter = _split_ascii(data, row, classes, words, n)
        spaced, spaced_characters = after - n, words[after, BEFORE] - words[n, BEFORE]
        row[CHARACTERS] = row[END] - row[START]
    else:
        after, with_letter, spaced, spaced_characters = _split(data, row, classes, words, n)
        row[CHARACTERS] = count_characters(data, row[START], row[END])
    counts[N_WORDS] = after
    counts[WITH_LETTER] += with_letter
    counts[SPACED] += spaced
    counts[SPACED_CHARACTERS] += spaced_characters


@inner
def new_page() -> Page:
    """Tables for the first document."""
    return Page(np.empty((64, 10), np.int64), np.empty((1024, 3), np.int64), np.zeros(6, np.int64))


@inner
def scan(data: Bytes, start: int, end: int, classes: Bytes, page: Page) -> Page:
    """Fill the tables and the counts for one document; the tables may grow."""
    lines, words, counts = page
    counts[:] = 0
    words[0, BEFORE] = 0
    n, number, position = 0, 0, start
    while position <= end:
        stop = find_byte(data, position, end, _NEWLINE)
        first, last = _strip(data, position, stop, classes)
        if first < last:
            if n + 2 > lines.shape[0]:
                lines = room(lines, n, 2)
            row = lines[n]
            row[START], row[END], row[NUMBER], row[FIRST_WORD] = first, last, number, counts[N_WORDS]
            row[FLAGS] = 0
            # A word takes a byte and a space, or a character of three bytes and one of one; memory is touched as needed.
            words = room(words, counts[N_WORDS] + 1, (last - first) // 2 + 2)
            _scan_words(data, row, classes, words, counts)
            n += 1
        number += 1
        position = stop + 1
    lines[n, FIRST_WORD] = counts[N_WORDS]
    counts[N_LINES], counts[N_FILLED] = number, n
    return Page(lines, words, counts)


@inner
def words_of(lines: Integers, line: int) -> int:
    """The number of words of a line."""
    return int(lines[line + 1, FIRST_WORD] - lines[line, FIRST_WORD])


@inner
def _is_closer(code: int) -> bool:
    for i in range(_CLOSERS.shape[0]):  # noqa: SIM110 -- numba
        if code == _CLOSERS[i]:
            return True
    return False


@inner
def count_sentences(data: Bytes, start: int, end: int, classes: Bytes) -> int:
    """Sentences of a line: a mark that ends one, perhaps closing quotes, then white space or the line's end.

    Marks of scripts without spaces end a sentence before any character. Text after the last mark is a sentence, too.
    """
    count, ended, at_once, begun = 0, False, False, False
    position = start
    while position < end:
        code, position = decode(data, position)
        kind = class_of(classes, code)
        if kind & SENTENCE_END:
            at_once = at_once or kind & MARK != 0 or code == 0x3002
            ended = begun = True
            continue
        if ended and _is_closer(code):
            continue
        if ended and (at_once or kind & SPACE):
            count += 1
            begun = False
        ended = at_once = False
        begun = begun or kind & SPACE == 0
    return count + begun
