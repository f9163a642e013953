"""The self-test's judgement: which answers to pages of boilerplate count as doing anything, and what is said if none does."""

from pathlib import Path
from typing import Any

import pytest

from prox_spark.config.engines import TransformersSettings
from prox_spark.config.models import ChunkConfig, DocumentConfig, ExecutionConfig
from prox_spark.generation.boilerplate import BOILERPLATE_PAGES
from prox_spark.generation.plan import StagePlan, plan_stage
from prox_spark.generation.refiner import Stage
from prox_spark.generation.selftest import complaint, effective
from prox_spark.programs import parse


def row(output: str | None = None, page: int = 0, **columns: Any) -> dict[str, Any]:
    """A row of ``programs`` whose calls are what its output parses to."""
    calls = [{"operation": call.operation, "outcome": call.outcome} for call in parse(output).calls] if output else None
    last = BOILERPLATE_PAGES[page].count("\n")
    place = {"doc_id": f"self-test {page}", "chunk": 0, "line_start": 0, "line_end": last, "line_offset": 0}
    empty = {"status": "ok", "keep_score": None, "line_scores": None, "error": None}
    return place | empty | {"output": output, "calls": calls} | columns


def stage_plan(stage: Stage, model: Path) -> StagePlan:
    engine = TransformersSettings(kind="transformers", model=str(model))
    return plan_stage(stage, DocumentConfig(engine=engine) if stage == "document" else ChunkConfig(engine=engine))


@pytest.mark.parametrize(
    ("answers", "does_anything"),
    [
        (["keep_chunk()", "untouch_doc()"], False),
        (["untouch_doc()", "remove_lines(start=0, end=1)"], True),
        (["normalize(source_str='a', target_str='b')"], True),
        (["normalize(source_str='not in the page')"], False),
        (["remove_lines(start=40, end=41)"], False),
        (["remove_all()"], True),
        # Good only in part, as a program that the token limit cut off may be.
        (["remove_lines(start=0, end=1)\nremove_li"], True),
        # One slip is within the budget of a chunk, more void its program; one page that is changed is enough.
        (["Program:\nremove_lines(start=0, end=1)"], True),
        (["I would remove\nthe menu:\nremove_lines(start=0, end=1)"], True),
        (["<think>\nIt is\na menu.\n</think>\nremove_lines(start=0, end=1)"], True),
        (["(a) remove_lines(start=0, end=0)\n(b) remove_lines(start=1, end=1)"], True),
        (["foo()\nbar()\nremove_lines(start=0, end=1)"], False),
        (["one\ntwo\nremove_lines(start=0, end=1)", "remove_lines(start=0, end=1)"], True),
        # A loop is void, too.
        (["remove_lines(start=0, end=1)\n" * 9], False),
        (["The page is about rain barrels.", ""], False),
        (["remove_lines(start=0"], False),
        # A document's decision is no edit of a chunk.
        (["drop_doc()"], False),
        ([None], False),
        ([], False),
    ],
)
def test_a_chunk_refiner_must_edit_one_page_of_boilerplate(answers: list[str | None], does_anything: bool) -> None:
    assert effective("chunk", [row(answer, page) for page, answer in enumerate(answers)]) is does_anything


@pytest.mark.parametrize(("scores", "does_anything"), [([[0.9, 0.5], [0.8]], False), ([[0.9, 0.9], [0.8, 0.49]], True)])
def test_a_line_scorer_must_score_one_line_below_one_half(scores: list[list[float]], does_anything: bool) -> None:
    rows = [row(page=page, line_scores=values) for page, values in enumerate(scores)]
    assert effective("chunk", rows) is does_anything
    # Whatever is removed in the end: these scores are there for every threshold.
    assert effective("chunk", rows, ExecutionConfig(drop_line_below=0.0)) is does_anything


@pytest.mark.parametrize(("scores", "decides"), [([None, None], False), ([None, 0.0], True), ([1.0, 1.0], True)])
def test_a_document_refiner_must_decide_on_one_page(scores: list[float | None], decides: bool) -> None:
    assert effective("document", [row(keep_score=score) for score in scores]) is decides


