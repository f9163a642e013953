"""The rules against datatrove's filters, where it is installed, on documents for which both define things alike.

Words are made the same for both (between white space, every one counted), lines come stripped, and texts have no scripts
without spaces. Left out are documents that lie exactly on a threshold that the paper includes and datatrove does not.
"""

import random
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from rules_oracle import MARKS

from prox_spark.demo.corpus import pages
from prox_spark.execution import ExecutionSettings, execute
from prox_spark.execution.words import SPACELESS_RANGES
from prox_spark.rules.catalogue import DOCUMENT_RULES, MEASURES, select_rules
from prox_spark.rules.characters import ENDS
from prox_spark.rules.programs import drop_reasons, line_programs, measure

filters = pytest.importorskip("datatrove.pipeline.filters", reason="datatrove is not installed")
data = pytest.importorskip("datatrove.data")
SPACELESS = re.compile(f"[{MARKS}{''.join(f'{chr(low)}-{chr(high)}' for low, high in SPACELESS_RANGES)}]")


@cache
def documents() -> list[str]:
    """Demo pages as they are, and again with lines, words and marks repeated, shuffled and lost, so that all rules act."""
    chance = random.Random(7)
    texts = [page.text for page in pages() if page.text and not SPACELESS.search(page.text)]
    found = []
    for text in texts * 6:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if found:
            for _ in range(chance.randrange(8)):
                chance.choice(SPOILERS)(lines, chance)
        found.append("\n".join(lines))
    return found


def _repeat_lines(lines: list[str], chance: random.Random) -> None:
    lines += chance.choices(lines, k=1 + len(lines) // 3)


def _repeat_words(lines: list[str], chance: random.Random) -> None:
    words = chance.choice(lines).split()[: chance.randrange(2, 14)]
    lines.append(" ".join(words * chance.randrange(1, 40)))


def _shorten(lines: list[str], chance: random.Random) -> None:
    del lines[max(1, chance.randrange(len(lines))) :]


def _mark(lines: list[str], chance: random.Random) -> None:
    before, after = chance.choice(
        [("- ", ""), ("• ", ""), ("", "..."), ("", " …"), ("# ", ""), ("", " |"), ("42 ", " 7 8")]
    )
    share = chance.random()
    lines[:] = [before + line + after if chance.random() < share else line for line in lines]


def _cut_words(lines: list[str], chance: random.Random) -> None:
    lines[:] = [" ".join(line.split()[: chance.randrange(1, 9)]) for line in lines]


SPOILERS: list[Callable[[list[str], random.Random], None]] = [_repeat_lines, _repeat_words, _shorten, _mark, _cut_words]


def execute_without_guards(text: str, program: str) -> str:
    return execute(text, program, settings=ExecutionSettings(max_removed_share=1.0, min_words=0)).text


def kept(chosen: Any, text: str) -> bool:
    answer = chosen.filter(data.Document(text=text, id="0"))
    return bool(answer[0] if isinstance(answer, tuple) else answer)


def agree(chosen: Any, name: str, texts: list[str]) -> None:
    rules = select_rules("document", [name])
    ours = [reason is None for reason in drop_reasons(texts, rules)]
    table = measure(texts)
    columns = [(MEASURES.index(DOCUMENT_RULES[rule].measure), DOCUMENT_RULES[rule].threshold) for rule in rules]
    on_edge = [any(row[column] == threshold for column, threshold in columns) for row in table]
    different = [
        text for text, mine, edge in zip(texts, ours, on_edge, strict=True) if not edge and kept(chosen, text) != mine
    ]
    assert different == []
    assert 0.05 < sum(ours) / len(ours) < 0.95, "the documents must put the rules to a test"


@pytest.fixture(autouse=True)
def _plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("gopher_quality_filter", "gopher_repetition_filter", "fineweb_quality_filter"):
        monkeypatch.setattr(f"datatrove.pipeline.filters.{module}.split_into_words", lambda text, _: text.split())
    monkeypatch.setattr("datatrove.pipeline.filters.gopher_quality_filter.PUNCTUATION_SET", set())
    monkeypatch.setattr("datatrove.pipeline.filters.c4_filters.END_PUNCTUATION", ENDS)


def test_gopher_quality_agrees() -> None:
    agree(filters.GopherQualityFilter(), "gopher_quality", documents())


def test_gopher_repetition_agrees() -> None:
    chance = random.Random(3)
    texts = ["".join(line + chance.choice(["\n", "\n\n"]) for line in text.split("\n")).strip() for text in documents()]
    agree(filters.GopherRepetitionFilter(), "gopher_repetition", texts)


def test_fineweb_agrees_where_it_takes_the_papers_threshold() -> None:
    chosen = filters.FineWebQualityFilter(stop_chars=ENDS, short_line_length=29, char_duplicates_ratio=0.1)
    agree(chosen, "fineweb", documents())


def test_c4_line_rules_agree() -> None:
    chosen = filters.C4QualityFilter(
        min_words_per_line=5,
        min_num_sentences=-1,
        filter_lorem_ipsum=False,
        filter_curly_bracket=False,
        remove_citations=False,
    )
    programs = line_programs(documents(), select_rules("chunk", ["c4"]))
    for text, program in zip(documents(), programs, strict=True):
        document = data.Document(text=text, id="0")
        assert chosen.filter(document)
        assert document.text == execute_without_guards(text, program)
