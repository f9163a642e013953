"""Reading and writing programs: every dialect, every outcome, never an exception, linear time."""

import subprocess
import sys
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prox_spark.programs import Call, Program, parse, parse_batch, render
from prox_spark.programs.model import MAX_LINE
from prox_spark.schemas import CALL

PIECES = (
    *("remove_lines", "(", "start", "=", "12", ")", ",", "end", "line_start", '"', "'", "\\", "\n", "normalize", "()"),
    *("source_str", "target", "abc", "é", "😀", "\\u00e9", "\\ud83d\\ude00", "\\ud800", "\\n", "#", "```", "python"),
    *("True", "all", "all=True", " ", "\t", "\r", "remove_str", "replace_str", "keep_chunk()", "drop_doc()", "-1", "+"),
    *("9" * 20, "9" * 18, "1" + "0" * 18, "remov", "untouch_doc", "_", "remove_lines(start=1, end=2)", "\x00", "old"),
    *('normalize("a","b")', "new", "line", "s", 'normalize(source_str="x y", target_str="', "true", "007"),
)
STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TARGETS = STRINGS.map(lambda string: string.replace("\n", ""))
LINES = st.integers(-(10**20), 10**20).map(lambda line: max(-MAX_LINE, min(MAX_LINE, line)))


def _line_edit(operation: str, line: int, source: str, target: str | None) -> Call:
    return Call(operation, line, line, source, target)


CALLS = st.one_of(
    st.builds(Call, st.just("remove_lines"), LINES, LINES),
    st.builds(lambda source, target: Call("normalize", None, None, source, target), STRINGS, st.none() | TARGETS),
    st.builds(_line_edit, st.just("remove_str"), LINES, STRINGS, st.none()),
    st.builds(_line_edit, st.just("replace_str"), LINES, STRINGS, TARGETS),
    st.sampled_from([Call(name) for name in ("remove_all", "keep_chunk", "keep_doc", "drop_doc")]),
)


def calls(text: str) -> list[Call]:
    return list(parse(text).calls)


def outcomes(text: str) -> list[str]:
    return [call.outcome for call in parse(text).calls]


def rows(text: str, offset: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "operation": call.operation,
            "line_start": None if call.line_start is None else call.line_start + offset,
            "line_end": None if call.line_end is None else call.line_end + offset,
            "source": call.source,
            "target": call.target,
            "confidence": None,
            "outcome": call.outcome,
        }
        for call in parse(text).calls
    ]


@pytest.mark.parametrize(
    "text",
    [
        "remove_lines(line_start=3, line_end=5)",
        "remove_lines(start=3, end=5)",
        "remove_lines(end = 005 , start = +3)",
        "remove_lines(3, 5)",
        "remove_lines(3,\n  5)",
        "remove_lines (3, end=5)  # navigation",
        "```python\nremove_lines(3, 5)\n```",
        "```remove_lines(3, 5)```",
    ],
)
def test_every_spelling_of_a_range_is_the_same_call(text: str) -> None:
    assert calls(text) == [Call("remove_lines", 3, 5)]


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ('normalize(source_str="a, b)", target_str="")', "a, b)", ""),
        ("normalize('it\\'s', '\"')", "it's", '"'),
        ('normalize("a")', "a", None),
        ('normalize("\\u00e9\\n\\t\\\\ \\q \\ud83d\\ude00 \\ud800")', "é\n\t\\ \\q 😀 \\ud800", None),
        ('normalize("two\nlines")', "two\nlines", None),
        ('normalize(target="b", source="a")', "a", "b"),
    ],
)
def test_strings_are_read_with_their_escapes(text: str, source: str, target: str | None) -> None:
    assert calls(text) == [Call("normalize", None, None, source, target)]


def test_operations_beyond_prox_are_read() -> None:
    assert calls('remove_str(3, "x")\nreplace_str(line=3, old="x", new="y")\nremove_all()\nremove_lines(all=True)') == [
        Call("remove_str", 3, 3, "x"),
        Call("replace_str", 3, 3, "x", "y"),
        Call("remove_all"),
        Call("remove_all"),
    ]


def test_keep_functions_are_one_operation() -> None:
    assert calls("keep_chunk()\nuntouch_doc()\nkeep_all()") == [Call("keep_chunk")] * 3


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("remove_lines(start=1)", "malformed"),
        ("remove_lines(start=1, start=2)", "malformed"),
        ("remove_lines(1, 2, 3)", "malformed"),
        ("remove_lines(1, 2,)", "malformed"),
        ("remove_lines(1.5, 2)", "malformed"),
        ("remove_lines(all=1)", "malformed"),
        ("remove_lines start", "malformed"),
        ("normalize(1)", "malformed"),
        ('normalize("a", "b\\nc")', "malformed"),
        ("untouch_doc(1)", "malformed"),
        ("hello world", "unknown"),
        ("os.system('rm')", "unknown"),
        ("remove_lines(start=1, en", "truncated"),
        ('normalize(source_str="Read mo', "truncated"),
        ("normalize(", "truncated"),
        ("remove_lines", "truncated"),
        ("norm", "truncated"),
        ("norm\n", "unknown"),
    ],
)
def test_what_is_no_good_call_has_its_outcome(text: str, outcome: str) -> None:
    assert outcomes(text) == [outcome]


