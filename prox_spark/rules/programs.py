"""Writes the rules' programs for texts: many documents per call, no Python object for a line or a word."""

import operator
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from prox_spark.programs.bytes_kernels import side_by_side
from prox_spark.rules.catalogue import DOCUMENT_RULES, MEASURES
from prox_spark.rules.characters import classes
from prox_spark.rules.flags import rule_bits
from prox_spark.rules.kernels import measure_documents, write_line_programs

_BEYOND = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_KEY = int.from_bytes(os.urandom(7), "little") | 1
_NGRAM_MEASURES = MEASURES[MEASURES.index("top_2_gram") :]


def measure(texts: Sequence[str], *, ngrams: bool = True) -> Any:
    """Measures of texts (float64): a row each, a column for each of ``MEASURES``; without ``ngrams`` those are zeros."""
    return measure_documents(side_by_side(texts), classes(), _KEY, ngrams)


def drop_reasons(texts: Sequence[str], rules: Sequence[str]) -> list[str | None]:
    """For each text the first of these document rules that drops it, or ``None``.

    >>> drop_reasons(["Only a few words."], ["c4_curly_bracket", "gopher_few_words"])
    ['gopher_few_words']
    """
    chosen = [DOCUMENT_RULES[name] for name in rules]
    measures = measure(texts, ngrams=any(rule.measure in _NGRAM_MEASURES for rule in chosen))
    reason = np.full(len(texts), -1)
    for number, rule in enumerate(chosen):
        beyond = _BEYOND[rule.bound](measures[:, MEASURES.index(rule.measure)], rule.threshold)
        reason[beyond & (reason < 0)] = number
    return [rules[number] if number >= 0 else None for number in reason.tolist()]


def document_programs(texts: Sequence[str], rules: Sequence[str]) -> list[str]:
    """``keep_doc()``, or ``drop_doc()`` with a comment that names the first rule that drops the document."""
    return [f"drop_doc()  # {reason}" if reason else "keep_doc()" for reason in drop_reasons(texts, rules)]


def line_programs(texts: Sequence[str], rules: Sequence[str]) -> list[str]:
    r"""For each text a ``remove_lines`` call for each run of lines that one of these line rules hits, or ``keep_chunk()``.

    Lines count from 0 in each text. A blank line is removed if the lines around it are, so that a removed block is one run
    and the remaining paragraphs keep their distance.

    >>> line_programs(["Menu\n\nHome\nA line of prose, with its full stop."], ["c4_few_words"])
    ['remove_lines(start=0, end=2)']
    """
    programs, stops = write_line_programs(side_by_side(texts), classes(), rule_bits(rules))
    written, ends = programs.tobytes().decode("ascii"), stops.tolist()
    return [written[start:end] for start, end in zip([0, *ends], ends, strict=False)]
