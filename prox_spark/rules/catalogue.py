"""Every rule with its name, source and default, and the rule sets of published pipelines. No kernels here.

A line rule removes a line. A document rule drops a document by comparing a measure with a threshold.
A line is the text between newlines, without surrounding white space; blank lines do not count. A *word* is a
run of characters between white space; in scripts without spaces, every two characters of a run are a word. Where the
sources' code uses a tokenizer that splits punctuation off (spaCy, NLTK), counts here are a little lower.

Increase ``VERSION`` whenever the result of a rule changes: it is part of the refiner's fingerprint.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prox_spark.errors import ConfigError
from prox_spark.suggest import unknown

VERSION = 2

C4 = "Raffel et al. 2020 (C4), section 2.2"
C4_CODE = "the published code of C4 (c4_utils)"
GOPHER = "Rae et al. 2021 (Gopher), appendix A.1.1"
GOPHER_TABLE = "Rae et al. 2021 (Gopher), appendix A.1.1, table A1"
FINEWEB = "Penedo et al. 2024 (FineWeb), section 3.6, appendix E.1"
FINEWEB_C4 = "Penedo et al. 2024 (FineWeb), section 3.5"
FINEWEB_CODE = "the published filter of FineWeb (datatrove)"
REFINEDWEB = "Penedo et al. 2023 (RefinedWeb), appendix G.2"

C4_WORDS, FINEWEB_WORDS, LONGEST_WORD = 5, 3, 1000
NAVIGATION_WORDS, MAINLY = 10, 0.5
"""Thresholds of the line rules: minimum words of a line (C4, FineWeb), maximum characters of a word, maximum words of a
navigation line, and the share that counts as "mainly"."""
SHORT_LINE = 30
"""A line with fewer characters is short."""

Bound = Literal["<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class LineRule:
    """Removes lines; ``what`` describes them."""

    name: str
    what: str
    default: str
    source: str


@dataclass(frozen=True, slots=True)
class DocumentRule:
    """Drops a document whose ``measure`` is beyond ``threshold``. A measure that does not apply is NaN: the document stays."""

    name: str
    what: str
    measure: str
    bound: Bound
    threshold: float
    source: str

    @property
    def default(self) -> str:
        """Bound and threshold, as printed in the documentation."""
        return f"{self.bound} {self.threshold:,g}" if self.threshold else "any"


LINE_RULES: dict[str, LineRule] = {
    rule.name: rule
    for rule in (
        LineRule(
            "c4_terminal_punctuation",
            "does not end in a full stop, exclamation or question mark or closing quotation mark, of any script",
            "",
            C4,
        ),
        LineRule("c4_ellipsis", "ends in three full stops, like a teaser", "", C4_CODE),
        LineRule("c4_few_words", "has few words", f"< {C4_WORDS}", C4),
        LineRule("c4_javascript", "says “javascript”", "", C4),
        LineRule(
            "c4_policy", "speaks of terms of use, privacy or cookies, in one of six phrases", "", f"{C4}; {C4_CODE}"
        ),
        LineRule("c4_long_word", "has a very long word", f"> {LONGEST_WORD:,}", C4_CODE),
        LineRule(
            "fineweb_few_words", "has few words (C4's filter as FineWeb ran it)", f"< {FINEWEB_WORDS}", FINEWEB_C4
        ),
        LineRule("refinedweb_uppercase", "is mainly uppercase letters, spaces not counted", f"> {MAINLY}", REFINEDWEB),
        LineRule("refinedweb_numeric", "is only digits", "", REFINEDWEB),
        LineRule(
            "refinedweb_counter", "is a counter: a number and likes, shares, comments or the like", "", REFINEDWEB
        ),
        LineRule("refinedweb_one_word", "is a single word", "", REFINEDWEB),
        LineRule(
            "refinedweb_navigation",
            "is short and begins like “sign in”, ends like “read more”, or has “items in cart” or the like",
            f"<= {NAVIGATION_WORDS} words",
            REFINEDWEB,
        ),
    )
}
"""Every line rule by its name. Its position is its bit in the kernels' masks."""

