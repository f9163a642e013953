"""Requests through a provider's batch API: submitted once, waited for across restarts, collected row by row."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from batch_server import Answer, BatchServer, good, serving_batches, wrong
from openai_helpers import KNOWN, ask, letters, requests, settings

from prox_spark.config.models import ChunkConfig
from prox_spark.engines.endpoint import batch
from prox_spark.engines.endpoint.engine import OpenaiEngine
from prox_spark.engines.endpoint.forms import Form
from prox_spark.engines.protocol import Completion, Request
from prox_spark.errors import EngineError
from prox_spark.generation.kinds import load_refiner
from prox_spark.generation.plan import asked_for
from prox_spark.generation.refiner import fingerprint

KEY = "sk-very-secret-0123"


@pytest.fixture
def server(quick: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    monkeypatch.setattr(batch, "_FIRST_POLL_SECONDS", 0.01)
    monkeypatch.setattr(batch, "_LONGEST_POLL_SECONDS", 0.01)
    monkeypatch.setattr(batch, "FEWEST", 2)
    with serving_batches() as running:
        yield running


def engine(server: BatchServer, form: Form | None = KNOWN, **more: Any) -> OpenaiEngine:
    return OpenaiEngine(settings(server.url, batch=True, **more), letters, form=form)


def test_a_batch_holds_what_would_be_sent_one_by_one_and_is_collected(server: BatchServer) -> None:
    found = ask(engine(server), 1, 2, 3)
    assert found == {n: Completion(id=n, output=f"program {n}", output_tokens=3) for n in (1, 2, 3)}
    (made,) = server.batches.values()
    assert (made["endpoint"], made["completion_window"]) == ("/v1/completions", "24h")
    assert {len(value) for value in made["metadata"].values()} == {64}
    asked = server.asked("batch_0")
    assert [(one["method"], one["url"], one["body"]["prompt"]) for one in asked] == [
        ("POST", "/v1/completions", [n, 1]) for n in (1, 2, 3)
    ]
    assert asked[0]["body"].keys() >= {"model", "max_tokens", "temperature", "return_token_ids"}
    assert server.direct == []


def test_a_chat_model_is_asked_in_conversations(server: BatchServer) -> None:
    chat = {"choices": [{"message": {"content": "untouch_doc()"}, "finish_reason": "stop"}]}
    server.answer = lambda body: (200, chat) if "messages" in body else wrong(404, "This is a chat model")
    assert {one.output for one in ask(engine(server, None), 1, 2).values()} == {"untouch_doc()"}
    assert server.batches["batch_0"]["endpoint"] == "/v1/chat/completions"
    assert server.asked("batch_0")[0]["body"]["messages"] == [{"role": "user", "content": "aa"}]


def test_too_few_requests_are_not_worth_the_wait(server: BatchServer) -> None:
    assert ask(engine(server), 1)[1].output == "program 1"
    assert (len(server.direct), server.batches) == (1, {})


def test_many_requests_are_several_batches_and_the_rest_goes_by_itself(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_MOST_REQUESTS", 3)
    assert len(ask(engine(server), *range(1, 8))) == 7
    assert [len(server.asked(number)) for number in server.batches] == [3, 3]
    assert len(server.direct) == 1


def test_groups_are_bounded_by_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_MOST_BYTES", 100)
    long = (Request(id=n, stage="chunk", text="", token_ids=[1] * size) for n, size in enumerate((5, 5, 5, 40, 1)))
    assert [[one.id for one in group] for group in batch.groups(long)] == [[0, 1], [2], [3], [4]]


def test_equal_requests_are_asked_once(server: BatchServer) -> None:
    twice = [Request(id=n, stage="chunk", text="", token_ids=[7, 1], max_tokens=9) for n in (1, 2)]
    found = list(engine(server).stream(iter(twice)))
    assert [(one.id, one.output) for one in found] == [(1, "program 7"), (2, "program 7")]
    assert len(server.asked("batch_0")) == 1


# Restarts


def test_a_restarted_job_waits_for_the_batch_that_is_under_way(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server.done = False
    monkeypatch.setattr(batch, "LONGEST_SECONDS", 0.05)
    with pytest.raises(EngineError, match="batch_0 is validating after 0 h; run again to wait for it"):
        list(engine(server).stream(requests(1, 2)))
    server.done = True
    monkeypatch.setattr(batch, "LONGEST_SECONDS", 60.0)
    with caplog.at_level(logging.INFO, "prox_spark"):
        # In another order: it is the same work.
        assert {one.output for one in ask(engine(server), 2, 1).values()} == {"program 1", "program 2"}
    assert len(server.batches) == 1
    assert "waiting for batch batch_0, which is validating" in caplog.text


def test_an_abandoned_stream_leaves_its_batches_to_the_next(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_MOST_REQUESTS", 2)
    server.held = {"batch_1"}
    stream = engine(server).stream(requests(1, 2, 3, 4))
    first = {next(stream).id, next(stream).id}
    stream.close()  # type: ignore[attr-defined]
    server.held = set()
    assert len(ask(engine(server), *({1, 2, 3, 4} - first))) == 2
    assert len(server.batches) == 2


def test_answers_that_are_there_are_fetched_and_not_paid_for_again(server: BatchServer) -> None:
    ask(engine(server), 1, 2)
    ask(engine(server), 3, 4)
    ask(engine(server), 5, 6)
    assert ask(engine(server), 1, 2)[1].output == "program 1"
    assert len(server.batches) == 3


def test_a_created_batch_whose_answer_was_lost_is_found(server: BatchServer) -> None:
    server.loses_created = True
    used = engine(server)
    assert len(ask(used, 1, 2)) == 2
    assert (len(server.batches), used.usage().retries) == (1, 1)


def test_a_batch_whose_files_are_gone_is_asked_again(server: BatchServer) -> None:
    ask(engine(server), 1, 2)
    del server.files[server.batches["batch_0"]["output_file_id"]]
    assert len(ask(engine(server), 1, 2)) == 2
    assert len(server.batches) == 2


def test_another_model_is_another_batch(server: BatchServer) -> None:
    ask(engine(server), 1, 2)
    ask(engine(server, model="n"), 1, 2)
    assert len(server.batches) == 2


# Faults


def test_a_provider_that_is_silent_for_a_while_costs_only_time(server: BatchServer) -> None:
    server.silent = 5
    used = engine(server, retries=0)
    assert len(ask(used, 1, 2)) == 2
    assert used.usage().retries == 0


def test_what_a_line_says_concerns_its_request_alone(server: BatchServer) -> None:
    said: dict[int, Answer] = {
        2: wrong(400, "too long"),
        3: wrong(400, "filtered", "content_filter"),
        4: wrong(500, "out of memory"),
        5: (200, {"error": {"message": "upstream is gone"}}),
        6: (200, {"choices": []}),
    }
    server.answer = lambda body: said.get(body["prompt"][0]) or good(body)
    server.unanswered = lambda body: body["prompt"][0] == 7
    found = ask(engine(server), *range(1, 8))
    assert found[1].output == "program 1"
    assert {n: found[n].error for n in range(2, 6)} == {
        2: "400: too long",
        3: "400: filtered",
        4: "500: out of memory",
        5: "200 with an error: upstream is gone",
    }
    assert "not a completion" in (found[6].error or "")
    assert found[7].error == "the batch batch_0 ended as completed without an answer to this request"


def test_an_expired_batch_keeps_what_it_has(server: BatchServer) -> None:
    server.end = "expired"
    server.unanswered = lambda body: body["prompt"][0] == 2
    found = ask(engine(server), 1, 2)
    assert found[1].output == "program 1"
    assert "ended as expired" in (found[2].error or "")
    # What failed is another batch when it is asked again with something else, and so is the same work.
    server.end, server.unanswered = "completed", lambda body: False
    assert ask(engine(server), 2, 3)[2].output == "program 2"
    assert ask(engine(server), 1, 2)[2].output == "program 2"


def test_a_batch_without_one_answer_ends_the_job_and_is_not_waited_for_again(server: BatchServer) -> None:
    server.answer = lambda body: wrong(400, "no such field")
    with pytest.raises(EngineError, match="failed all 2 requests of a batch; last error: 400: no such field"):
        list(engine(server).stream(requests(1, 2)))
    server.answer = good
    assert len(ask(engine(server), 1, 2)) == 2
    assert len(server.batches) == 2


def test_filtered_pages_are_failed_rows(server: BatchServer) -> None:
    server.answer = lambda body: wrong(400, "filtered", "content_filter")
    assert {one.finish for one in ask(engine(server), 1, 2).values()} == {"error"}


def test_a_batch_that_is_rejected_ends_the_job_with_the_providers_words(server: BatchServer) -> None:
    server.end = "failed"
    with pytest.raises(EngineError, match=r"rejects the batch batch_0: .*too many tokens") as raised:
        list(engine(server).stream(requests(1, 2)))
    assert "\n" not in str(raised.value)


def test_a_server_without_batches_is_refused(server: BatchServer) -> None:
    server.serves_batches = False
    with pytest.raises(EngineError, match=r"has nothing at /v1/batches \(404: Not Found\)"):
        list(engine(server).stream(requests(1, 2)))


def test_out_of_quota_ends_the_job(server: BatchServer) -> None:
    server.answer = lambda body: wrong(429, "no", "insufficient_quota")
    with pytest.raises(EngineError, match="no quota or credit left"):
        list(engine(server).stream(requests(1, 2)))


def test_the_key_is_in_no_message(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.answer = lambda body: wrong(400, f"not with {KEY}") if body["prompt"][0] == 1 else good(body)
    with caplog.at_level(logging.DEBUG, "prox_spark"):
        found = ask(engine(server), 1, 2)
    assert found[1].error == "400: not with ***"
    assert server.keys == {f"Bearer {KEY}"}
    assert KEY not in caplog.text
    assert KEY.encode() not in b"".join(server.files[one["input_file_id"]] for one in server.batches.values())


def test_batches_change_no_fingerprint() -> None:
    plain = settings("http://a/v1", refiner="web-programs-1")
    batched = settings("http://a/v1", refiner="web-programs-1", batch=True)
    assert fingerprint(load_refiner("chunk", plain)) == fingerprint(load_refiner("chunk", batched))
    assert asked_for(ChunkConfig(engine=plain)) == asked_for(ChunkConfig(engine=batched))
