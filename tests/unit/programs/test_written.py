"""Programs as models write them (version 2 of the rules and later): read where the meaning is certain, one error for one slip."""

from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prox_spark.programs import Call, parse, parse_batch
from prox_spark.programs.operations import NEWEST, OPERATIONS
from prox_spark.programs.written import RULES, decision

DOCS = Path(__file__).resolve().parents[3] / "docs" / "programs.md"
CALL = "remove_lines(start=0, end=1)"
READ = Call("remove_lines", 0, 1)
PIECES = (
    *(word for rule in RULES for word in rule.written),
    *(
        CALL,
        "remove_line(3)",
        "normalize('a', old=",
        "foo.bar(",
        "foo(1)",
        "line_start",
        "(",
        ")",
        "\n",
        "\n",
        " ",
        "=",
        ",",
    ),
    *("remove_lines(", "remove_lines", "norm", "é", "•", "\t", "```", "#", "'</think>'", "a", "1", '"', "from=", "12."),
)


each_version = pytest.mark.parametrize("semantics", range(2, NEWEST + 1))


def outcomes(text: str, semantics: int = NEWEST) -> list[str]:
    return [call.outcome for call in parse(text, semantics).calls]


def good(text: str, semantics: int = NEWEST) -> list[Call]:
    return [call for call in parse(text, semantics).calls if call.outcome == "ok"]


@pytest.mark.parametrize(
    "text",
    [
        f"<think>\n\n</think>\n\n{CALL}",
        f"<think>remove_all() might do</think>{CALL}",
        f"The menu goes. remove_all()?\n</think>\n\n{CALL}",
        f"[THINK]hm[/THINK]{CALL}",
        f"{CALL}</s>",
        f"{CALL}<|im_end|>\nremove_all()",
        f"{CALL}\n<|endoftext|>remove_all()",
        f"doc.{CALL}",
        f">>> {CALL}",
        f"- {CALL}",
        f"• {CALL}",
        f"1. `{CALL}`",
        f"(a) {CALL}",
        f"Program: {CALL}",
        f"**Answer:** {CALL}",
        f"return {CALL}",
        f"{CALL};",
        f"{CALL}.",
        f"remove_lines({CALL})",
        "remove_lines(start_idx=0, end_idx=1)",
        "remove_lines(from=0, to=1)",
        "remove_line(end=1, start=0)",
    ],
)
@each_version
def test_a_call_in_a_model_s_dress_is_the_call(text: str, semantics: int) -> None:
    assert parse(text, semantics).calls == (READ,)


@pytest.mark.parametrize(
    "text",
    [
        f"<reasoning>\nremove_all()\n</reasoning>\n<answer>\n{CALL}\n</answer>",
        f"<thought>{CALL}? no</thought><answer>{CALL}</answer>",
        f"<seed:think>remove_all()</seed:think>{CALL}<seed:eos>",
        f"<|START_THINKING|>remove_all()<|END_THINKING|><|START_RESPONSE|>{CALL}<|END_RESPONSE|>remove_all()",
        f"{CALL}<|end|>remove_all()",
        f"{CALL}<\uff5cend\u2581of\u2581sentence\uff5c>remove_all()",
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"<code>{CALL}</code>",
        f"> {CALL}",
        f"— {CALL}",
        f"functions.{CALL}",
        f"self.{CALL}",
        f"Final answer: {CALL}",
        f"Call: {CALL}",
    ],
)
def test_the_dress_of_more_models_is_read_by_version_3_alone(text: str) -> None:
    assert parse(text, 3).calls == (READ,)
    assert parse(text, 2).calls != (READ,)


@pytest.mark.parametrize(
    "text",
    [
        f"Two lines of prose\nbefore the calls:\n{CALL}",
        f"Here it is:\n```python\n{CALL}\n```\nThis removes the menu.",
        f"remove_lines(line_start, line_end)\n{CALL}",
        f"normalize(source_str: str, target_str: str) -> None\n{CALL}",
        f"{CALL} removes the menu",
        f"remove_lines is what I use\nnormalize is not needed\n{CALL}",
        f"Okay. <think>\nremove_lines(5, 9)\nno, keep these\n</think>\n{CALL}",
        f"{CALL}\nremove_lines is all<|im_end|>\nremove_lines(5, 9)",
    ],
)
@each_version
def test_prose_around_calls_is_no_error(text: str, semantics: int) -> None:
    assert good(text, semantics) == [READ]
    assert set(outcomes(text, semantics)) == {"ok", "prose"}


def test_several_calls_in_a_line_are_all_read() -> None:
    assert good(f"{CALL}; normalize('a'), remove_line(3)") == [
        READ,
        Call("normalize", source="a"),
        Call("remove_lines", 3, 3),
    ]


@pytest.mark.parametrize("names", [("from", "to"), ("old", "new"), ("source_str", "to"), ("old_str", "new_str")])
def test_strings_have_the_names_that_models_give_them(names: tuple[str, str]) -> None:
    assert good(f"normalize({names[0]}='a', {names[1]}='b')") == [Call("normalize", None, None, "a", "b")]
    assert good(f"replace_str(line_number=3, {names[0]}='a', {names[1]}='b')") == [Call("replace_str", 3, 3, "a", "b")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A call in a sentence may be one that is not wanted; a function that does not exist is one slip, whatever its lines.
        (f"Do not {CALL}", ["unknown"]),
        ("delete_lines(\n  3,\n  5\n)", ["unknown", "prose"]),
        ("os.system('rm')", ["unknown"]),
        ("remove_lines(start=x, end=1)", ["malformed"]),
        ("remove_lines 3", ["malformed"]),
        ("remove_lines start=3, end=5", ["malformed"]),
        ("remove_lines then remove_lines(0, 1)", ["malformed"]),
        ("keep_chunk\nhm", ["malformed", "prose"]),
        ("<think>the limit came first", ["truncated"]),
        (f"<think>a\n{CALL}", ["truncated"]),
        ("one\n\ntwo\n# nothing\nthree", ["prose"]),
    ],
)
@each_version
def test_what_is_not_certain_is_not_read(text: str, expected: list[str], semantics: int) -> None:
    assert outcomes(text, semantics) == expected


