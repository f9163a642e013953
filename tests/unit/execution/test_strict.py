"""The rules of strict mode, one by one. Each case runs through ``execute`` and through ``execute_batch``."""

import pickle
from typing import Any

import pytest
from cases import Case, arrays, found

from prox_spark.errors import ConfigError, UsageError
from prox_spark.execution import ChunkProgram, DroppedLine, ExecutionSettings, Result, execute, execute_batch

WORDS = "one two three four five six seven eight nine ten eleven"
PAGE = f"Home | Login\n{WORDS}\nRead more Read more\n{WORDS} twelve\nFooter"
LAST = 4


def run(text: str, *programs: str | ChunkProgram, **settings: Any) -> Result:
    """``execute`` by version 1 of the rules if none is named, after making sure that ``execute_batch`` says the same."""
    chunks = [ChunkProgram(program) if isinstance(program, str) else program for program in programs]
    chosen = ExecutionSettings(**{"semantics": 1, **settings})
    result = execute(text, chunks, settings=chosen)
    [(batch_text, outcome, lines)] = found(execute_batch(*arrays([Case(text, chunks)]), settings=chosen))
    assert batch_text == result.text
    assert (outcome["reason"], outcome["guard"], outcome["dropped"]) == (result.reason, result.guard, result.dropped)
    assert {name: outcome[name] for name in result.counts.__slots__} == {
        name: getattr(result.counts, name) for name in result.counts.__slots__
    }
    assert [DroppedLine(*line) for line in lines] == list(result.dropped_lines)
    return result


def without(*numbers: int) -> str:
    return "\n".join(line for number, line in enumerate(PAGE.split("\n")) if number not in numbers)


def test_ranges_count_from_zero_and_include_both_ends() -> None:
    result = run(PAGE, "remove_lines(start=0, end=0)\nremove_lines(start=4, end=4)")
    assert result.text == without(0, 4)
    assert result.dropped_lines == (
        DroppedLine(0, "Home | Login", None, "remove_lines", 0),
        DroppedLine(4, "Footer", None, "remove_lines", 0),
    )


@pytest.mark.parametrize("text", ["", "\n", " ", "tiny", "\n\n", PAGE])
@pytest.mark.parametrize("programs", [[], [""], ["untouch_doc()"], ["# nothing"], ["keep_doc()"]])
def test_an_empty_program_changes_nothing(text: str, programs: list[str]) -> None:
    result = run(text, *programs)
    assert (result.text, result.dropped, result.dropped_lines) == (text, False, ())


def test_ranges_are_clipped_to_the_chunk() -> None:
    result = run(PAGE, ChunkProgram("remove_lines(-5, 1000000000)", 2, 2))
    assert result.text == without(2)
    assert (result.counts.n_clipped, result.counts.n_errors) == (1, 0)


@pytest.mark.parametrize("call", ["remove_lines(3, 9)", "remove_lines(2, 1)", 'remove_str(3, "Read")'])
def test_a_call_wholly_outside_of_its_chunk_is_an_error(call: str) -> None:
    result = run(PAGE, ChunkProgram(call, 0, 2))
    assert (result.text, result.counts.n_errors) == (PAGE, 1)


@pytest.mark.parametrize("wrong", ["remove_lines(start=x)", "hello", "remove_lines(70, 80)"])
def test_more_errors_than_the_budget_void_the_chunk_alone(wrong: str) -> None:
    bad = f"remove_lines(0, 0)\n{wrong}\nfoo()"
    result = run(PAGE, ChunkProgram(bad, 0, 2), ChunkProgram("remove_lines(4, 4)", 3, 4))
    assert (result.text, result.guard, result.counts.n_errors) == (without(4), "error_budget", 2)
    assert (result.counts.n_chunks, result.counts.n_chunks_voided) == (2, 1)
    assert run(PAGE, bad, error_budget=2).text == without(0)