_NGRAMS = ((2, 0.20), (3, 0.18), (4, 0.16), (5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))


def _ngram_rule(n: int, threshold: float) -> DocumentRule:
    if n <= 4:
        what = f"share of characters in occurrences of the most frequent word {n}-gram"
        return DocumentRule(f"gopher_top_{n}_gram", what, f"top_{n}_gram", ">", threshold, GOPHER_TABLE)
    what = f"share of characters in word {n}-grams that repeat an earlier one, each counted once"
    return DocumentRule(f"gopher_duplicate_{n}_grams", what, f"duplicate_{n}_grams", ">", threshold, GOPHER_TABLE)


DOCUMENT_RULES: dict[str, DocumentRule] = {
    rule.name: rule
    for rule in (
        DocumentRule("gopher_few_words", "number of words", "words", "<", 50, GOPHER),
        DocumentRule("c4_lorem_ipsum", "has the placeholder “lorem ipsum”", "lorem_ipsum", ">", 0, C4),
        DocumentRule("gopher_symbols", "hash signs and ellipses per word", "symbols_per_word", ">", 0.1, GOPHER),
        DocumentRule(
            "fineweb_line_punctuation",
            "share of the lines that end in terminal punctuation",
            "punctuated_lines",
            "<=",
            0.12,
            FINEWEB,
        ),
        DocumentRule(
            "fineweb_short_lines",
            f"share of lines under {SHORT_LINE} characters",
            "short_lines",
            ">=",
            0.67,
            FINEWEB,
        ),
        DocumentRule(
            "fineweb_duplicate_lines",
            "share of characters in lines that repeat an earlier line",
            "repeated_line_characters",
            ">=",
            0.1,
            FINEWEB,
        ),
        DocumentRule("fineweb_newlines", "newlines per word", "newlines_per_word", ">", 0.3, FINEWEB_CODE),
        DocumentRule("gopher_many_words", "number of words", "words", ">", 100_000, GOPHER),
        DocumentRule("gopher_short_words", "mean length of a word", "word_length", "<", 3, GOPHER),
        DocumentRule("gopher_long_words", "mean length of a word", "word_length", ">", 10, GOPHER),
        DocumentRule("gopher_hashes", "hash signs per word", "hashes_per_word", ">", 0.1, GOPHER),
        DocumentRule("gopher_ellipses", "ellipses per word", "ellipses_per_word", ">", 0.1, GOPHER),
        DocumentRule(
            "gopher_bullets", "share of the lines that begin with a bullet (• or -)", "bullets", ">", 0.9, GOPHER
        ),
        DocumentRule(
            "gopher_ellipsis_lines", "share of the lines that end in an ellipsis", "ellipsis_lines", ">", 0.3, GOPHER
        ),
        DocumentRule("gopher_alphabetic_words", "share of words with a letter", "alphabetic_words", "<", 0.8, GOPHER),
        DocumentRule(
            "gopher_stop_words",
            "number of different words among the, be, to, of, and, that, have, with (English only)",
            "stop_words",
            "<",
            2,
            GOPHER,
        ),
        DocumentRule("c4_curly_bracket", "has a curly bracket", "curly_brackets", ">", 0, C4),
        DocumentRule("c4_few_sentences", "sentences in the lines that C4's line rules keep", "sentences", "<", 3, C4),
        DocumentRule(
            "refinedweb_flagged_lines",
            "share of the words in lines that RefinedWeb's line rules remove",
            "flagged_words",
            ">",
            0.05,
            REFINEDWEB,
        ),
        DocumentRule(
            "gopher_duplicate_lines",
            "share of lines that repeat an earlier line",
            "duplicate_lines",
            ">",
            0.3,
            GOPHER_TABLE,
        ),
        DocumentRule(
            "gopher_duplicate_line_characters",
            "share of the characters in such lines",
            "duplicate_line_characters",
            ">",
            0.2,
            GOPHER_TABLE,
        ),
        DocumentRule(
            "gopher_duplicate_paragraphs",
            "share of paragraphs (between blank lines) that repeat an earlier one",
            "duplicate_paragraphs",
            ">",
            0.3,
            GOPHER_TABLE,
        ),
        DocumentRule(
            "gopher_duplicate_paragraph_characters",
            "share of the characters in such paragraphs",
            "duplicate_paragraph_characters",
            ">",
            0.2,
            GOPHER_TABLE,
        ),
        *(_ngram_rule(n, threshold) for n, threshold in _NGRAMS),
    )
}
"""Every document rule by its name; simple rules come first, so that a set reports the simplest reason."""

