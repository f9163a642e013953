"""The two kernels that Python calls: measures of documents, and programs that remove lines. Both take a batch's bytes."""

from typing import Any

import numpy as np

from prox_spark.programs.bytes_kernels import Bytes, Integers, Texts, copy, count_characters, find, room
from prox_spark.programs.compiled import entry, inner
from prox_spark.rules.catalogue import MEASURES, SETS, SHORT_LINE
from prox_spark.rules.flags import (
    BEGINS_WITH_BULLET,
    ENDS_IN_ELLIPSIS,
    ENDS_IN_PUNCTUATION,
    flag_lines,
    lower_case,
    rule_bits,
)
from prox_spark.rules.repetition import find_equal, measure_ngrams, new_equals, new_grams
from prox_spark.rules.scan import (
    CHARACTERS,
    END,
    FLAGS,
    N_FILLED,
    N_LINES,
    N_WORDS,
    NUMBER,
    SPACED,
    SPACED_CHARACTERS,
    START,
    WITH_LETTER,
    WORD_END,
    WORD_START,
    Page,
    count_sentences,
    int64,
    new_page,
    scan,
    words_of,
)

_column = MEASURES.index
_WORDS, _NEWLINES, _LENGTH = _column("words"), _column("newlines_per_word"), _column("word_length")
_HASHES, _ELLIPSES, _SYMBOLS = _column("hashes_per_word"), _column("ellipses_per_word"), _column("symbols_per_word")
_LOREM, _CURLY, _SENTENCES = _column("lorem_ipsum"), _column("curly_brackets"), _column("sentences")
_PUNCTUATED, _SHORT, _BULLETS = _column("punctuated_lines"), _column("short_lines"), _column("bullets")
_ELLIPSIS_LINES, _LETTERS, _STOPS = _column("ellipsis_lines"), _column("alphabetic_words"), _column("stop_words")
_FLAGGED, _REPEATED = _column("flagged_words"), _column("repeated_line_characters")
_LINES_AGAIN, _LINE_CHARACTERS = _column("duplicate_lines"), _column("duplicate_line_characters")
_PARAGRAPHS_AGAIN, _PARAGRAPH_CHARACTERS = _column("duplicate_paragraphs"), _column("duplicate_paragraph_characters")
_NGRAMS = _column("top_2_gram")

_C4_LINES, _REFINEDWEB_LINES = rule_bits(SETS["chunk"]["c4"]), rule_bits(SETS["chunk"]["refinedweb"])
_HASH, _DOTS, _ELLIPSIS = (np.frombuffer(mark.encode(), np.uint8) for mark in ("#", "...", "…"))
_LOREM_IPSUM, _CURLY_BRACKET = np.frombuffer(b"lorem ipsum", np.uint8), np.frombuffer(b"{", np.uint8)
# Packed behind a one, so that a byte of zero counts as one.
_STOP_WORDS = np.array(
    [int.from_bytes(b"\1" + word) for word in (b"the", b"be", b"to", b"of", b"and", b"that", b"have", b"with")],
    np.int64,
)
_REMOVE, _AND = np.frombuffer(b"remove_lines(start=", np.uint8), np.frombuffer(b", end=", np.uint8)
_KEEP = np.frombuffer(b"keep_chunk()", np.uint8)
_NEWLINE, _CLOSE = 10, 41
_ROOM_FOR_A_CALL = 70


@inner
def _count(data: Bytes, start: int, end: int, needle: Bytes) -> int:
    count, position = 0, find(data, start, end, needle, 0, needle.shape[0])
    while position >= 0:
        count += 1
        position = find(data, position + needle.shape[0], end, needle, 0, needle.shape[0])
    return count


@inner
def _count_stop_words(data: Bytes, words: Integers, n_words: int) -> int:
    """The number of different Gopher stop words in the text (case-sensitive)."""
    found = 0
    for i in range(n_words):
        start, length = words[i, WORD_START], words[i, WORD_END] - words[i, WORD_START]
        if length < 2 or length > 4:
            continue
        word = int64(1)
        for k in range(length):
            word = word << 8 | int64(data[start + k])
        for k in range(_STOP_WORDS.shape[0]):
            found |= int64(word == _STOP_WORDS[k]) << k
    count = 0
    while found:
        count += found & 1
        found >>= 1
    return count


