"""Compat mode returns what the published executor returns."""

import io
import json
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from cases import COMPAT_NUMBERS, random_program, random_text
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import compat

from prox_spark.errors import CompatError
from prox_spark.execution import execute, execute_batch
from prox_spark.execution.compat import TOO_COSTLY, ZERO_DIVISION

PAGE = "Home\none two three four five six seven eight nine ten eleven\nFooter"


def result_of(text: str, program: str) -> str | None:
    """The text, or nothing where ``execute`` raises, and the same from ``execute_batch``."""
    batch = execute_batch(pa.array([text]), pa.array([[program]]), "compat")
    [in_batch], [raised] = batch.texts.to_pylist(), batch.outcomes.field("raised").to_pylist()
    alone, message = None, None
    try:
        alone = execute(text, program, "compat").text
    except CompatError as error:
        message = str(error)
    assert (in_batch, raised) == (alone, message)
    return alone


def oracle(text: str, program: str) -> str | None:
    try:
        return compat(text, program)
    except ZeroDivisionError:
        return None


def is_too_costly(text: str, program: str) -> bool:
    """Whether the program is refused for its work or growth, which the published executor does not limit."""
    try:
        execute(text, program, "compat")
    except CompatError as error:
        return str(error) == TOO_COSTLY
    return False


def test_all_published_vectors_agree(shared: Path) -> None:
    with zstandard.open(shared / "vectors" / "compat.jsonl.zst") as file:
        cases = [json.loads(line) for line in io.TextIOWrapper(file, encoding="utf-8")]
    assert len(cases) == 6000
    texts = pa.array([case["text"] for case in cases])
    batch = execute_batch(texts, pa.array([[case["program"]] for case in cases]), "compat").texts.to_pylist()
    for case, in_batch in zip(cases, batch, strict=True):
        try:
            alone: dict[str, Any] = {"text": execute(case["text"], case["program"], "compat").text}
        except CompatError:
            alone = {"raises": "ZeroDivisionError"}
        assert alone == case["result"]
        assert in_batch == case["result"].get("text")


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_random_pages_and_programs_agree_with_the_plain_oracle(seed: int) -> None:
    rng = Random(seed)
    numbers = tuple(number for number in COMPAT_NUMBERS if len(number) < 12)
    for _ in range(20):
        text = random_text(rng) or ""
        program = (random_program(rng, text, numbers) or "").replace("\x00", "")
        assert result_of(text, program) == oracle(text, program) or is_too_costly(text, program)


@pytest.mark.parametrize(
    "program",
    [
        "remove_lines(start=1_0, end= 0 )\nremove_lines(start=\u0660, end=\u20030)",
        "remove_lines(start=0, end=0\nremove_lines(start=2, end=2)",
        f"remove_lines(start=0, end={'9' * 30})",
        f"remove_lines(start={'9' * 31}, end={'9' * 31})\nremove_lines(start={'9' * 30}, end={'9' * 30})",
        f"remove_lines(start=0, end={'9' * 5000})\nremove_lines(start=0, end=0)",
        'normalize("a=o", "b=0")',
        'normalize(source_str = "one", target_str="x")',
        "remove_lines(start=0, end=0) # all=True",
        "normalize(source_str=one)",
        "remove_lines(start=5, end=1)\nremove_lines(start=0, end=0)",
        "remove_lines)(start=1, end=1\nnormalize",
        "remove_lines(start=0, end=0é",
        " remove_lines(start=0, end=0)\n remove_lines(start=2, end=2)",
    ],
)
def test_odd_arguments_agree_with_the_plain_oracle(program: str) -> None:
    assert result_of(PAGE, program) == oracle(PAGE, program)


def test_programs_of_chunks_are_stripped_and_joined() -> None:
    chunks = [" remove_lines(start=0, end=0)  ", "  remove_lines(start=2, end=2)"]
    assert execute(PAGE, chunks, "compat").text == PAGE.split("\n")[1]


@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_a_text_without_words_raises_alone_and_is_recorded_in_a_batch(text: str) -> None:
    with pytest.raises(CompatError, match="divides"):
        execute(text, "untouch_doc()", "compat")
    batch = execute_batch(pa.array([text, PAGE]), pa.array([["untouch_doc()"]] * 2), "compat")
    assert batch.texts.to_pylist() == [None, PAGE]
    assert batch.outcomes.field("raised").to_pylist() == [ZERO_DIVISION, None]


def test_edits_that_explode_raise_instead() -> None:
    program = "\n".join(['normalize(source_str="o", target_str="oooooooo")'] * 40)
    batch = execute_batch(pa.array([PAGE]), pa.array([[program]]), "compat")
    assert batch.outcomes.field("raised").to_pylist() == [TOO_COSTLY]
    assert result_of(PAGE, program) is None


def test_two_errors_void_every_edit_and_say_so() -> None:
    result = execute(PAGE, "remove_lines(start=0, end=0)\nremove_lines(start=9, end=9)\nremove_lines(start=1", "compat")
    assert (result.text, result.guard, result.dropped_lines) == (PAGE, "error_budget", ())
