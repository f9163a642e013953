"""The rules engine: what each rule removes, and how well C4's rules do on labelled pages."""

import io
import json
from pathlib import Path

import pytest
import zstandard

from prox_spark.engines.heuristics import (
    DEFAULT_LINE_RULES,
    DOCUMENT_RULES,
    LINE_RULES,
    drop_reason,
    removed_runs,
    words,
)
from prox_spark.engines.protocol import Request
from prox_spark.engines.rules import RulesEngine, select_rules
from prox_spark.errors import ConfigError

GOOD = "This line is a whole sentence of prose, and it ends as one."


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("c4_terminal_punctuation", "Home About Contact us now please"),
        ("c4_ellipsis", "Read how the story of the house goes on..."),
        ("c4_few_words", "Two words."),
        ("c4_javascript", "Please enable JavaScript in your browser to see this page."),
        ("c4_policy", "By going on you accept that this site uses cookies everywhere."),
        ("c4_long_word", "A word of " + "x" * 1001 + " is no word of any language."),
        ("fineweb_few_words", "Share this"),
    ],
)
def test_a_line_rule_removes_its_kind_of_line_and_keeps_prose(rule: str, line: str) -> None:
    assert LINE_RULES[rule](line)
    assert not LINE_RULES[rule](GOOD)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("gopher_few_words", "Only a few words stand here."),
        ("c4_lorem_ipsum", "Lorem ipsum dolor sit amet."),
        ("gopher_symbols", "# a # b # c # d"),
        ("fineweb_line_punctuation", "no end mark here\n" * 20),
        ("fineweb_short_lines", "Short.\n" * 20),
        ("fineweb_duplicate_lines", f"{GOOD}\n" * 5),
    ],
)
def test_a_document_rule_drops_its_kind_of_document_and_keeps_prose(rule: str, text: str) -> None:
    prose = "\n".join(f"Paragraph {number}: {GOOD} {GOOD}" for number in range(10))
    assert drop_reason(text, (rule,)) == rule
    assert drop_reason(prose, tuple(DOCUMENT_RULES)) is None


def test_lines_in_scripts_without_spaces_are_counted_by_characters() -> None:
    assert words("这是一个完整的句子而且它有足够多的字。") >= 5
    assert (
        removed_runs("这是一个完整的句子而且它有足够多的字。", tuple(LINE_RULES[name] for name in DEFAULT_LINE_RULES))
        == []
    )


def test_a_removed_block_takes_its_blank_lines_and_paragraphs_keep_theirs() -> None:
    rules = (LINE_RULES["c4_terminal_punctuation"],)
    assert removed_runs(f"\nmenu\n\nmenu\n{GOOD}\n\n{GOOD}\nfooter\n", rules) == [(0, 3), (7, 8)]


def test_programs_are_runs_of_removed_lines_or_a_keep() -> None:
    chunk = RulesEngine("chunk", select_rules("chunk", None))
    document = RulesEngine("document", select_rules("document", None))
    texts = [f"menu\nmenu\n{GOOD}", GOOD]
    answers = list(chunk.stream(Request(id=i, stage="chunk", text=text) for i, text in enumerate(texts)))
    assert [answer.output for answer in answers] == ["remove_lines(start=0, end=1)", "keep_chunk()"]
    answers = list(document.stream(iter([Request(id=0, stage="document", text="menu")])))
    assert [answer.output for answer in answers] == ["drop_doc()"]


def test_a_rule_of_the_other_stage_is_refused() -> None:
    with pytest.raises(ConfigError, match="no rule of this stage"):
        select_rules("document", ("c4_policy",))


def test_c4_line_rules_reach_their_known_score_on_labelled_pages(shared: Path) -> None:
    rules = tuple(LINE_RULES[name] for name in DEFAULT_LINE_RULES)
    kept_right = kept = should = 0
    with (shared / "gold/dev.jsonl.zst").open("rb") as file:
        for record in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
            page = json.loads(record)
            lines = page["raw_content"].split("\n")
            removed = {n for first, last in removed_runs(page["raw_content"], rules) for n in range(first, last + 1)}
            for number, (line, gold) in enumerate(zip(lines, page["gold_keep"], strict=True)):
                count = len(line.split())
                kept += count * (number not in removed)
                should += count * gold
                kept_right += count * (gold and number not in removed)
    precision, recall = kept_right / kept, kept_right / should
    # shared/gold/README.md: .832 for C4's line rules on all lines.
    assert 2 * precision * recall / (precision + recall) == pytest.approx(0.832, abs=0.005)
