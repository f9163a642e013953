"""Classic rules of web corpora, as small named functions over one line or one document.

A line rule answers "does this line go?", a document rule "does this document go?". Sources: C4 (Raffel et al.,
"Exploring the limits of transfer learning with a unified text-to-text transformer", section 2.2, and its published
code), FineWeb (Penedo et al., "The FineWeb datasets", section 3.6 and appendix E.1), Gopher (Rae et al., "Scaling
language models", appendix A.1.1). ``VERSION`` grows whenever a rule answers differently: it is part of the refiner's
fingerprint.
"""

import re
from collections.abc import Callable

VERSION = 1

LineRule = Callable[[str], bool]
DocumentRule = Callable[[str, list[str]], bool]

_ENDS = (".", "!", "?", '"', "”", "。", "！", "？", "」", "』", "।", "؟")  # noqa: RUF001 -- marks of other scripts
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
# Scripts without spaces between words: Thai and Lao, Burmese, Khmer, kana, Han.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]+")


def words(line: str) -> int:
    """Number of words; in scripts without spaces two characters count as a word.

    C4 counts what stands between spaces, which leaves nothing of a Chinese, Japanese or Thai page; two characters are
    the usual mean length of a Chinese word.
    """
    count = len(line.split())
    if not line.isascii():
        count += sum(map(len, _UNSPACED.findall(line))) // 2
    return count


def c4_terminal_punctuation(line: str) -> bool:
    """The line does not end in ``.``, ``!``, ``?`` or a closing quotation mark (C4), or in their like elsewhere."""
    return not line.endswith(_ENDS)


def c4_ellipsis(line: str) -> bool:
    """The line ends in ``...``: a teaser that goes on elsewhere (C4's code)."""
    return line.endswith("...")


def c4_few_words(line: str) -> bool:
    """The line has fewer than 5 words (C4)."""
    # Five words have four spaces: the cheap test first, as most lines of a page pass or fail it.
    if line.isascii() and line.count(" ") + line.count("\t") < 4:
        return len(line.split()) < 5
    return words(line) < 5


def c4_javascript(line: str) -> bool:
    """The line says "javascript": warnings that it should be enabled (C4)."""
    return "javascript" in line.lower()


def c4_policy(line: str) -> bool:
    """The line speaks of terms of use, privacy or cookies, by C4's six phrases."""
    lowered = line.lower()
    return any(phrase in lowered for phrase in _POLICY)


def c4_long_word(line: str) -> bool:
    """The line has a word of more than 1,000 characters (the C4 filter that FineWeb applied)."""
    return len(line) > 1000 and max(map(len, line.split()), default=0) > 1000


def fineweb_few_words(line: str) -> bool:
    """The line has fewer than 3 words (the C4 filter as FineWeb ran it, without terminal punctuation)."""
    return words(line) < 3


LINE_RULES: dict[str, LineRule] = {
    rule.__name__: rule
    for rule in (
        c4_terminal_punctuation,
        c4_ellipsis,
        c4_few_words,
        c4_javascript,
        c4_policy,
        c4_long_word,
        fineweb_few_words,
    )
}
"""Every line rule by its name."""

DEFAULT_LINE_RULES = (
    "c4_terminal_punctuation",
    "c4_ellipsis",
    "c4_few_words",
    "c4_javascript",
    "c4_policy",
    "c4_long_word",
)
"""The chunk stage's rules: C4's, with FineWeb's limit on the length of a word."""


def fineweb_line_punctuation(text: str, lines: list[str]) -> bool:
    """At most 0.12 of the lines end in terminal punctuation (FineWeb)."""
    return sum(line.endswith(_ENDS) for line in lines) <= 0.12 * len(lines)


def fineweb_short_lines(text: str, lines: list[str]) -> bool:
    """At least 0.67 of the lines are shorter than 30 characters (FineWeb)."""
    return sum(len(line) < 30 for line in lines) >= 0.67 * len(lines)


def fineweb_duplicate_lines(text: str, lines: list[str]) -> bool:
    """At least 0.1 of the characters stand in lines that stood there before (FineWeb)."""
    distinct = set(lines)
    if len(distinct) == len(lines):
        return False
    total = sum(map(len, lines))
    return total - sum(map(len, distinct)) >= 0.1 * total


def c4_lorem_ipsum(text: str, lines: list[str]) -> bool:
    """The text has the placeholder "lorem ipsum" (C4)."""
    return "lorem ipsum" in text.lower()


def gopher_few_words(text: str, lines: list[str]) -> bool:
    """The document has fewer than 50 words (Gopher)."""
    return len(text) < 5000 and words(text) < 50


def gopher_symbols(text: str, lines: list[str]) -> bool:
    """More than 0.1 as many symbols (``#`` and ellipses) as words (Gopher)."""
    symbols = text.count("#") + text.count("...") + text.count("…")
    return symbols > 0 and symbols > 0.1 * words(text)


DOCUMENT_RULES: dict[str, DocumentRule] = {
    rule.__name__: rule
    for rule in (
        gopher_few_words,
        c4_lorem_ipsum,
        gopher_symbols,
        fineweb_line_punctuation,
        fineweb_short_lines,
        fineweb_duplicate_lines,
    )
}
"""Every document rule by its name."""

DEFAULT_DOCUMENT_RULES = tuple(DOCUMENT_RULES)
"""The document stage's rules: all of them."""


def removed_runs(text: str, rules: tuple[LineRule, ...]) -> list[tuple[int, int]]:
    """Runs of lines (first, last) that a rule removes, in order; ``text`` is split at ``"\\n"``, lines are stripped.

    A blank line goes with its neighbours: it is removed where the lines around it are, so that a removed block is one
    run and the paragraphs that stay keep their distance.
    """
    runs: list[tuple[int, int]] = []
    start, last, number = 0, -1, -1
    kept = False
    for number, line in enumerate(text.split("\n")):
        line = line.strip()
        if not line:
            continue
        for rule in rules:
            if rule(line):
                if last < 0:
                    start = number if kept else 0
                last = number
                break
        else:
            if last >= 0:
                runs.append((start, last))
                last = -1
            kept = True
    if last >= 0:
        runs.append((start, number))
    return runs


def drop_reason(text: str, rules: tuple[str, ...]) -> str | None:
    """Name of the first document rule that drops ``text``, or ``None``; lines are stripped, blank ones left out."""
    lines = [stripped for line in text.split("\n") if (stripped := line.strip())]
    for name in rules:
        if DOCUMENT_RULES[name](text, lines):
            return name
    return None
