"""What an annotating model's answers mean: scores, programs, what is no answer at all."""

import json
from typing import Any

import pytest

from prox_spark.annotation.answers import MalformedError, keep_document, read_program, read_scores
from prox_spark.annotation.objects import is_plain
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
        ('{"edu": "three", "format": 1}', "edu: "),
        ('{"edu": "nan", "format": 1}', "edu: "),
        ('{"edu": 1e400, "format": 1}', "edu: "),
        ('{"edu": null, "format": 1}', "edu: "),
        ('{"edu": true, "format": 1}', "edu: "),
        ('{"edu": 4, "format": 1', "no JSON object"),
        # Two, of which none is the last word.
        ('[{"edu": 4, "format": 1}, {"edu": 4, "format": 1}]', "no JSON object"),
        ('{"draft": {"edu": 1, "format": 1}, "final": {"edu": 4, "format": 1}}', "no JSON object"),
        ('{"edu": 4, "format": 1}\n[{"edu": 4, "format": 1}, {"edu": 2, "format": 1}]', "no JSON object"),
        ('{"edu": "4/10", "format": 1}', "edu: "),
        # A draft stands for no answer that was begun after it.
        ('{"edu": 4, "format": 1}\nNo: {"edu": 2, "form', "no JSON object"),
        ('{"edu": 4, "format": 1}\nNo: {edu: 2, form', "no JSON object"),
        ('<think>{"edu": 4, "format": 1}</think>\nA fine page', "no JSON object"),
        ('<think>{"edu": 4, "format": 1}</think>', "no JSON object"),
        ('{"edu": 4, "format": 1}' + "[x" * 5000 + '{"edu": 2, "form', "no JSON object"),
        ("{" * 5000, "no JSON object"),
        ("[" * 5000, "no JSON object"),
        ('{"edu": ' * 5000, "no JSON object"),
    ],
)
def test_scores_that_are_none_are_malformed(answer: str | None, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        read_scores(answer)


WRITTEN = {
    "think tags with braces": '<think>\n{maybe} edu {"edu": 1}?\n</think>\n\n{"edu": 4, "format": 5}',
    "thoughts without tags": 'The set {edu, format} of scores is wanted.\n{"edu": 4, "format": 5}',
    "an end of thoughts alone": 'So {"edu": 0, "format": 0}? No.</think>{"edu": 4, "format": 5}',
    "draft and final": 'Draft: {"edu": 1, "format": 1}\nFinal: {"edu": 4, "format": 5}',
    "remarks in brackets behind": '{"edu": 4, "format": 5}\n{I hope this helps} {edu and format} ["edu", "format"]',
    "trailing comma": '{"edu": 4, "format": 5,\n}',
    "double encoding": '"{\\"edu\\": 4, \\"format\\": 5}"',
    "double encoding in a fence": '```json\n"{\\"edu\\": 4, \\"format\\": 5}"\n```',
    "escaped quotes without a string": 'Here: {\\"edu\\": 4, \\"format\\": 5}',
    "single quotes": "{'reason': 'it\\'s so', 'edu': 4, 'format': 5}",
    "single quotes and a trailing comma": "{'edu': 4, 'format': 5,}",
    "constants of Python": "{'reason': None, 'sure': True, 'edu': 4, 'format': 5}",
    "a tag of thoughts in a string": '{"reason": "It documents </think>.", "edu": 4, "format": 5}',
    "a tag of thoughts in a string in a fence": '```json\n{"reason": "</think>", "edu": 4, "format": 5}\n```',
    "constants of Python in a string": "{'reason': 'None, True,} of it', 'edu': 4, 'format': 5}",
    "strings": '{"edu": "4", "format": " 5 "}',
    "floats": '{"edu": 4.0, "format": "5.0"}',
    "line feed and tab in a string": '{"reason": "so\n\tand so", "edu": 4, "format": 5}',
    "a comma and a bracket in a string": '{"reason": "a,} b,]", "edu": 4, "format": 5,}',
    "a list of one": '[{"edu": 4, "format": 5}]',
    "page labels around it": 'As [003] says: {"edu": 4, "format": 5} [end]',
    "a byte order mark": '\ufeff{"edu": 4, "format": 5}',
    "Python's words": "{'edu': 4, 'format': 5, 'sure': True, 'why': None}",
    "Python's words in JSON": '{"edu": 4, "sure": False, "format": 5}',
    "a number that is none": '{"edu": 4, "format": 5, "mean": NaN}',
    "a comment at a line's end": '{"edu": 4, // it\'s "good"\n "format": 5, # clean\n}',
    "a comment between": '{/* scores */ "edu": 4, /* {clean} */ "format": 5}',
    "no comment in a string": '{"reason": "see https://x.y/#z /* so */", "edu": 4, "format": 5,}',
    "names without quotes": "{edu: 4, format: 5}",
    "names in capitals": '{"Edu": 4, "FORMAT": 5}',
    "typographic quotes": "{“edu”: 4, “format”: 5}",
    "other blanks": '{\u00a0"edu":\u00a04,\u200b"format": 5}',
    "quotes in a string": '{"reason": "the "best" and "so on" it is", "edu": 4, "format": 5}',
    "an apostrophe in single quotes": "{'reason': 'it's so', 'edu': 4, 'format': 5}",
    "escapes that JSON has not": r'{"reason": "it\'s \d+ of C:\new \[x\]", "edu": 4, "format": 5}',
    "escaped quotes and line feeds without a string": r"{\n  \"edu\": 4,\n  \"format\": 5\n}",
    "an object around it": '{"result": {"scores": {"edu": 4, "format": 5}}, "note": "x"}',
    "a tool's call": '<tool_call>{"name": "scores", "arguments": "{\\"edu\\": 4, \\"format\\": 5}"}</tool_call>',
    "a list in a list": '[[{"edu": 4, "format": 5}]]',
    "a brace in quotes before it": 'The page has {curly} and "a {" in it.\n{"edu": 4, "format": 5}',
    "a brace in a sentence before it": 'I don\'t think it\'s {odd.\n{"edu": 4, "format": 5}',
    "braces doubled": r'\boxed{{"edu": 4, "format": 5}}',
    "shares of five": '{"edu": "4/5", "format": "5 / 5"}',
}


PLAIN = (
    "a tag of thoughts in a string",
    "strings",
    "floats",
    "a number that is none",
    "names in capitals",
    "an object around it",
    "shares of five",
)


@pytest.mark.parametrize("case", WRITTEN)
def test_scores_are_read_however_a_model_writes_them(case: str) -> None:
    found = read_scores(WRITTEN[case])
    assert (found.edu, found.format) == (4, 5)
    assert is_plain(WRITTEN[case]) is (case in PLAIN)


PROGRAM = "remove_lines(line_start=0, line_end=0)\nremove_lines(line_start=3, line_end=3)"
PROGRAMS = {
    "plain": json.dumps({"program": PROGRAM}),
    "real line feed": f'{{"program": "{PROGRAM}"}}',
    "real line feed in single quotes": f"{{'program': '{PROGRAM}'}}",
    "trailing comma": f'{{"program": {json.dumps(PROGRAM)},}}',
    "a list of calls": json.dumps({"program": PROGRAM.splitlines()}),
    "a list of calls as Python": str({"program": PROGRAM.splitlines(), "done": True}),
    "bare": PROGRAM,
    "bare in a fence": f"```python\n{PROGRAM}\n```",
    "bare after thoughts": f"<think>\nkeep_chunk()?\n</think>\n{PROGRAM};",
    "the object in the object": json.dumps({"program": json.dumps({"program": PROGRAM})}),
    "double encoding": json.dumps(json.dumps({"program": PROGRAM})),
    "draft and final": '{"program": "keep_chunk()"}\nBetter:\n' + json.dumps({"program": PROGRAM}),
}


@pytest.mark.parametrize("case", PROGRAMS)
def test_programs_are_read_however_a_model_writes_them(case: str) -> None:
    calls = [Call("remove_lines", 0, 0), Call("remove_lines", 3, 3)]
    assert read_program("navigation", PROGRAMS[case], LINES, 0) == calls


def test_braces_and_quotes_of_a_page_stay_in_its_strings() -> None:
    lines = ["{menu} it's"]
    for source in ("{menu}", "it's", "} it"):
        written = f"normalize(source_str={json.dumps(source)})"
        assert read_program("links", json.dumps({"program": written}), lines, 0) == [Call("normalize", source=source)]
        assert read_program("links", written, lines, 0) == [Call("normalize", source=source)]


def test_quotes_that_the_model_did_not_escape_stay_in_the_program() -> None:
    written = '{"program": "normalize(source_str="News")"}'
    assert read_program("links", written, LINES, 0) == [Call("normalize", source="News")]


def test_prose_around_a_bare_program_is_not_taken_for_one() -> None:
    with pytest.raises(MalformedError, match="no JSON object"):
        read_program("navigation", f"I would write:\n{PROGRAM}", LINES, 0)


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