def test_one_error_is_within_the_budget() -> None:
    assert run(PAGE, "hello\nremove_lines(0, 0)").text == without(0)


def test_a_call_cut_off_at_the_token_limit_is_dropped_alone() -> None:
    result = run(PAGE, "remove_lines(0, 0)\nremove_lines(start=4, en")
    assert (result.text, result.counts.n_truncated, result.counts.n_errors) == (without(0), 1, 0)


def test_normalize_acts_within_single_lines_of_its_own_chunk() -> None:
    result = run(PAGE, ChunkProgram('normalize("Read more", "x")\nnormalize("Login\\none")\nnormalize("Footer")', 0, 3))
    assert result.text == PAGE.replace("Read more", "x")
    assert result.counts.n_no_match == 2
    assert result.dropped_lines == (DroppedLine(2, "Read more Read more", "x x", "normalize", 0),)


def test_edits_follow_the_removals_of_their_chunk_in_order() -> None:
    result = run(PAGE, 'normalize("Home", "x")\nnormalize("Read", "Home")\nnormalize("Home", "y")\nremove_lines(0, 0)')
    assert result.text == without(0).replace("Read", "y")
    assert result.counts.n_no_match == 1


def test_line_edits_touch_one_line() -> None:
    result = run(PAGE, 'remove_str(2, "Read ")\nreplace_str(3, "one", "1")')
    assert result.text.split("\n")[1:4] == [WORDS, "more more", WORDS.replace("one", "1") + " twelve"]
    assert [line.operation for line in result.dropped_lines] == ["remove_str", "replace_str"]


def test_a_line_that_is_again_what_it_was_is_not_logged() -> None:
    result = run(PAGE, 'normalize("Read", "x")\nnormalize("x more", "Read more")')
    assert (result.text, result.dropped_lines) == (PAGE, ())


def test_an_emptied_line_stays_as_an_empty_line() -> None:
    assert run(PAGE, 'normalize("Footer")').dropped_lines == (DroppedLine(4, "Footer", "", "normalize", 0),)


def test_overlapping_ranges_log_a_line_once_for_the_first_call() -> None:
    result = run(PAGE, "remove_lines(0, 0)", "remove_lines(0, 0)\nremove_lines(0, 2)\nkeep_chunk()")
    assert [(line.line_number, line.chunk) for line in result.dropped_lines] == [(0, 0), (1, 1), (2, 1)]


def test_numbers_of_a_chunk_are_shifted_by_its_offset() -> None:
    assert run(PAGE, ChunkProgram("remove_lines(1, 1)", 3, 4, numbering_offset=3)).text == without(4)


def test_lines_below_the_threshold_are_removed_with_their_score() -> None:
    program = ChunkProgram(None, 2, 4, line_scores=[0.25, None, 0.5])
    assert run(PAGE, program).dropped_lines == (DroppedLine(2, "Read more Read more", None, "remove_lines", 0, 0.25),)
    assert run(PAGE, program, drop_line_below=0.75).text == without(2, 4)


def test_calls_below_the_confidence_are_ignored_and_are_no_errors() -> None:
    program = ChunkProgram("remove_lines(0, 0)\nfoo\nbar\nremove_lines(4, 4)", confidences=[0.25, 0.0, 0.0, 0.75])
    result = run(PAGE, program, min_confidence=0.5)
    assert (result.text, result.counts.n_low_confidence, result.counts.n_errors) == (without(4), 3, 0)
    assert result.dropped_lines[0].score == 0.75


def test_equal_calls_are_applied_once_and_a_loop_voids_the_program() -> None:
    twice = run(PAGE, 'normalize("o", "oo")\n' * 2)
    assert twice.text == run(PAGE, 'normalize("o", "oo")').text
    assert twice.counts.n_repeated == 1
    loop = run(PAGE, "remove_lines(0, 0)\n" * 9)
    assert (loop.text, loop.guard) == (PAGE, "loop")
    assert run(PAGE, "remove_lines(0, 0)\n" * 9, max_repeats=9).text == without(0)