def test_a_forgotten_quote_costs_one_call() -> None:
    assert outcomes('normalize("abc)\nremove_lines(1, 2)\nnormalize("x", "y")') == ["malformed", "ok", "ok"]


def test_calls_know_where_they_stand() -> None:
    text = "# é\nremove_lines(1, 2)\nfoo"
    assert [text[call.start : call.end] for call in parse(text).calls] == ["remove_lines(1, 2)", "foo"]


def test_line_numbers_saturate() -> None:
    assert calls(f"remove_lines({'-' + '9' * 1_000_000}, {'9' * 1_000_000})") == [
        Call("remove_lines", -MAX_LINE, MAX_LINE)
    ]


@settings(max_examples=200)
@given(st.lists(CALLS, max_size=6), st.sampled_from(["paper", "released", "positional"]))
def test_what_is_written_is_read_again(written: list[Call], dialect: Any) -> None:
    program = Program(tuple(written))
    assert parse(render(program, dialect)) == program


@settings(max_examples=300)
@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_no_text_makes_the_parser_raise_and_calls_never_overlap(text: str) -> None:
    end = 0
    for call in parse(text).calls:
        assert end <= call.start < call.end <= len(text)
        end = call.end


@settings(max_examples=60)
@given(st.randoms(use_true_random=False), st.text(st.characters(exclude_categories=["Cs"])))
def test_the_compiled_parser_reads_what_the_plain_one_reads(rng: Random, text: str) -> None:
    programs = [text, *("".join(rng.choices(PIECES, k=rng.randrange(15))) for _ in range(100))]
    offsets = [rng.randrange(-3, 9) for _ in programs]
    read = parse_batch(pa.array(programs), pa.array(offsets)).to_pylist()
    assert read == [rows(program, offset) for program, offset in zip(programs, offsets, strict=True)]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_arrays_may_be_sliced_empty_chunked_or_hold_nulls(kind: pa.DataType) -> None:
    programs = ["junk", "remove_lines(1, 2)", None, "", "keep_doc()", "normalize('x')"]
    expected = [None if program is None else rows(program) for program in programs]
    array = pa.array(programs).cast(kind)
    assert parse_batch(array).to_pylist() == expected
    assert parse_batch(array.slice(1, 4)).to_pylist() == expected[1:5]
    assert parse_batch(array.slice(2, 0)).to_pylist() == []
    assert parse_batch(pa.chunked_array([array.slice(0, 2), array.slice(2)])).to_pylist() == expected
    assert parse_batch(array).type == pa.list_(CALL)
    assert parse_batch(array).validate(full=True) is None


@pytest.mark.parametrize(
    "text",
    [
        "remove_lines(start=1, end=2)\n" * 1_000_000,
        'normalize("abc\n' * 700_000,
        'normalize("' * 1_000_000,
        "normalize('" + "\\" * 10_000_000,
        "\n" * 5_000_000 + " " * 5_000_000,
        "normalize(" + "\n \t" * 3_000_000,
        "(" * 10_000_000,
        "a" * 10_000_000,
        "remove_lines(" + "1," * 5_000_000,
    ],
    ids=["calls", "unclosed", "quotes", "escapes", "blank", "blank lines in a call", "brackets", "name", "arguments"],
)
def test_ten_megabytes_of_anything_are_read(text: str) -> None:
    read = parse_batch(pa.array([text]))
    assert len(parse(text[:1_000_000]).calls) <= len(read.values) + 1


def test_importing_programs_does_not_import_numba() -> None:
    code = "import sys, prox_spark.programs, prox_spark.execution; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_grammars_hold_output_to_well_formed_programs() -> None:
    xgrammar = pytest.importorskip("xgrammar", reason="xgrammar comes with vLLM")
    from xgrammar.testing import _is_grammar_accept_string

    from prox_spark.programs.grammar import DOCUMENT_EBNF, EBNF

    def accepts(grammar: str, text: str) -> bool:
        return bool(_is_grammar_accept_string(xgrammar.Grammar.from_ebnf(grammar), text))

    good = ["untouch_doc()", 'remove_lines(start=0, end=12)\nnormalize(source_str="a\\"b, )", target_str="")']
    assert all(accepts(EBNF, text) and set(outcomes(text)) == {"ok"} for text in good)
    assert not any(
        accepts(EBNF, text) for text in ("", "remove_lines(start=1", "hello", "remove_lines(start=1, end=2)\n")
    )
    assert accepts(DOCUMENT_EBNF, "drop_doc()")
    assert not accepts(DOCUMENT_EBNF, "keep")
