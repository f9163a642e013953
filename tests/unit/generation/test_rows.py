"""What an answer becomes when its row is packed: a document's decision, in a call or in a word."""

from typing import Any, Literal

import pytest

from prox_spark.config.engines import ScriptedSettings
from prox_spark.config.models import ChunkConfig, DocumentConfig
from prox_spark.engines.protocol import Completion
from prox_spark.generation.plan import StagePlan, plan_stage
from prox_spark.generation.rows import Rows

DOCUMENT = plan_stage("document", DocumentConfig(engine=ScriptedSettings(kind="scripted", default="keep_doc()")))
CHUNK = plan_stage("chunk", ChunkConfig(engine=ScriptedSettings(kind="scripted", default="keep_chunk()")))


def row(answer: str, plan: StagePlan = DOCUMENT, finish: Literal["stop", "length"] = "stop") -> dict[str, Any]:
    rows = Rows(plan)
    covered = (0, 9) if plan.stage == "chunk" else None
    rows.add_answer(("d", "h", 0), 0, covered, Completion(id=0, output=answer, finish=finish), 3, answer, None)
    [batch] = rows.flush(everything=True)
    found: dict[str, Any] = batch.to_pylist()[0]
    return found


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("drop_doc()", 0.0),
        ("keep_doc()", 1.0),
        ("drop", 0.0),
        ("drop_doc", 0.0),
        ("Keep.", 1.0),
        ("Answer: drop_doc()", 0.0),
        ("return drop_doc()", 0.0),
        ("doc.drop_doc()", 0.0),
        ("<think>\nEither keep_doc() or\ndrop_doc()\n</think>\nkeep_doc()", 1.0),
        ("keep_doc()<|im_end|>\n<|im_start|>user\ndrop_doc()", 1.0),
    ],
)
def test_a_document_s_answer_decides(answer: str, score: float) -> None:
    found = row(answer)
    assert (found["keep_score"], found["status"], found["output"]) == (score, "ok", answer)


@pytest.mark.parametrize(
    "answer", ["<reasoning>\nkeep_doc() or\ndrop_doc()?\n</reasoning>\nkeep_doc()", "keep_doc()<|end|>\ndrop_doc()"]
)
def test_version_2_of_the_rules_decides_as_no_other_is_in_a_refiner_s_fingerprint(answer: str) -> None:
    found = row(answer)
    assert (found["keep_score"], found["status"]) == (0.0, "ok")


@pytest.mark.parametrize("answer", ["Sure!", "I would not drop it", "<think>drop"])
def test_an_answer_without_a_certain_decision_fails_with_its_text(answer: str) -> None:
    found = row(answer)
    assert (found["keep_score"], found["status"]) == (None, "failed")
    assert answer in found["error"]


@pytest.mark.parametrize(
    "answer", ["<think>\nCould be spam:\ndrop_doc()\nbut no, it is", "Let me think. The rules say to drop"]
)
def test_thoughts_that_the_token_limit_cut_decide_nothing(answer: str) -> None:
    found = row(answer, finish="length")
    assert (found["keep_score"], found["status"]) == (None, "failed")


def test_a_call_before_the_token_limit_decides() -> None:
    assert row("drop_doc()\nThe page is", finish="length")["keep_score"] == 0.0


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("Program: remove_lines(0, 3)", "ok"),
        ("- remove_lines(0, 3)", "ok"),
        ("1. remove_line(3)", "ok"),
        ("add_line(3, 1, 'a')", "ok"),
        ("Sure!", "invalid"),
        ("do not remove_lines(0, 3)", "invalid"),
    ],
)
def test_a_chunk_s_answer_is_invalid_where_no_version_of_the_rules_reads_a_call(answer: str, status: str) -> None:
    assert row(answer, CHUNK)["status"] == status


def test_the_calls_of_a_row_are_what_version_1_reads() -> None:
    assert [call["outcome"] for call in row("Program: remove_lines(0, 3)", CHUNK)["calls"]] == ["unknown"]