def test_a_program_may_drop_the_document() -> None:
    result = run(PAGE, "drop_doc()")
    assert (result.text, result.dropped, result.reason, result.dropped_lines) == ("", True, "program", ())


@pytest.mark.parametrize("program", ["remove_all()", "remove_lines(all=True)", "remove_lines(0, 4)"])
def test_a_document_that_loses_nearly_everything_is_dropped(program: str) -> None:
    assert run(PAGE, program).reason == "removed_share"
    assert run("\n \n", program).reason == "removed_share"


def test_a_document_that_becomes_too_short_is_dropped_but_not_one_that_was() -> None:
    assert run(f"{WORDS}\nnav", "remove_lines(0, 0)", max_removed_share=1.0).reason == "too_short"
    assert run("only a few words\nnav", "remove_lines(1, 1)").text == "only a few words"


def test_characters_of_scripts_without_spaces_count_as_words() -> None:
    chinese = "这是一个没有空格的中文句子\n导航"
    assert run(chinese, "remove_lines(1, 1)").text == "这是一个没有空格的中文句子"
    assert run(chinese, "remove_lines(0, 0)", max_removed_share=1.0).reason == "too_short"


def test_remove_all_is_bounded_by_its_chunk() -> None:
    assert run(PAGE, ChunkProgram("remove_all()", 0, 0)).text == without(0)


def test_growing_edits_stop_at_twice_the_document() -> None:
    doublings = "\n".join(f'normalize("{"o" * 2**i}", "{"o" * 2 ** (i + 1)}")' for i in range(14))
    result = run(PAGE, doublings, error_budget=0)
    assert len(result.text) <= 2 * len(PAGE) + 1000
    assert result.counts.n_errors > 0
    assert result.guard is None


def test_edits_that_would_read_the_document_hundreds_of_times_are_void() -> None:
    page = "\n".join([WORDS] * 200)
    result = run(page, "\n".join(f'normalize("{i}", "x")' for i in range(1000)))
    assert (result.text, result.guard) == (page, "edit_budget")


@pytest.mark.parametrize(
    "wrong", [{"max_removed_share": 1.5}, {"error_budget": -1}, {"max_repeats": 0}, {"drop_line_below": float("nan")}]
)
def test_settings_outside_of_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"execution.{next(iter(wrong))}"):
        ExecutionSettings(**wrong)


def test_an_unknown_setting_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting of execution 'min_word' \(did you mean 'min_words'"):
        ExecutionSettings(min_word=3)  # type: ignore[call-arg]


def test_settings_can_be_compared_hashed_and_sent_to_a_task() -> None:
    settings = ExecutionSettings(min_words=3)
    sent = pickle.loads(pickle.dumps(settings))  # noqa: S301
    assert (sent, hash(sent)) == (settings, hash(settings))
    assert settings != ExecutionSettings()


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="strict or compat"):
        execute(PAGE, "", mode="lenient")  # type: ignore[arg-type]


def test_programs_as_models_write_them_run_in_version_2_alone() -> None:
    for program in (
        "<think>\n\n</think>\n\nremove_lines(0, 0)",
        "I remove\nthe menu:\nremove_lines(0, 0)",
        "1. doc.remove_line(0); foo()\n<|im_end|>\nand on\nand on",
    ):
        assert run(PAGE, program).text == PAGE
        assert run(PAGE, program, semantics=2).text == without(0)


def test_the_wrong_half_of_a_program_does_not_void_the_right_half_in_version_2() -> None:
    half = "remove_lines(0, 0)\nremove_lines(4, 4)\nfoo()\nremove_lines(70, 80)"
    assert run(PAGE, half).guard == "error_budget"
    assert run(PAGE, half, semantics=2).text == without(0, 4)
    more = run(PAGE, f"{half}\nbar()", semantics=2)
    assert (more.text, more.guard, more.counts.n_errors) == (PAGE, "error_budget", 3)