MEASURES = tuple(dict.fromkeys(rule.measure for rule in DOCUMENT_RULES.values()))
"""The measures of documents: the columns that the kernel fills, in this order. The n-gram measures come last."""

_LINE_SETS: dict[str, tuple[str, ...]] = {
    "c4": (
        *("c4_terminal_punctuation", "c4_ellipsis", "c4_few_words"),
        *("c4_javascript", "c4_policy", "c4_long_word"),
    ),
    "fineweb": ("fineweb_few_words", "c4_javascript", "c4_policy", "c4_long_word"),
    "refinedweb": (
        *("refinedweb_uppercase", "refinedweb_numeric", "refinedweb_counter"),
        *("refinedweb_one_word", "refinedweb_navigation"),
    ),
    "all": tuple(LINE_RULES),
}
_DOCUMENT_SETS: dict[str, tuple[str, ...]] = {
    "gopher_quality": (
        *("gopher_few_words", "gopher_many_words", "gopher_short_words", "gopher_long_words"),
        *("gopher_hashes", "gopher_ellipses", "gopher_bullets", "gopher_ellipsis_lines"),
        *("gopher_alphabetic_words", "gopher_stop_words"),
    ),
    "gopher_repetition": tuple(rule.name for rule in DOCUMENT_RULES.values() if rule.source == GOPHER_TABLE),
    "c4": ("c4_lorem_ipsum", "c4_curly_bracket", "c4_few_sentences"),
    "fineweb": ("fineweb_line_punctuation", "fineweb_short_lines", "fineweb_duplicate_lines", "fineweb_newlines"),
    "refinedweb": ("refinedweb_flagged_lines",),
    "all": tuple(DOCUMENT_RULES),
}
SETS: dict[str, dict[str, tuple[str, ...]]] = {"document": _DOCUMENT_SETS, "chunk": _LINE_SETS}
"""The rule sets of each stage, by name."""

DEFAULTS: dict[str, tuple[str, ...]] = {
    "document": (
        *("gopher_few_words", "c4_lorem_ipsum", "gopher_symbols"),
        *("fineweb_line_punctuation", "fineweb_short_lines", "fineweb_duplicate_lines"),
    ),
    "chunk": _LINE_SETS["c4"],
}
"""The default names of each stage."""


def known_names() -> list[str]:
    """Every name that a configuration may contain: sets and rules of both stages."""
    return list(dict.fromkeys([*_DOCUMENT_SETS, *_LINE_SETS, *DOCUMENT_RULES, *LINE_RULES]))


def select_rules(stage: str, names: Iterable[str] | None) -> tuple[str, ...]:
    """The rules that ``stage`` applies, in this order: ``names`` with sets expanded, or the stage's defaults.

    Raises ``ConfigError`` for an unknown name, or one of the other stage.

    >>> select_rules("document", ["c4", "gopher_few_words"])
    ('c4_lorem_ipsum', 'c4_curly_bracket', 'c4_few_sentences', 'gopher_few_words')
    """
    if names is None:
        return DEFAULTS[stage]
    sets: dict[str, tuple[str, ...]] = SETS[stage]
    rules = DOCUMENT_RULES if stage == "document" else LINE_RULES
    chosen: list[str] = []
    for name in names:
        if name not in sets and name not in rules:
            raise ConfigError(f"{stage}.engine.rules: {unknown(f'{stage} rule', name, [*sets, *rules])}")
        chosen += sets.get(name, (name,))
    return tuple(dict.fromkeys(chosen))
