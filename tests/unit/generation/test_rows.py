"""What an answer becomes when its row is packed: a document's decision, in a call or in a word."""

from typing import Any

import pytest

from prox_spark.config.engines import ScriptedSettings
from prox_spark.config.models import DocumentConfig
from prox_spark.engines.protocol import Completion
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.rows import Rows


def row(answer: str) -> dict[str, Any]:
    plan = plan_stage("document", DocumentConfig(engine=ScriptedSettings(kind="scripted", default="keep_doc()")))
    rows = Rows(plan)
    rows.add_answer(("d", "h", 0), 0, None, Completion(id=0, output=answer), 3, answer, None)
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
    ],
)
def test_a_document_s_answer_decides(answer: str, score: float) -> None:
    found = row(answer)
    assert (found["keep_score"], found["status"], found["output"]) == (score, "ok", answer)


@pytest.mark.parametrize("answer", ["Sure!", "I would not drop it", "<think>drop"])
def test_an_answer_without_a_certain_decision_fails_with_its_text(answer: str) -> None:
    found = row(answer)
    assert (found["keep_score"], found["status"]) == (None, "failed")
    assert answer in found["error"]
