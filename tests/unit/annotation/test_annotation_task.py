"""A task against an endpoint that misbehaves: every question has its row, whatever became of it."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from annotator import FOOTER, MENU, PROSE, annotator, page, program, says, scores
from endpoint import Behaviour, Endpoint, body, half, hangs, status

from prox_spark.annotation.prompts import PROGRAM_TASKS, load_prompts
from prox_spark.annotation.task import ANNOTATED, annotate_documents
from prox_spark.config.annotate import AnnotateConfig
from prox_spark.engines.endpoint import client as openai_client
from prox_spark.errors import EngineError

KEY = "sk-very-secret-0123"
GOOD = '{"edu": 3, "format": 5}'
TASKS = ("scores", *PROGRAM_TASKS)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_client, "_FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with annotator() as server:
        yield server


def ask(
    endpoint: Endpoint, texts: list[str | None], wanted: list[tuple[str, int | None]] | None = None, **more: Any
) -> dict[tuple[str, str, int | None], dict[str, Any]]:
    """The rows by document, task and chunk."""
    address = {
        "model": "large",
        "base_url": endpoint.url,
        "retries": 2,
        "timeout_seconds": 20,
        **more.pop("address", {}),
    }
    settings = AnnotateConfig.model_validate({"endpoint": address, "output": "o", **more})
    questions = [{"task": task, "chunk": chunk} for task, chunk in wanted or [(task, None) for task in TASKS]]
    ids = [f"d{n}" for n in range(len(texts))]
    columns = {
        "doc_id": ids,
        "content_hash": ids,
        "unit": [0] * len(ids),
        "text": texts,
        "wanted": [questions] * len(ids),
    }
    types = [pa.string(), pa.string(), pa.int64(), pa.string(), None]
    arrays = [pa.array(values, kind) for values, kind in zip(columns.values(), types, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, names=list(columns))
    found = list(annotate_documents(iter([batch]), settings, load_prompts(settings)))
    assert all(out.schema == ANNOTATED for out in found)
    rows = [row for out in found for row in out.to_pylist()]
    by_key = {(row["doc_id"], row["task"], row["chunk"]): row for row in rows}
    assert len(by_key) == len(rows)
    return by_key


def test_every_task_has_its_answer(endpoint: Endpoint) -> None:
    found = ask(endpoint, [f"{MENU}\n{PROSE}\n{FOOTER}"])
    assert {row["status"] for row in found.values()} == {"ok"}
    first = found["d0", "scores", None]
    assert (first["edu"], first["format"], first["line_start"], first["calls"]) == (3, 5, None, None)
    assert (first["prompt_tokens"], first["output_tokens"], first["model"]) == (700, 20, "large")
    navigation = found["d0", "navigation", 0]
    assert (navigation["line_start"], navigation["line_end"]) == (0, 2)
    assert [(c["operation"], c["line_start"]) for c in navigation["calls"]] == [("remove_lines", 0)]
    assert found["d0", "links", 0]["calls"] == []
    assert navigation["answer"] == '{"program": "remove_lines(line_start=0, line_end=0)"}'
    asked = endpoint.seen[0]
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("large", 0.0, 1024)
    assert asked["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize(
    ("behaviour", "outcome", "said", "kept"),
    [
        (says(None, refusal="I will not."), "refused", None, "I will not."),
        (says(None, finish="content_filter"), "refused", None, None),
        (says("What a lovely page!"), "malformed", "no JSON object", "What a lovely page!"),
        (says(None), "malformed", "no JSON object", None),
        (says('{"edu": 9, "format": 1}'), "malformed", "edu: ", '{"edu": 9, "format": 1}'),
        (says('{"edu": 3, "form', finish="length"), "malformed", "token limit", '{"edu": 3, "form'),
        (status(500, "out of memory"), "failed", "sent 3 times, 500: out of memory", None),
        (status(429, "slow down"), "failed", "429: slow down", None),
        (status(400, "too long"), "failed", "400: too long", None),
        (status(400, "filtered", "content_filter"), "refused", None, "400: filtered"),
        (body("<html>busy</html>"), "failed", "not a chat completion", None),
        (
            body('{"choices": [{"message": {}, "finish_reason": null}]}'),
            "failed",
            "neither text nor a finish_reason",
            None,
        ),
        (half, "failed", "RemoteProtocolError", None),
    ],
)
def test_what_becomes_of_a_question_is_in_its_row_and_costs_no_other(
    endpoint: Endpoint, behaviour: Behaviour, outcome: str, said: str | None, kept: str | None
) -> None:
    endpoint.behaviours = {("scores", "Page 1"): itertools.repeat(behaviour)}
    found = ask(endpoint, ["Page 0", "Page 1"])
    row = found.pop(("d1", "scores", None))
    assert (row["status"], row["answer"], row["edu"]) == (outcome, kept, None)
    assert (row["error"] is None) if said is None else (said in row["error"])
    assert {other["status"] for other in found.values()} == {"ok"}
    assert len(found) == 7


def test_answers_that_were_not_plain_json_are_counted(endpoint: Endpoint) -> None:
    mended = says('<think>a page</think>\n{"edu": "3", "format": 1,}')
    endpoint.behaviours = {("scores", "Page 0"): iter([mended]), ("scores", "Page 2"): iter([says("no")])}
    found = ask(endpoint, ["Page 0", "Page 1", "Page 2"], [("scores", None)])
    assert [(row["status"], row["mended"]) for _, row in sorted(found.items())] == [
        ("ok", True),
        ("ok", False),
        ("malformed", None),
    ]


@pytest.mark.parametrize(
    ("message", "finish", "outcome"),
    [
        ({"content": [{"type": "reasoning", "summary": []}, {"type": "text", "text": GOOD}]}, "stop", "ok"),
        ({"content": None, "reasoning_content": f"Let me see. {GOOD}"}, "stop", "ok"),
        ({"content": GOOD, "reasoning_content": '{"edu": 0, "format": 0}'}, "end_turn", "ok"),
        ({"content": GOOD}, "eos_token", "ok"),
        ({"content": GOOD}, None, "ok"),
        ({"content": GOOD}, "MAX_TOKENS", "malformed"),
        ({"content": None, "reasoning_content": "Let me"}, "length", "malformed"),
        ({"content": None}, "SAFETY", "refused"),
        ({"content": "No."}, "refusal", "refused"),
    ],
)
def test_replies_are_read_in_every_servers_form(
    endpoint: Endpoint, message: dict[str, Any], finish: str | None, outcome: str
) -> None:
    answer = {"choices": [{"message": message, "finish_reason": finish}], "usage": {"completion_tokens": -1}}
    endpoint.usual = body(json.dumps(answer))
    (row,) = ask(endpoint, ["Page 0"], [("scores", None)]).values()
    assert row["status"] == outcome
    assert row["output_tokens"] is None
    assert len(endpoint.seen) == 1


def test_a_reply_of_all_its_tokens_that_does_not_say_why_it_ended_was_cut(endpoint: Endpoint) -> None:
    answer = {"choices": [{"message": {"content": '{"edu": 3'}}], "usage": {"completion_tokens": 1024}}
    endpoint.usual = body(json.dumps(answer))
    (row,) = ask(endpoint, ["Page 0"], [("scores", None)]).values()
    assert row["error"] == "the answer was cut off by the token limit"


def test_a_passing_fault_costs_another_attempt_and_is_counted(endpoint: Endpoint) -> None:
    endpoint.behaviours = {("links", "Page 0"): iter([status(429), status(503), scores(1, 1)])}
    found = ask(endpoint, ["Page 0"], [("links", None)])
    # What came in the end was an answer to something else.
    assert [row["status"] for row in found.values()] == ["malformed"]
    assert [row["retries"] for row in found.values()] == [2]


def test_an_answer_that_does_not_come_is_given_up(endpoint: Endpoint) -> None:
    endpoint.behaviours = {("scores", "Page 0"): itertools.repeat(hangs)}
    found = ask(endpoint, ["Page 0", "Page 1"], [("scores", None)], address={"timeout_seconds": 0.5, "retries": 1})
    assert found["d0", "scores", None]["error"] == "sent 2 times, no answer within 0.5 s"
    assert found["d1", "scores", None]["status"] == "ok"


def test_an_endpoint_that_answers_nothing_ends_the_task(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_client, "IN_A_ROW", 3)
    endpoint.usual = status(400, "response_format is not known")
    with pytest.raises(EngineError, match=r"3 requests in a row.*annotate\.structured to false"):
        ask(endpoint, ["Page 0"])
    endpoint.usual = status(404, "no such model")
    with pytest.raises(EngineError, match=r"check annotate\.endpoint\.model"):
        ask(endpoint, ["Page 0"])
    endpoint.usual = status(404, "Not Found")
    with pytest.raises(EngineError, match=r"nothing at /v1/chat/completions .*check annotate\.endpoint\.base_url"):
        ask(endpoint, ["Page 0"])
    endpoint.usual = status(429, "no", "insufficient_quota")
    with pytest.raises(EngineError, match="no quota or credit left"):
        ask(endpoint, ["Page 0"])


def test_filtered_pages_are_refused_rows_and_no_dead_endpoint(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_client, "IN_A_ROW", 3)
    endpoint.usual = status(400, "litellm.ContentPolicyViolationError: it says so", "400")
    found = ask(endpoint, [f"Page {n}" for n in range(5)], [("scores", None)])
    assert {row["status"] for row in found.values()} == {"refused"}


def test_the_key_is_in_no_row_and_no_error(endpoint: Endpoint) -> None:
    endpoint.behaviours = {
        ("scores", "Page 0"): itertools.repeat(says(f"The key is {KEY}")),
        ("links", "Page 0"): itertools.repeat(says(None, refusal=f"Not with {KEY}")),
        ("footer", "Page 0"): itertools.repeat(status(500, f"bad {KEY}")),
    }
    found = ask(endpoint, ["Page 0"])
    assert endpoint.keys == {f"Bearer {KEY}"}
    assert KEY[:8] not in repr(found)
    assert found["d0", "scores", None]["answer"] == "The key is ***"
    endpoint.usual = status(401, f"{KEY} is no good")
    with pytest.raises(EngineError, match=r"\*\*\* is no good") as raised:
        ask(endpoint, ["Page 1"])
    assert KEY not in str(raised.value)


def test_a_long_page_is_asked_about_by_chunk_with_numbers_of_the_document(endpoint: Endpoint) -> None:
    text = "\n".join([f"Page {n} {'x' * 40}" for n in range(6)])
    found = ask(endpoint, [text], [("navigation", None)], chunk_characters=120)
    covered = [(row["line_start"], row["line_end"]) for _, row in sorted(found.items())]
    assert covered == [(0, 1), (2, 3), (4, 5)]
    assert sorted(page(asked)[:11] for asked in endpoint.seen) == ["[000] Page ", "[002] Page ", "[004] Page "]
    # One of them again.
    again = ask(endpoint, [text], [("navigation", 1)], chunk_characters=120)
    assert list(again) == [("d0", "navigation", 1)]


def test_a_long_document_is_cut_before_it_is_scored(endpoint: Endpoint) -> None:
    ask(endpoint, ["y" * 500], [("scores", None)], document_characters=100)
    assert page(endpoint.seen[0]) == "y" * 100


def test_nothing_to_send_is_a_row_too(endpoint: Endpoint) -> None:
    found = ask(endpoint, [None, " \n ", "z" * 200], chunk_characters=100)
    skipped = {key for key, row in found.items() if row["status"] == "skipped"}
    assert skipped == {(d, task, None) for d in ("d0", "d1") for task in TASKS} | {
        ("d2", t, None) for t in PROGRAM_TASKS
    }
    assert found["d2", "scores", None]["status"] == "ok"
    assert len(endpoint.seen) == 1


def test_without_a_schema_the_prompt_alone_asks_for_json(endpoint: Endpoint) -> None:
    endpoint.about = lambda payload: None
    endpoint.usual = program("keep_chunk()")
    found = ask(endpoint, ["Page 0"], [("footer", None)], structured=False, parameters={"max_completion_tokens": 9})
    assert [row["status"] for row in found.values()] == ["ok"]
    (asked,) = endpoint.seen
    assert {"model", "messages", "max_completion_tokens"} == asked.keys()