@inner
def _measure_words(data: Bytes, start: int, end: int, page: Page, row: Any) -> None:
    counts, n = page.counts, page.counts[N_WORDS]
    each = max(n, 1)
    hashes = _count(data, start, end, _HASH)
    ellipses = _count(data, start, end, _DOTS) + _count(data, start, end, _ELLIPSIS)
    row[_WORDS], row[_NEWLINES] = n, (counts[N_LINES] - 1) / each
    row[_HASHES], row[_ELLIPSES], row[_SYMBOLS] = hashes / each, ellipses / each, (hashes + ellipses) / each
    row[_LETTERS], row[_STOPS] = counts[WITH_LETTER] / each, _count_stop_words(data, page.words, n)
    # In scripts without spaces two characters are a word by definition, so their length has no meaning.
    row[_LENGTH] = counts[SPACED_CHARACTERS] / counts[SPACED] if 2 * counts[SPACED] > n else np.nan


@inner
def _measure_lines(data: Bytes, classes: Bytes, page: Page, row: Any) -> None:
    lines, counts, n = page.lines, page.counts, page.counts[N_FILLED]
    punctuated, short, bullets, ellipses, flagged, sentences = 0, 0, 0, 0, 0, 0
    for line in range(n):
        flags = lines[line, FLAGS]
        punctuated += flags & ENDS_IN_PUNCTUATION != 0
        ellipses += flags & ENDS_IN_ELLIPSIS != 0
        bullets += flags & BEGINS_WITH_BULLET != 0
        short += lines[line, CHARACTERS] < SHORT_LINE
        if flags & _REFINEDWEB_LINES:
            flagged += words_of(lines, line)
        if flags & _C4_LINES == 0:
            sentences += count_sentences(data, lines[line, START], lines[line, END], classes)
    each = max(n, 1)
    row[_PUNCTUATED], row[_SHORT], row[_BULLETS] = punctuated / each, short / each, bullets / each
    row[_ELLIPSIS_LINES], row[_SENTENCES], row[_FLAGGED] = ellipses / each, sentences, flagged / max(counts[N_WORDS], 1)


@inner
def _measure_repeated_lines(lines: Integers, n: int, first: Integers, row: Any, characters: int) -> None:
    again, again_characters, all_characters = 0, 0, 0
    for line in range(n):
        all_characters += lines[line, CHARACTERS]
        if first[line] != line:
            again += 1
            again_characters += lines[line, CHARACTERS]
    row[_LINES_AGAIN], row[_LINE_CHARACTERS] = again / max(n, 1), again_characters / characters
    row[_REPEATED] = again_characters / max(all_characters, 1)


@inner
def _paragraphs(lines: Integers, n_lines: int, paragraphs: Integers) -> tuple[Integers, int]:
    """Byte ranges of the paragraphs, which blank lines separate: the table of starts and ends, and their number."""
    paragraphs = room(paragraphs, 0, n_lines + 1)
    n = 0
    for line in range(n_lines):
        if line == 0 or lines[line, NUMBER] != lines[line - 1, NUMBER] + 1:
            paragraphs[n, 0] = lines[line, START]
            n += 1
        paragraphs[n - 1, 1] = lines[line, END]
    return paragraphs, n


@inner
def _measure_repeated_paragraphs(
    data: Bytes, paragraphs: Integers, n: int, first: Integers, row: Any, characters: int
) -> None:
    again, again_characters = 0, 0
    for i in range(n):
        if first[i] != i:
            again += 1
            again_characters += count_characters(data, paragraphs[i, 0], paragraphs[i, 1])
    row[_PARAGRAPHS_AGAIN], row[_PARAGRAPH_CHARACTERS] = again / max(n, 1), again_characters / characters