def test_calls_about_lines_of_another_chunk_are_no_errors_in_version_2() -> None:
    program = ChunkProgram("remove_lines(0, 0)\nremove_lines(1, 1)\nremove_lines(3, 3)\nremove_lines(9, 9)", 3, 4)
    result = run(PAGE, program, semantics=2)
    assert (result.text, result.counts.n_clipped, result.counts.n_errors) == (without(3), 2, 1)


def test_an_edit_of_every_single_blank_is_ignored_in_version_2() -> None:
    assert " " not in run(PAGE, 'normalize(" ", "")', max_removed_share=1.0, min_words=0).text
    result = run(PAGE, 'normalize(" ", "")\nnormalize("  ", " ")', semantics=2)
    assert (result.text, result.counts.n_no_match, result.counts.n_errors) == (PAGE, 2, 0)
    one = f"{PAGE}\nRead more"
    result = run(one, f'replace_str({PAGE.count(chr(10)) + 1}, " ", "")', semantics=2)
    assert (result.text, result.counts.n_no_match) == (one, 1)


def test_new_lines_come_where_they_are_numbered_to_and_a_removed_line_leaves_them() -> None:
    program = (
        'add_line(-1, 1, "top")\nadd_line(2, 2, "b")\nadd_line(2, 1, "a")\nadd_line(4, 1, "x")\nremove_lines(4, 4)'
    )
    result = run(PAGE, program, semantics=3)
    first, *middle, _ = PAGE.split("\n")
    assert result.text == "\n".join(["top", first, *middle[:2], "a", "b", middle[2], "x"])
    assert logged(result) == [
        (0, f"top\n{first}"),
        (2, f"{middle[1]}\na\nb"),
        (3, f"{middle[2]}\nx"),
        (4, None),
    ]
    assert (result.counts.n_lines_removed, result.counts.n_lines_rewritten) == (1, 3)
    assert run(PAGE, program).text == PAGE


def logged(result: Result) -> list[tuple[int, str | None]]:
    return [(line.line_number, line.replacement) for line in result.dropped_lines]


def test_new_lines_beside_removed_ones_are_logged_with_the_nearest_line_that_is_left() -> None:
    result = run(PAGE, 'remove_lines(0, 1)\nadd_line(0, 1, "a")\nadd_line(1, 1, "b")', semantics=3)
    lines = PAGE.split("\n")
    assert result.text == "\n".join(["a", "b", *lines[2:]])
    assert logged(result) == [(0, None), (1, None), (2, f"a\nb\n{lines[2]}")]
    guards = {"max_removed_share": 1.0, "min_words": 0}
    result = run(PAGE, 'remove_lines(0, 4)\nadd_line(2, 1, "a")\nadd_line(-1, 1, "b")', semantics=3, **guards)
    assert (result.text, logged(result)) == ("b\na", [(0, "b\na"), *((line, None) for line in range(1, 5))])


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        # As UltraX's models are trained to write: a new line has its newline, and so has the end of a line that is edited.
        ("add_line(0, 1, 'new\\n')", "a b\nnew\nc d\ne f"),
        ("replace_str(0, ' b\\n', '\\n')", "a\nc d\ne f"),
        ("replace_str(0, 'b\\n', 'x y\\n')", "a x y\nc d\ne f"),
        ("replace_str(0, '\\n', ' z\\n')", "a b z\nc d\ne f"),
        ("replace_str(0, 'b', 'x\\n')", "a x\nc d\ne f"),
        ("replace_str(0, '\\n', ' ')", "a b c d\ne f"),
        ("replace_str(0, ' b\\n', ', ')", "a, c d\ne f"),
        ("replace_str(0, '\\n', '')\nreplace_str(1, '\\n', '')", "a bc de f"),
        ("replace_str(1, ' d\\n', '')\nremove_lines(2, 2)", "a b\nc"),
        ("replace_str(0, '\\n', ' ')\nremove_lines(1, 1)", "a b e f"),
        ("replace_str(0, '\\n', ' ')\nadd_line(0, 1, 'new\\n')", "a b \nnew\nc d\ne f"),
        ("replace_str(0, '\\n', ' ')\nadd_line(1, 1, 'new\\n')", "a b c d\nnew\ne f"),
        ("replace_str(0, '\\n', ' ')\nremove_lines(1, 1)\nadd_line(1, 1, 'new\\n')", "a b \nnew\ne f"),
    ],
)
def test_line_ends_are_written_as_ultrax_writes_them(program: str, expected: str) -> None:
    result = run("a b\nc d\ne f", program, semantics=3, max_removed_share=1.0)
    assert (result.text, result.counts.n_errors, result.counts.n_no_match) == (expected, 0, 0)


