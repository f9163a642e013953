"""The rules engine: what each rule does to its kind of line or document, sets of rules, and how requests are answered."""

from collections.abc import Iterator

import pytest

from prox_spark.engines.local.rules import RulesEngine
from prox_spark.engines.protocol import Request
from prox_spark.errors import ConfigError
from prox_spark.rules.catalogue import DOCUMENT_RULES, LINE_RULES, SETS, select_rules
from prox_spark.rules.programs import drop_reasons, line_programs

GOOD = "This line is a whole sentence of prose, and it ends as one."
PROSE = "\n".join(f"Paragraph {n}: {text}" for n, text in enumerate(
    [
        "The road along the coast was closed for most of the winter.",
        "Every harbour has its own way of mending nets, and few have written it down.",
        "By the time the ferry came, they had sold the last of the bread.",
        "Nobody in the village would say to whom the boat had belonged.",
        "With the spring tides came a smell of tar that lasted until June.",
        "It is said that the bell was cast from the anchors of lost ships.",
    ]
))  # fmt: skip


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
        ("refinedweb_uppercase", "ALL OF THIS LINE is uppercase, NEARLY."),
        ("refinedweb_numeric", "12 34 56"),
        ("refinedweb_counter", "3 likes"),
        ("refinedweb_counter", "1.2K Comments"),
        ("refinedweb_one_word", "Menu"),
        ("refinedweb_navigation", "Sign-in or go on as a guest"),
        ("refinedweb_navigation", "The story of the house Read more..."),
        ("refinedweb_navigation", "You have 3 items in cart now"),
    ],
)
def test_a_line_rule_removes_its_kind_of_line_and_keeps_prose(rule: str, line: str) -> None:
    removed, kept = line_programs([line, GOOD], [rule])
    assert removed == "remove_lines(start=0, end=0)"
    assert kept == "keep_chunk()"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("gopher_few_words", "Only a few words stand here."),
        ("c4_lorem_ipsum", "Lorem ipsum dolor sit amet."),
        ("gopher_symbols", "# a # b # c # d"),
        ("fineweb_line_punctuation", "no end mark here\n" * 20),
        ("fineweb_short_lines", "Short.\n" * 20),
        ("fineweb_duplicate_lines", f"{GOOD}\n" * 5),
        ("fineweb_newlines", "two words\n" * 5),
        ("gopher_many_words", "word " * 100_001),
        ("gopher_short_words", "a b c d"),
        ("gopher_long_words", "extraordinarily internationalised"),
        ("gopher_hashes", "#one #two three"),
        ("gopher_ellipses", "one... two… three"),
        ("gopher_bullets", "- one\n• two\n- three"),
        ("gopher_ellipsis_lines", "The story goes on…\nand on and on..."),
        ("gopher_alphabetic_words", "12 34 56 seven"),
        ("gopher_stop_words", "kein englisches Wort steht hier"),
        ("c4_curly_bracket", "function () { return; }"),
        ("c4_few_sentences", f"{GOOD} {GOOD}\nHome | About | Contact"),
        ("refinedweb_flagged_lines", f"Menu\n{GOOD}"),
        ("gopher_duplicate_lines", "a\nb\na\na"),
        ("gopher_duplicate_line_characters", f"{GOOD}\nx\ny\nz\n{GOOD}"),
        ("gopher_duplicate_paragraphs", "a\nb\n\na\nb\n\na\nb"),
        ("gopher_duplicate_paragraph_characters", f"{GOOD}\n\nx\n\ny\n\nz\n\n{GOOD}"),
        *((f"gopher_top_{n}_gram", "of the house there " * 20) for n in (2, 3, 4)),
        *((f"gopher_duplicate_{n}_grams", f"{GOOD} " * 9) for n in range(5, 11)),
    ],
)
def test_a_document_rule_drops_its_kind_of_document_and_keeps_prose(rule: str, text: str) -> None:
    assert drop_reasons([text, PROSE], [rule]) == [rule, None]


def test_ordinary_prose_passes_all_rules() -> None:
    assert drop_reasons([PROSE], tuple(DOCUMENT_RULES)) == [None]
    assert line_programs([PROSE], tuple(LINE_RULES)) == ["keep_chunk()"]


def test_scripts_without_spaces_have_words_too() -> None:
    chinese = "这是一个完整的句子而且它有足够多的字。"
    assert line_programs([chinese, "ภาษาไทยเขียนโดยไม่มีช่องว่าง."], select_rules("chunk", None)) == ["keep_chunk()"] * 2
    page = "".join(chr(0x4E00 + 7 * n) for n in range(400)) + "。"
    words = ("gopher_few_words", "gopher_short_words", "gopher_long_words", "gopher_alphabetic_words")
    assert drop_reasons([page], (*words, *SETS["document"]["gopher_repetition"])) == [None]
    assert drop_reasons([page[:100] * 9], SETS["document"]["gopher_repetition"]) != [None]


def test_a_removed_block_takes_its_blank_lines_and_paragraphs_keep_theirs() -> None:
    (program,) = line_programs([f"\nmenu\n\nmenu\n{GOOD}\n\n{GOOD}\nfooter\n"], ["c4_terminal_punctuation"])
    assert program == "remove_lines(start=0, end=3)\nremove_lines(start=7, end=8)"


def test_a_set_stands_for_its_rules_and_each_is_applied_once() -> None:
    both = select_rules("document", ["gopher_few_words", "gopher_quality"])
    assert both[0] == "gopher_few_words"
    assert sorted(both) == sorted(select_rules("document", ["gopher_quality"]))
    assert select_rules("chunk", ["c4"]) == select_rules("chunk", None)
    assert set(select_rules("document", ["all"])) == set(DOCUMENT_RULES)


@pytest.mark.parametrize(("stage", "name"), [("document", "c4_policy"), ("chunk", "gopher_quality")])
def test_a_rule_or_set_of_the_other_stage_is_refused(stage: str, name: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown (document|chunk) rule"):
        select_rules(stage, [name])


def test_programs_are_runs_of_removed_lines_or_a_keep_and_a_drop_says_why() -> None:
    chunk = RulesEngine("chunk", select_rules("chunk", None))
    document = RulesEngine("document", select_rules("document", None))
    texts = [f"menu\nmenu\n{GOOD}", GOOD]
    answers = list(chunk.stream(Request(id=i, stage="chunk", text=text) for i, text in enumerate(texts)))
    assert [answer.output for answer in answers] == ["remove_lines(start=0, end=1)", "keep_chunk()"]
    requests = [Request(id=0, stage="document", text="menu"), Request(id=1, stage="document", text=PROSE)]
    answers = list(document.stream(iter(requests)))
    assert [answer.output for answer in answers] == ["drop_doc()  # gopher_few_words", "keep_doc()"]


def test_requests_are_pulled_a_bounded_number_at_a_time_and_all_are_answered() -> None:
    pulled = 0

    def requests() -> Iterator[Request]:
        nonlocal pulled
        for number in range(1000):
            pulled += 1
            yield Request(id=number, stage="chunk", text="menu\n" if number % 2 else GOOD)

    answers = RulesEngine("chunk", ("c4_few_words",)).stream(requests())
    first = next(answers)
    assert pulled <= 256
    found = [first, *answers]
    assert [answer.id for answer in found] == list(range(1000))
    assert [answer.output == "keep_chunk()" for answer in found] == [number % 2 == 0 for number in range(1000)]
