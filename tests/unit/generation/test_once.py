"""Equal requests of a task are asked once; rows are those that every request of its own would give."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prox_spark.config.engines import EngineSettings, RandomSettings, ScriptedSettings
from prox_spark.config.models import ChunkConfig, DocumentConfig
from prox_spark.engines.protocol import Completion, Engine, Request, Usage
from prox_spark.generation import once
from prox_spark.generation.once import AskOnce
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.task import generate_programs

Documents = Callable[..., pa.RecordBatch]

_ENGINE = ("engine_seconds", "engine_busy_seconds", "engine_restarts", "engine_retries", "engine_repeated")


class Counting:
    """Answers ``window`` requests at a time, the last first, and notes which it was asked."""

    def __init__(self, window: int = 1) -> None:
        self.asked: list[Request] = []
        self._window = window

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        flying: list[Request] = []
        for request in requests:
            self.asked.append(request)
            flying.append(request)
            while len(flying) >= self._window:
                yield self._answer(flying.pop())
        while flying:
            yield self._answer(flying.pop())

    def _answer(self, request: Request) -> Completion:
        ids = request.token_ids or []
        if 0 in ids:
            return Completion(id=request.id, finish="error", error="zero")
        return Completion(id=request.id, scores=[float(sum(ids) + place) for place in request.positions or []])

    def usage(self) -> Usage:
        return Usage(seconds=1.0)

    def close(self) -> None:
        pass


def request(number: int, ids: list[int], positions: list[int] | None = None) -> Request:
    return Request(id=number, stage="chunk", text="", token_ids=ids, positions=positions)


def rows(stage: Any, engine: EngineSettings, *batches: pa.RecordBatch) -> list[dict[str, Any]]:
    section = DocumentConfig(engine=engine) if stage == "document" else ChunkConfig(engine=engine)
    plan = plan_stage(stage, section)
    return [row for batch in generate_programs(iter(batches), plan) for row in batch.to_pylist()]


def calls(file: Path) -> int:
    return len(file.read_text().splitlines())


def repeated(found: list[dict[str, Any]]) -> int:
    return sum(row["engine_repeated"] or 0 for row in found)


@given(
    asked=st.lists(st.tuples(st.lists(st.integers(0, 3), max_size=3), st.lists(st.integers(0, 1), max_size=2))),
    window=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_every_request_gets_the_answer_that_it_would_get_alone(
    asked: list[tuple[list[int], list[int]]], window: int
) -> None:
    requests = [request(number, *one) for number, one in enumerate(asked)]
    inner = Counting(window)
    engine: Engine = AskOnce(inner)
    found = {one.id: one for one in engine.stream(iter(requests))}
    assert found == {one.id: one for one in Counting().stream(iter(requests))}
    answered = [
        (tuple(one.token_ids or ()), tuple(one.positions or ()))
        for one in inner.asked
        if 0 not in (one.token_ids or ())
    ]
    assert len(answered) == len({(tuple(ids), tuple(positions)) for ids, positions in asked if 0 not in ids})
    assert engine.usage() == Usage(seconds=1.0, repeated=len(requests) - len(inner.asked))


def test_equal_tokens_with_lines_that_end_elsewhere_are_two_questions() -> None:
    inner = Counting()
    found = list(AskOnce(inner).stream(iter([request(0, [5, 6], [1]), request(1, [5, 6], [0, 1])])))
    assert [len(one.scores or ()) for one in found] == [1, 2]
    assert len(inner.asked) == 2


def test_an_error_is_copied_only_to_those_that_wait_for_it() -> None:
    class Overloaded(Counting):
        def _answer(self, request: Request) -> Completion:
            if len(self.asked) == 1:
                return Completion(id=request.id, finish="error", error="overloaded")
            return super()._answer(request)

    inner = Overloaded()
    found = list(AskOnce(inner).stream(iter([request(number, [7], [0]) for number in range(4)])))
    assert [one.finish for one in found] == ["error", "stop", "stop", "stop"]
    assert len(inner.asked) == 2


def test_repeats_that_wait_for_an_answer_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "_WAITING", 10)
    inner = Counting()
    pulled = 0

    def endless() -> Iterator[Request]:
        nonlocal pulled
        for number in range(1000):
            pulled += 1
            yield request(number, [7], [0])

    for done, _ in enumerate(AskOnce(inner).stream(endless())):
        assert pulled - done <= 12
    assert len(inner.asked) <= 1000 // 10


def test_answers_that_were_used_longest_ago_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "_KEPT", 5 * 33)
    ids = [1, 2, 3, 4, 5, 1, 6, 1, 2]
    inner = Counting()
    answers = list(AskOnce(inner).stream(request(number, [one], [0]) for number, one in enumerate(ids)))
    assert len(answers) == len(ids)
    assert [one.token_ids for one in inner.asked] == [[1], [2], [3], [4], [5], [6], [2]]


@pytest.mark.parametrize("stage", ["document", "chunk"])
def test_equal_texts_are_asked_once_and_each_has_its_row(documents: Documents, tmp_path: Path, stage: str) -> None:
    file = tmp_path / "calls"
    engine = ScriptedSettings(kind="scripted", calls_file=str(file), error_on="bad")
    batches = [documents("good", "bad", "good"), documents("bad", "good", "other", first=3)]
    found = rows(stage, engine, *batches)
    # What failed is asked again.
    assert calls(file) == 4
    assert repeated(found) == 2
    # As each document's row is alone.
    alone = [row for batch in batches for n in range(batch.num_rows) for row in rows(stage, engine, batch.slice(n, 1))]
    by_id = {row["doc_id"]: {name: row[name] for name in row if name not in _ENGINE} for row in alone}
    assert {row["doc_id"]: {name: row[name] for name in row if name not in _ENGINE} for row in found} == by_id
    assert [by_id[f"d{n}"]["status"] for n in range(6)] == ["ok", "failed", "ok", "failed", "ok", "ok"]


def test_an_equal_chunk_elsewhere_in_a_document_has_calls_of_its_own_lines(
    documents: Documents, tmp_path: Path
) -> None:
    file = tmp_path / "calls"
    answers = {"menu": "remove_lines(start=0, end=0)"}
    engine = ScriptedSettings(kind="scripted", calls_file=str(file), lines_per_chunk=1, answers=answers)
    found = rows("chunk", engine, documents("menu\nprose\nmenu"))
    assert calls(file) == 2
    assert [(row["line_start"], row["line_end"]) for row in found] == [(0, 0), (1, 1), (2, 2)]


def test_a_refiner_that_reads_more_than_the_text_is_asked_about_each_document(documents: Documents) -> None:
    found = rows("document", RandomSettings(kind="random"), documents("same", "same"))
    assert found[0]["keep_score"] != found[1]["keep_score"]
    assert repeated(found) == 0