@pytest.mark.parametrize(
    "program",
    [
        "replace_str(0, 'x\\n', '\\n')",
        "replace_str(2, 'f\\n', 'x\\n')",
        "replace_str(0, 'a', 'x\\n')",
        "replace_str(0, '\\n ', 'x\\n')",
        "normalize('b\\n', 'x')",
    ],
)
def test_what_is_no_end_of_its_line_matches_nothing(program: str) -> None:
    result = run("a b\nc d\ne f", program, semantics=3)
    assert (result.text, result.counts.n_errors, result.counts.n_no_match) == ("a b\nc d\ne f", 0, 1)


def test_a_line_that_was_joined_to_another_is_logged_as_removed() -> None:
    result = run("a b\nc d\ne f", "replace_str(0, '\\n', ' ')", semantics=3)
    assert logged(result) == [(0, "a b c d"), (1, None)]
    assert {line.operation for line in result.dropped_lines} == {"replace_str"}
    for program in ("replace_str(0, 'b', 'x\\ny')", "normalize('b', 'x\\n')", "add_line(0, 1, 'x\\ny\\n')"):
        assert run("a b\nc d", program, semantics=3).counts.n_errors == 1
    assert run("a b\nc d", "replace_str(0, 'b', 'x\\n')").counts.n_errors == 1


def test_of_new_lines_at_the_same_place_the_last_one_counts() -> None:
    assert run(PAGE, 'add_line(0, 1, "a")\nadd_line(0, 1, "b")', semantics=2).text.split("\n")[1] == "b"


@pytest.mark.parametrize("wrong", ["add_line(5, 1, 'x')", "add_line(0, 10000, 'x')", "add_line(-2, 1, 'x')"])
def test_a_new_line_out_of_range_is_an_error(wrong: str) -> None:
    result = run(PAGE, wrong, semantics=2)
    assert (result.text, result.counts.n_errors) == (PAGE, 1)


def test_new_lines_may_not_double_the_document() -> None:
    result = run(PAGE, "\n".join(f'add_line(0, {i}, "{"x" * 100}")' for i in range(99)), semantics=2)
    assert len(result.text) <= 2 * len(PAGE) + 1000
    assert result.counts.n_errors > 0


def test_a_replacement_in_a_line_must_be_unique_in_version_2() -> None:
    program = 'replace_str(2, "Read", "x")\nreplace_str(3, "one", "1")'
    assert run(PAGE, program).text.split("\n")[2] == "x more x more"
    result = run(PAGE, program, semantics=2)
    assert (result.text, result.counts.n_no_match) == (PAGE.replace("one", "1").replace("1", "one", 1), 1)


def test_confidences_belong_to_what_version_1_reads_at_the_same_place() -> None:
    written = "So:\nremove_lines(0, 0); remove_lines(4, 4)\nremove_lines(2, 2)"
    program = ChunkProgram(written, confidences=[0.25, 0.75, 0.25, 0.5])
    result = run(PAGE, program, semantics=2, min_confidence=0.5)
    assert (result.text, result.counts.n_low_confidence) == (without(0, 2), 1)
    assert [line.score for line in result.dropped_lines] == [0.75, 0.5]
