"""The self-test's judgement: which answers to pages of boilerplate count as doing anything, and what is said if none does."""

from pathlib import Path
from typing import Any

import pytest

from prox_spark.config.engines import TransformersSettings
from prox_spark.config.models import ChunkConfig, DocumentConfig
from prox_spark.generation.plan import StagePlan, plan_stage
from prox_spark.generation.refiner import Stage
from prox_spark.generation.selftest import complaint, effective
from prox_spark.programs import parse


def row(output: str | None = None, **columns: Any) -> dict[str, Any]:
    """A row of ``programs`` whose calls are what its output parses to."""
    calls = [{"operation": call.operation, "outcome": call.outcome} for call in parse(output).calls] if output else None
    empty = {"status": "ok", "keep_score": None, "line_scores": None, "error": None}
    return empty | {"output": output, "calls": calls} | columns


def stage_plan(stage: Stage, model: Path) -> StagePlan:
    engine = TransformersSettings(kind="transformers", model=str(model))
    return plan_stage(stage, DocumentConfig(engine=engine) if stage == "document" else ChunkConfig(engine=engine))


@pytest.mark.parametrize(
    ("answers", "does_anything"),
    [
        (["keep_chunk()", "untouch_doc()"], False),
        (["untouch_doc()", "remove_lines(start=0, end=1)"], True),
        (["normalize(source_str='a', target_str='b')"], True),
        (["remove_all()"], True),
        # Good only in part, as a program that the token limit cut off may be.
        (["remove_lines(start=0, end=1)\nremove_li"], True),
        (["The page is about rain barrels.", ""], False),
        (["remove_lines(start=0"], False),
        # A document's decision is no edit of a chunk.
        (["drop_doc()"], False),
        ([None], False),
        ([], False),
    ],
)
def test_a_chunk_refiner_must_edit_one_page_of_boilerplate(answers: list[str | None], does_anything: bool) -> None:
    assert effective("chunk", [row(answer) for answer in answers]) is does_anything


@pytest.mark.parametrize(("scores", "does_anything"), [([[0.9, 0.5], [0.8]], False), ([[0.9, 0.9], [0.8, 0.49]], True)])
def test_a_line_scorer_must_score_one_line_below_one_half(scores: list[list[float]], does_anything: bool) -> None:
    assert effective("chunk", [row(line_scores=values) for values in scores]) is does_anything


@pytest.mark.parametrize(("scores", "decides"), [([None, None], False), ([None, 0.0], True), ([1.0, 1.0], True)])
def test_a_document_refiner_must_decide_on_one_page(scores: list[float | None], decides: bool) -> None:
    assert effective("document", [row(keep_score=score) for score in scores]) is decides


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