@entry
def measure_documents(texts: Texts, classes: Bytes, key: int, ngrams: bool) -> Any:
    """Measures of every text: a row each, a column for each of ``catalogue.MEASURES``.

    ``classes`` is ``characters.classes()``, ``key`` an odd number that hashing starts from. N-grams are left out (zeros)
    unless ``ngrams``.
    """
    data, n_documents = texts.data, texts.starts.shape[0]
    out = np.zeros((n_documents, len(MEASURES)))
    page, equals, grams = new_page(), new_equals(), new_grams()
    paragraphs, lower = np.empty((64, 2), np.int64), np.empty(1024, np.uint8)
    for i in range(n_documents):
        start, end, row = texts.starts[i], texts.ends[i], out[i]
        lower = room(lower, 0, end - start + 1)
        lower_case(data, start, end, lower)
        page = scan(data, start, end, classes, page)
        lines, words, n_lines, n_words = page.lines, page.words, page.counts[N_FILLED], page.counts[N_WORDS]
        characters = max(count_characters(data, start, end), 1)
        flag_lines(data, start, end - start, lower, classes, page)
        _measure_words(data, start, end, page, row)
        _measure_lines(data, classes, page, row)
        row[_LOREM] = find(lower, 0, end - start, _LOREM_IPSUM, 0, _LOREM_IPSUM.shape[0]) >= 0
        row[_CURLY] = find(data, start, end, _CURLY_BRACKET, 0, 1) >= 0
        equals = find_equal(data, lines, n_lines, key, equals)
        _measure_repeated_lines(lines, n_lines, equals.first, row, characters)
        paragraphs, n_paragraphs = _paragraphs(lines, n_lines, paragraphs)
        equals = find_equal(data, paragraphs, n_paragraphs, key, equals)
        _measure_repeated_paragraphs(data, paragraphs, n_paragraphs, equals.first, row, characters)
        if ngrams:
            equals = find_equal(data, words, n_words, key, equals)
            grams = measure_ngrams(words, n_words, equals.first, grams, row, _NGRAMS, characters)
    return out


@inner
def _write_number(out: Bytes, at: int, number: int) -> int:
    digits, rest = 1, number
    while rest >= 10:
        digits += 1
        rest //= 10
    for k in range(at + digits - 1, at - 1, -1):
        out[k] = 48 + number % 10
        number //= 10
    return at + digits


@inner
def _write_call(out: Bytes, at: int, begun: int, first: int, last: int) -> int:
    """Write one call on a separate line."""
    if at > begun:
        out[at] = _NEWLINE
        at += 1
    at = copy(out, at, _REMOVE, 0, _REMOVE.shape[0])
    at = _write_number(out, at, first)
    at = copy(out, at, _AND, 0, _AND.shape[0])
    at = _write_number(out, at, last)
    out[at] = _CLOSE
    return at + 1


@inner
def _write_program(lines: Integers, counts: Integers, rules: int, out: Bytes, at: int) -> tuple[Bytes, int]:
    """Write one call for each run of lines that a rule hits; blank lines are removed if the lines around them are."""
    begun, start, last, kept = at, 0, -1, False
    for line in range(counts[N_FILLED] + 1):
        if line < counts[N_FILLED] and lines[line, FLAGS] & rules:
            if last < 0:
                start = lines[line, NUMBER] if kept else 0
            last = lines[line, NUMBER]
            continue
        if last >= 0:
            if line == counts[N_FILLED]:
                last = counts[N_LINES] - 1
            out = room(out, at, _ROOM_FOR_A_CALL)
            at = _write_call(out, at, begun, start, last)
            last = -1
        kept = True
    if at == begun:
        out = room(out, at, _ROOM_FOR_A_CALL)
        at = copy(out, at, _KEEP, 0, _KEEP.shape[0])
    return out, at


@entry
def write_line_programs(texts: Texts, classes: Bytes, rules: int) -> tuple[Bytes, Integers]:
    """A program for each text, which removes the lines that a rule of the mask hits.

    Returns the concatenated programs, and the end of each.
    """
    data, n_documents = texts.data, texts.starts.shape[0]
    page, lower, out = new_page(), np.empty(1024, np.uint8), np.empty(128 * n_documents + 128, np.uint8)
    stops = np.empty(n_documents, np.int64)
    at = 0
    for i in range(n_documents):
        start, end = texts.starts[i], texts.ends[i]
        lower = room(lower, 0, end - start + 1)
        lower_case(data, start, end, lower)
        page = scan(data, start, end, classes, page)
        flag_lines(data, start, end - start, lower, classes, page)
        out, at = _write_program(page.lines, page.counts, rules, out, at)
        stops[i] = at
    return out[:at], stops
