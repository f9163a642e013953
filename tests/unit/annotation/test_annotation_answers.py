"""What an annotating model's answers mean: scores, programs, what is no answer at all."""

import json
from typing import Any

import pytest

from prox_spark.annotation.answers import MalformedError, keep_document, read_program, read_scores
from prox_spark.programs import Call

LINES = ["Home | News", "The tide came in. [edit]", "", "(c) 2021"]


@pytest.mark.parametrize(
    ("edu", "format", "keep"),
    [(5, 0, True), (3, 0, True), (2, 5, True), (2, 4, True), (2, 3, False), (1, 5, False), (0, 5, False)],
)
def test_a_document_is_kept_by_its_edu_score_or_at_two_by_its_format(edu: int, format: int, keep: bool) -> None:
    assert keep_document(edu, format) is keep


@pytest.mark.parametrize(
    "answer",
    [
        '{"reason": "x", "edu": 4, "format": 5}',
        'Sure!\n```json\n{"edu": 4, "format": 5}\n```',
        '{"format":5,"edu":4,"x":1}',
    ],
)
def test_scores_are_read_whatever_stands_around_them(answer: str) -> None:
    found = read_scores(answer)
    assert (found.edu, found.format) == (4, 5)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "no JSON object"),
        ("", "no JSON object"),
        ("a fine page", "no JSON object in 'a fine page'"),
        ("}{", "no JSON object"),
        ('{"edu": 4}', "format"),
        ('{"edu": 6, "format": 1}', "edu: "),
        ('{"edu": -1, "format": 1}', "edu: "),
        ('{"edu": 3.5, "format": 1}', "edu: "),
        ('{"edu": "3", "format": 1}', "edu: "),
        ('{"edu": true, "format": 1}', "edu: "),
        ('{"edu": 4, "format": 1', "no JSON object"),
        ('[{"edu": 4, "format": 1}, {"edu": 4, "format": 1}]', "trailing"),
    ],
)
def test_scores_that_are_none_are_malformed(answer: str | None, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        read_scores(answer)


def answer(program: Any) -> str:
    return json.dumps({"program": program})


def test_a_program_is_read_with_line_numbers_of_the_document() -> None:
    assert read_program("navigation", answer("remove_lines(line_start=7, line_end=8)"), LINES, 7) == [
        Call("remove_lines", 7, 8)
    ]
    edits = read_program("links", answer('normalize(source_str=" [edit]", target_str="")'), LINES, 0)
    assert edits == [Call("normalize", source=" [edit]", target="")]
    assert read_program("footer", answer("keep_chunk()"), LINES, 0) == []


@pytest.mark.parametrize(
    ("task", "program", "said"),
    [
        ("navigation", "", "has no call"),
        ("navigation", "I would remove the menu.", "call 0: unknown"),
        ("navigation", "remove_lines(line_start=0", "call 0: truncated"),
        ("navigation", "remove_lines(line_start=0, line_end='x')", "call 0: malformed"),
        ("navigation", "remove_lines(line_start=2, line_end=1)", "not in 0 to 3"),
        ("navigation", "remove_lines(line_start=0, line_end=4)", "lines 0 to 4 are not in 0 to 3"),
        ("navigation", "remove_lines(line_start=-1, line_end=1)", "not in 0 to 3"),
        ("navigation", 'normalize(source_str="Home")', "normalize is not allowed in this task"),
        ("footer", "remove_all()", "remove_all is not allowed in this task"),
        ("footer", "drop_doc()", "drop_doc is not allowed"),
        ("links", 'normalize(source_str="nowhere")', "no line contains 'nowhere'"),
        ("links", 'normalize(source_str="")', "no line contains"),
        ("links", 'normalize(source_str="News\\nThe")', "no line contains"),
        ("links", "keep_chunk()\nremove_lines(line_start=0, line_end=0)", "must be the only call"),
        ("footer", "remove_lines(line_start=0, line_end=0)\n" * 65, "65 calls"),
        ("footer", 3, "program: "),
        ("footer", None, "program: "),
    ],
)
def test_a_program_with_any_call_that_is_no_good_is_malformed(task: str, program: Any, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        read_program(task, answer(program), LINES, 0)
