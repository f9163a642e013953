"""Documents in, rows of ``programs`` out: one row for every chunk, whatever goes wrong with one document."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pyarrow as pa
import pytest

from prox_spark.config.engines import EngineSettings, RulesSettings, ScriptedSettings, VllmSettings
from prox_spark.config.models import ChunkConfig, DocumentConfig
from prox_spark.engines.protocol import Completion, Request
from prox_spark.generation.plan import StagePlan, plan_stage
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import Stage
from prox_spark.generation.task import GENERATED, generate_programs, run_stage

Documents = Callable[..., pa.RecordBatch]


def plan(stage: Stage, engine: EngineSettings) -> StagePlan:
    return plan_stage(stage, DocumentConfig(engine=engine) if stage == "document" else ChunkConfig(engine=engine))


def scripted(**settings: Any) -> ScriptedSettings:
    return ScriptedSettings(kind="scripted", **settings)


def rows(batches: list[pa.RecordBatch], stage: Stage, engine: EngineSettings) -> list[dict[str, Any]]:
    out = list(generate_programs(iter(batches), plan(stage, engine)))
    assert all(batch.schema.equals(GENERATED) for batch in out)
    return [row for batch in out for row in batch.to_pylist()]


def test_each_chunk_is_a_row_with_its_lines_output_and_calls(documents: Documents) -> None:
    engine = scripted(lines_per_chunk=2, answers={"c": "remove_lines(start=2, end=2)"})
    first, second = rows([documents("a\nb\nc")], "chunk", engine)
    assert (first["chunk"], first["line_start"], first["line_end"], first["output"]) == (0, 0, 1, "keep_chunk()")
    assert (second["chunk"], second["line_start"], second["line_end"], second["status"]) == (1, 2, 2, "ok")
    (call,) = second["calls"]
    assert (call["operation"], call["line_start"], call["line_end"]) == ("remove_lines", 2, 2)
    assert second["refiner"] == plan("chunk", engine).fingerprint


@pytest.mark.parametrize(
    ("answer", "status", "score"),
    [
        ("keep_doc()", "ok", 1.0),
        (" drop_doc()", "ok", 0.0),
        (0.25, "ok", 0.25),
        (float("nan"), "failed", None),
        ("hm", "failed", None),
        ("", "failed", None),
    ],
)
def test_the_document_stage_gives_a_score_or_fails(
    documents: Documents, answer: str | float, status: str, score: float | None
) -> None:
    (row,) = rows([documents("page")], "document", scripted(answers={"page": answer}))
    assert (row["chunk"], row["status"], row["keep_score"], row["line_start"]) == (0, status, score, None)
    assert (row["error"] is None) == (status == "ok")


@pytest.mark.parametrize(
    ("answer", "status"), [("hm", "invalid"), ("", "empty"), ("  ", "empty"), ("keep_chunk()", "ok")]
)
def test_a_chunks_status_says_what_became_of_its_program(documents: Documents, answer: str, status: str) -> None:
    (row,) = rows([documents("page")], "chunk", scripted(answers={"page": answer}))
    assert row["status"] == status


@pytest.mark.parametrize("stage", ["document", "chunk"])
def test_blank_documents_are_skipped_and_null_ones_fail(documents: Documents, stage: Stage) -> None:
    found = rows([documents("", " \n\t ", None, "text", "\u3000")], stage, scripted())
    by_id = {row["doc_id"]: row for row in found}
    assert [by_id[f"d{n}"]["status"] for n in range(5)] == ["skipped", "skipped", "failed", "ok", "skipped"]
    assert by_id["d0"]["line_start"] is None
    assert "null" in by_id["d2"]["error"]


def test_a_failed_request_costs_its_own_row_only(documents: Documents) -> None:
    found = rows([documents("good\nbad\ngood")], "chunk", scripted(lines_per_chunk=1, error_on="bad"))
    assert [row["status"] for row in found] == ["ok", "failed", "ok"]
    assert found[1]["output"] is None
    assert "scripted error" in found[1]["error"]


def test_line_scores_are_kept_where_they_fit_the_lines(documents: Documents) -> None:
    engine = scripted(answers={"a\nb": (0.5, 1.0), "c": (0.5, 1.0)})
    fits, does_not = rows([documents("a\nb", "c")], "chunk", engine)
    assert (fits["status"], fits["line_scores"]) == ("ok", [0.5, 1.0])
    assert (does_not["status"], does_not["line_scores"]) == ("failed", None)


def test_every_document_of_every_batch_has_its_rows_and_no_batch_is_huge(documents: Documents) -> None:
    batches = [documents(*[f"page {n}" for n in range(700)], first=start) for start in range(0, 3500, 700)]
    out = list(generate_programs(iter(batches), plan("chunk", RulesSettings(kind="rules"))))
    assert sorted(row for batch in out for row in batch["doc_id"].to_pylist()) == sorted(f"d{n}" for n in range(3500))
    assert max(batch.num_rows for batch in out) <= 1000


def test_odd_characters_and_many_lines_go_through(documents: Documents) -> None:
    texts = ["nul \x00 byte", "many\n" * 100_000, "x" * 10_000_000, "\u2028\x85\r\n"]
    found = rows([documents(*texts)], "chunk", RulesSettings(kind="rules"))
    assert [row["status"] for row in found] == ["ok", "ok", "ok", "skipped"]
    assert found[1]["line_end"] == 100_000


def test_a_sliced_batch_and_an_empty_one(documents: Documents) -> None:
    found = rows([documents("a", "b", "c").slice(1, 1), documents()], "chunk", scripted())
    assert [row["doc_id"] for row in found] == ["d1"]


def test_a_plan_travels_to_the_tasks(tiny_model: Path) -> None:
    for engine in (VllmSettings(kind="vllm", model=str(tiny_model)), RulesSettings(kind="rules"), scripted()):
        made = plan("chunk", engine)
        assert cloudpickle.loads(cloudpickle.dumps(made)) == made


class Late:
    """An engine that answers the newest request first and pulls several before it answers."""

    def __init__(self, answer: list[int]) -> None:
        self.answer = answer
        self.asked: list[Request] = []
        self.most = 0

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        waiting: list[Request] = []
        for request in requests:
            self.asked.append(request)
            waiting.append(request)
            if len(waiting) == 5:
                self.most = max(self.most, len(waiting))
                yield Completion(id=waiting.pop().id, token_ids=self.answer)
        while waiting:
            yield Completion(id=waiting.pop().id, token_ids=self.answer, finish="length")

    def close(self) -> None:
        pass


def test_answers_in_any_order_find_their_chunk_across_arrow_batches(tiny_model: Path, documents: Documents) -> None:
    made = plan("chunk", VllmSettings(kind="vllm", model=str(tiny_model)))
    from prox_spark.generation.tokens import PromptTokenizer

    engine = Late(PromptTokenizer(tiny_model).pieces([" remove_lines(start=0, end=0)"])[0].tolist())
    texts = ["\n".join(f"line {n} of page {page}" for n in range(300)) for page in range(6)]
    batches = [documents(*texts[:3]), documents(*texts[3:], first=3)]
    found = [row for batch in run_stage(iter(batches), made, engine) for row in batch.to_pylist()]
    for page in range(6):
        chunks = [row for row in found if row["doc_id"] == f"d{page}"]
        assert [row["chunk"] for row in chunks] == list(range(len(chunks)))
        assert chunks[0]["line_start"] == 0
        assert chunks[-1]["line_end"] == 299
        assert all(a["line_end"] + 1 == b["line_start"] for a, b in itertools.pairwise(chunks))
    assert {row["output"] for row in found} == {"remove_lines(start=0, end=0)"}
    assert {row["status"] for row in found} == {"ok", "truncated"}
    assert sum(row["prompt_tokens"] for row in found) == sum(len(r.token_ids or ()) for r in engine.asked)


def test_a_document_that_cannot_be_tokenised_costs_its_own_row(
    tiny_model: Path, documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan("chunk", VllmSettings(kind="vllm", model=str(tiny_model)))
    ask = Prompter.ask

    def fails_on_poison(self: Prompter, texts: list[str]) -> Any:
        if any("poison" in text for text in texts):
            raise ValueError("the tokenizer refuses")
        return ask(self, texts)

    monkeypatch.setattr(Prompter, "ask", fails_on_poison)
    out = run_stage(iter([documents("good", "poison", "fine")]), made, Late([5]))
    found = {row["doc_id"]: row for batch in out for row in batch.to_pylist()}
    assert found["d1"]["status"] == "failed"
    assert "the tokenizer refuses" in found["d1"]["error"]
    assert {found["d0"]["status"], found["d2"]["status"]} <= {"truncated", "invalid"}