def test_the_guards_are_those_of_the_run() -> None:
    rows = [row("I would remove\nthe menu:\nremove_lines(start=0, end=1)")]
    assert not effective("chunk", rows, ExecutionConfig(semantics=1))
    assert effective("chunk", rows, ExecutionConfig(semantics=1, error_budget=2))
    # Of the published executor, too: two errors void all of a document.
    assert effective("chunk", [row("remove_lines(start=0, end=1)")], ExecutionConfig(mode="compat"))
    wrong = "remove_lines(start=0, end=1)\nremove_lines(start=x, end=2)\nremove_lines 3"
    assert not effective("chunk", [row(wrong)], ExecutionConfig(mode="compat"))


def test_answers_that_newer_rules_read_pass_with_them_and_the_complaint_says_so(tiny_model: Path) -> None:
    rows = [row("<think>\nIt is\na menu.\n</think>\nremove_lines(start=0, end=1)")]

    assert effective("chunk", rows, ExecutionConfig(semantics=2))
    reason, *shown = complaint(stage_plan("chunk", tiny_model), rows, ExecutionConfig(semantics=1)).splitlines()

    assert "execution.semantics=3 reads these answers as programs" in reason
    assert "</think>" in shown[-1]
    # Where no rule helps, it is the template that is in doubt.
    assert "semantics" not in complaint(stage_plan("chunk", tiny_model), [row("Sure!")])


def test_line_numbers_count_from_where_the_chunk_counts_them() -> None:
    chunk = row("remove_lines(start=0, end=0)", line_start=4, line_end=6, chunk=1)
    assert not effective("chunk", [chunk])
    assert effective("chunk", [chunk | {"line_offset": 4}])


def test_a_document_that_a_chunks_program_empties_has_lost_its_lines() -> None:
    assert effective("chunk", [row("remove_all()")])
    assert not effective("chunk", [row("drop_doc()")])


def test_the_complaint_about_void_programs_says_so_and_shows_what_became_of_the_calls(tiny_model: Path) -> None:
    rows = [row("foo()\nbar()\nremove_lines(start=0, end=1)"), row("untouch_doc()", 1)]

    reason, *shown = complaint(stage_plan("chunk", tiny_model), rows).splitlines()

    assert "would remove nothing from any of 4 pages of boilerplate (a guard voids its programs: error_budget" in reason
    assert shown[-2].endswith("(ok): calls 1 ok, 2 unknown")
    assert shown[-1] == "- 'untouch_doc()' (ok)"


def test_the_complaint_shows_prompt_and_answers_and_names_what_to_check(tiny_model: Path) -> None:
    rows = [row("untouch_doc()"), row(status="failed", error="out of memory"), row("\x1b[2J" + "ab" * 500)]

    reason, *shown = complaint(stage_plan("chunk", tiny_model), rows).splitlines()

    for named in (str(tiny_model), "chunk.template=", "'lines/1'", "chunk.engine.model=", "generate.self_test=false"):
        assert named in reason
    prompt, _, *answers = shown
    assert "[000]Home | About" in prompt
    assert "[/doc]" in prompt
    assert answers[:2] == ["- 'untouch_doc()' (ok)", "- '' (failed): out of memory"]
    assert "\\x1b[2J" in answers[2]
    assert max(map(len, shown)) < 600


def test_a_line_scorers_complaint_says_how_far_its_scores_went_down(tiny_model: Path) -> None:
    said = complaint(stage_plan("chunk", tiny_model), [row(line_scores=[0.97, 0.75])])

    assert said.splitlines()[-1] == "- 2 lines scored from 0.750"


def test_a_document_stages_complaint_is_about_its_decision(tiny_model: Path) -> None:
    said = complaint(stage_plan("document", tiny_model), [row("Sure!", status="failed", error="no keep_doc()")])

    assert "self-test of the document stage" in said
    assert "document.template=" in said