@pytest.mark.parametrize(
    "before",
    ["", "keep_chunk", "keep_chunk is it", "os.system('rm')", f"do not {CALL}", "remove_lines(0, ", "# done", "done"],
)
@each_version
def test_nothing_is_read_after_an_end_mark(before: str, semantics: int) -> None:
    assert parse(f"{before}</s>\n{CALL}", semantics).calls == parse(f"{before}</s>", semantics).calls
    assert good(f"{before}</s>\n{CALL}", semantics) == []


@pytest.mark.parametrize("before", ["Okay.", "# Let me see", "foo(1)", "keep_chunk 3"])
def test_thoughts_begin_anywhere_in_a_line(before: str) -> None:
    assert good(f"{before} <think>\n{CALL}</think>") == []
    assert good(f"{before} <think>remove_all()</think>\n{CALL}") == [READ]


def test_a_string_may_hold_what_is_skipped_elsewhere() -> None:
    text = 'normalize("<think>; doc.", "</s>")'
    assert parse(text, 3) == parse(text, 2) == parse(text)
    assert outcomes(text) == ["ok"]


@each_version
@settings(max_examples=40)
@given(rng=st.randoms(use_true_random=False))
def test_both_parsers_read_the_same_and_find_calls_in_order(semantics: int, rng: Random) -> None:
    programs = ["".join(rng.choices(PIECES, k=rng.randrange(14))) for _ in range(200)]
    fields = ("operation", "line_start", "line_end", "source", "target", "outcome")
    read = parse_batch(pa.array(programs), semantics=semantics).to_pylist()
    for program, calls in zip(programs, read, strict=True):
        found = parse(program, semantics).calls
        assert [[call[name] for name in fields] for call in calls] == [
            [getattr(call, name) for name in fields] for call in found
        ], program
        end = 0
        for call in found:
            assert end <= call.start < call.end <= len(program), program
            end = call.end


@settings(max_examples=40)
@given(st.randoms(use_true_random=False))
def test_a_well_formed_program_means_the_same_in_every_version(rng: Random) -> None:
    programs = ["\n".join(rng.choices((CALL, "keep_all()", "normalize('a; b')", "```"), k=4)) for _ in range(50)]
    for semantics in range(2, NEWEST + 1):
        assert [parse(program, semantics) for program in programs] == [parse(program) for program in programs]


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 1_000_000,
        "a<think></think>" * 300_000,
        "1. - doc." * 700_000,
        "a(" * 3_000_000,
        "no\n" * 2_000_000,
        " \t(" * 2_000_000,
    ],
    ids=["tags", "thoughts", "leads", "functions", "prose", "brackets"],
)
def test_megabytes_of_dress_are_read_in_time(text: str) -> None:
    assert parse_batch(pa.array([text]), semantics=NEWEST) is not None
    assert parse(text[:200_000], NEWEST) is not None


@pytest.mark.parametrize(
    ("answer", "decided"),
    [
        ("drop", "drop"),
        ("drop_doc", "drop"),
        ("Keep.", "keep"),
        ("Answer: drop_doc()", "drop"),
        ("return drop_doc()", "drop"),
        ("doc.drop_doc()", "drop"),
        ("<think>keep or drop?</think>\n\nkeep", "keep"),
        ("I would drop this page", "drop"),
        ("I would not drop it", None),
        ("I cannot drop this document.", None),
        ("There is nothing to drop.", None),
        ("Hardly a page to keep", None),
        ("Don't keep it", None),
        ("keep or drop", None),
        ("<think>drop", None),
        ("<reasoning>keep or drop?</reasoning>\n\nkeep", None),
        ("<reasoning>keep", "keep"),
        ("dropped", None),
        ("", None),
    ],
)
def test_a_document_s_answer_decides_by_its_word_where_that_is_certain(answer: str, decided: str | None) -> None:
    assert decision(answer) == decided


@pytest.mark.parametrize(
    ("answer", "decided"), [("drop", "drop"), ("Answer: keep", "keep"), ("Let me think. The rules say to drop", None)]
)
def test_a_word_of_a_sentence_that_the_token_limit_cut_decides_nothing(answer: str, decided: str | None) -> None:
    assert decision(answer, cut=True) == decided


def test_every_rule_and_name_is_documented() -> None:
    page = DOCS.read_text(encoding="utf-8")
    for rule in RULES:
        written = " ".join(word.strip() for word in rule.written)
        shown = f"`` {written} ``" if "`" in written else f"`{written}`"
        assert f"| {rule.kind} | {shown} | " in page, rule
        assert f" | {rule.source} | {rule.since} |" in page, rule
    names = {name for operation in OPERATIONS for argument in operation.arguments for name in argument.also}
    names |= {name for operation in OPERATIONS for name, *_ in operation.also}
    assert [name for name in sorted(names) if f"`{name}" not in page] == []
