"""What stands beside a line: the call that did it, how sure it was, what it changed."""

import report_values as values
from hypothesis import given
from hypothesis import strategies as st

from prox_spark.reporting.lines import call_text, calls_of, compared, cut, explain
from prox_spark.reporting.text import clean, shortened


@given(st.text(max_size=200), st.text(max_size=200))
def test_pieces_make_both_texts_again(old: str, new: str) -> None:
    pieces = compared(old, new)
    assert "".join(text for kind, text in pieces if kind != "added") == old
    assert "".join(text for kind, text in pieces if kind != "removed") == new
    assert all(text for _, text in pieces)


def test_texts_that_share_nothing_for_long_are_one_change() -> None:
    old, new = " ".join(f"a{i}" for i in range(5000)), " ".join(f"b{i}" for i in range(5000))
    assert compared(old, new) == (("removed", old), ("added", new))


def test_pieces_are_cut_at_a_number_of_characters() -> None:
    assert cut((("same", "abc"), ("removed", "def"), ("added", "g")), 4) == (("same", "abc"), ("removed", "d"))
    assert cut((), 4) == ()


def test_the_first_call_that_covers_a_line_removed_it() -> None:
    program = values.program(values.call("remove_lines", 7, 9), values.call("remove_lines", 0, 8))
    assert explain(values.line(8, score=0.75), "x", [program], 0.5) == ("remove_lines(7, 9)", "confidence 0.75")
    assert explain(values.line(3), "x", [program], 0.5) == ("remove_lines(0, 8)", "")


def test_a_line_is_explained_by_the_program_of_its_own_chunk() -> None:
    calls = [values.call("normalize", source=source, target="b") for source in ("a", "ab")]
    chunks = [values.program(calls[0], start=0, end=4), values.program(calls[1], start=5, end=9)]
    assert explain(values.line(6, "normalize", to="b"), "abc", chunks, 0.5)[0] == 'normalize("ab", "b")'


def test_edits_that_occur_in_the_line_are_named_and_the_rest_counted() -> None:
    calls = [values.call("normalize", source=c, target="") for c in "abcdexyz"]
    named, _ = explain(values.line(0, "normalize", to=""), "abcde", [values.program(*calls)], 0.5)
    assert named == 'normalize("a", ""); normalize("b", ""); normalize("c", "") and 2 more'


def test_a_score_under_the_threshold_comes_before_any_call() -> None:
    program = values.program(values.call("remove_lines", 0, 9), start=3, scores=[0.12, 0.9])
    assert explain(values.line(3, score=0.12), "x", [program], 0.5) == ("", "P(keep) 0.12 < 0.5")
    assert explain(values.line(4, score=0.7), "x", [program], 0.5) == ("remove_lines(0, 9)", "confidence 0.70")
    assert explain(values.line(5), "x", [program], 0.5) == ("remove_lines(0, 9)", "")


def test_an_operation_whose_call_is_not_stored_is_named_alone() -> None:
    assert explain(values.line(0, "remove_str", 0.5, "x"), "xy", [], 0.5) == ("remove_str", "confidence 0.50")


def test_calls_are_short_and_what_was_not_understood_is_said() -> None:
    assert call_text(values.call("drop_doc")) == "drop_doc()"
    assert call_text(values.call("remove_lines", outcome="truncated")) == "remove_lines (truncated)"
    assert call_text(values.call("<b>", outcome="unknown")) == "<b> (unknown)"
    assert len(call_text(values.call("normalize", source="x" * 10_000, target="\u202e"))) == 160


def test_calls_are_those_that_the_refinement_s_version_of_the_rules_reads() -> None:
    output = "Program:\n- remove_line(3)\nadd_line(-1, 2, 'a')\nfoo(1)"
    row = {"output": output, "line_offset": 10, "calls": [values.call("unknown", outcome="unknown")]}
    assert [call_text(call) for call in calls_of(row, 1)] == ["unknown (unknown)"]
    read = calls_of(row, 2)
    assert [call_text(call) for call in read] == ["remove_lines(13, 13)", 'add_line(9, 2, "a")', "unknown (unknown)"]
    assert calls_of({**row, "output": None}, 2) == row["calls"]


def test_new_lines_are_explained_by_their_calls_whatever_line_they_are_logged_with() -> None:
    output = "add_line(-1, 2, 'a\\n')\nadd_line(7, 1, 'b')"
    calls = calls_of({"output": output, "line_offset": 0, "calls": []}, 3)
    chunks = [values.program(start=0, end=4), values.program(*calls, start=5, end=9)]
    assert explain(values.line(0, "add_line", to="a\nx"), "x", chunks, 0.5)[0] == 'add_line(-1, 2, "a")'
    assert explain(values.line(3, "add_line", to="x\nb"), "x", chunks, 0.5)[0] == 'add_line(7, 1, "b")'


@given(st.text())
def test_clean_text_has_nothing_that_steers(text: str) -> None:
    cleaned = clean(text)
    assert not set(cleaned) & set("\x00\x1b\r\x7f\x85\u202e\u2066\u200f\u2028\u2029")
    assert clean(cleaned) == cleaned
    cleaned.encode("utf-8")


def test_harmless_text_stays_as_it_is() -> None:
    text = "tabs\tand lines\n naïve 日本語 👩‍🔬 e\u0301 <b>&amp;</b>"
    assert clean(text) == text
    assert clean("\ud800\udfff\x00\x7f\u202e") == "\ufffd\ufffd␀␡[U+202E]"
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"
