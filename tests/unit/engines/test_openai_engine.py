"""The openai engine against a real HTTP server that misbehaves on demand. A prompt's first token id says how."""

import itertools
import json
import re
import shutil
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from endpoint import Behaviour, Endpoint, Handler, body, half, hangs, serving, status, trickles
from pydantic import TypeAdapter, ValidationError

from prox_spark.config.engines import EngineSettings, OpenaiSettings, VllmSettings
from prox_spark.config.models import ChunkConfig, DocumentConfig
from prox_spark.engines.endpoint import client as openai_client
from prox_spark.engines.endpoint.engine import OpenaiEngine
from prox_spark.engines.protocol import Completion, Request
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import EngineError, RefinerError
from prox_spark.generation.kinds import load_refiner
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.refiner import fingerprint
from prox_spark.generation.task import generate_programs
from prox_spark.generation.tokens import PromptTokenizer

KEY = "sk-very-secret-0123"
KEEP, DROP = 11, 4


def answers(text: str | None = None, *, usage: int = 3, finish: str | None = "stop", **more: Any) -> Behaviour:
    """A good answer that names the prompt's first token, or holds ``text``."""

    def behave(handler: Handler, payload: dict[str, Any]) -> None:
        said = f"program {payload['prompt'][0]}" if text is None else text
        choice = {"index": 0, "text": said, "finish_reason": finish, "logprobs": None, **more}
        body = {"choices": [choice], "usage": {"completion_tokens": usage}}
        handler.say(200, json.dumps(body).encode())

    return behave


def decides(tokens: dict[str, float]) -> Behaviour:
    return answers("x", logprobs={"tokens": ["x"], "token_logprobs": [-1.0], "top_logprobs": [tokens]})


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving(lambda payload: payload["prompt"][0], answers()) as server:
        yield server


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_client, "_FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = "A page has a menu, some prose, a cookie banner and a footer.\nremove_lines keep_doc drop_doc untouch_doc\n"
    return build_tiny_model(tmp_path_factory.mktemp("tiny"), [text * 3])


def settings(url: str, **more: Any) -> OpenaiSettings:
    return OpenaiSettings(**{"kind": "openai", "model": "m", "base_url": url, "refiner": "r", "retries": 2, **more})


def letters(ids: list[int]) -> str:
    return "".join(chr(96 + token) for token in ids)


def engine(endpoint: Endpoint, **more: Any) -> OpenaiEngine:
    return OpenaiEngine(settings(endpoint.url, **more), letters)


def requests(*firsts: int, **more: Any) -> Iterator[Request]:
    """One request for each first token id, with that as its own id."""
    return (Request(id=n, stage="chunk", text="", token_ids=[n, 1], max_tokens=9, **more) for n in firsts)


def ask(used: OpenaiEngine, *firsts: int, **more: Any) -> dict[int, Completion]:
    found = list(used.stream(requests(*firsts, **more)))
    assert sorted(completion.id for completion in found) == sorted(firsts)
    return {completion.id: completion for completion in found}


# Answers


def test_a_text_comes_with_its_count_of_tokens_and_its_end(endpoint: Endpoint) -> None:
    endpoint.behaviours = {2: iter([answers("cut", usage=9, finish="length")])}
    found = ask(engine(endpoint), 1, 2)
    assert found[1] == Completion(id=1, output="program 1", output_tokens=3)
    assert found[2] == Completion(id=2, output="cut", output_tokens=9, finish="length")
    # Both are in flight at once: which arrives first is not said.
    assert sorted((a["model"], a["prompt"], a["max_tokens"], a["temperature"]) for a in endpoint.seen) == [
        ("m", [1, 1], 9, 0.0),
        ("m", [2, 1], 9, 0.0),
    ]


def test_token_ids_are_preferred_where_the_endpoint_gives_them(endpoint: Endpoint) -> None:
    endpoint.usual = answers(token_ids=[7, 8], logprobs={"token_logprobs": [-0.5, -0.25]})
    found = ask(engine(endpoint), 1)
    assert found[1] == Completion(id=1, token_ids=[7, 8], token_logprobs=[-0.5, -0.25])
    endpoint.usual = answers(token_ids=[7, 8], logprobs={"token_logprobs": [-0.5]})
    assert ask(engine(endpoint), 1)[1].token_logprobs is None


def test_prompts_go_as_text_where_that_is_wanted(endpoint: Endpoint) -> None:
    endpoint.usual = answers("fine")
    assert ask(engine(endpoint, prompt="text"), 3)[3].output == "fine"
    assert endpoint.seen[0]["prompt"] == "ca"


def test_a_grammar_is_sent_along(endpoint: Endpoint) -> None:
    ask(engine(endpoint), 1, grammar="root ::= 'x'")
    assert endpoint.seen[0]["structured_outputs"] == {"grammar": "root ::= 'x'"}


def test_answers_come_in_any_order(endpoint: Endpoint) -> None:
    others = threading.Event()

    def late(handler: Handler, payload: dict[str, Any]) -> None:
        others.wait(60)
        answers()(handler, payload)

    endpoint.behaviours = {1: iter([late])}
    order = []
    for completion in engine(endpoint).stream(requests(1, 2, 3)):
        order.append(completion.id)
        if len(order) == 2:
            others.set()
    assert sorted(order[:2]) == [2, 3]
    assert order[2] == 1


def test_no_more_than_max_in_flight_are_unanswered_and_no_fewer_either(endpoint: Endpoint) -> None:
    together, now, most = threading.Barrier(4), 0, 0

    def counted(handler: Handler, payload: dict[str, Any]) -> None:
        nonlocal now, most
        with endpoint.lock:
            now += 1
            most = max(most, now)
        together.wait(60)  # Nobody is answered before four have asked.
        with endpoint.lock:
            now -= 1
        answers()(handler, payload)

    endpoint.usual = counted
    pulled: list[int] = []
    done: list[int] = []
    threads = set()

    def source() -> Iterator[Request]:
        for request in requests(*range(1, 21)):
            assert len(pulled) - len(done) < 4
            pulled.append(request.id)
            threads.add(threading.get_ident())
            yield request

    for completion in engine(endpoint, max_in_flight=4).stream(source()):
        done.append(completion.id)
    assert sorted(done) == list(range(1, 21))
    assert most == 4
    assert threads == {threading.get_ident()}


def test_an_abandoned_stream_leaves_nothing_behind(endpoint: Endpoint) -> None:
    endpoint.behaviours = {1: iter([hangs])}
    before = set(threading.enumerate())
    stream = engine(endpoint).stream(requests(1, 2))
    assert next(stream).id == 2
    stream.close()  # type: ignore[attr-defined]
    assert not [thread for thread in set(threading.enumerate()) - before if "portal" in thread.name]


# Faults of one request


@pytest.mark.parametrize(
    "fault",
    [status(500), status(503), status(408), body("<html>busy</html>"), body('{"choices": []}'), body("[1]"), half],
)
def test_a_passing_fault_costs_another_attempt(endpoint: Endpoint, fault: Behaviour) -> None:
    endpoint.behaviours = {1: iter([fault])}
    used = engine(endpoint)
    assert {completion.output for completion in ask(used, 1, 2).values()} == {"program 1", "program 2"}
    assert used.usage().retries == 1


def test_retry_after_is_honoured(endpoint: Endpoint) -> None:
    opens: list[float] = []

    def busy(handler: Handler, payload: dict[str, Any]) -> None:
        """Whoever comes before the time that was named is turned away again."""
        if not opens:
            opens.append(time.monotonic() + 0.3)
        if time.monotonic() < opens[0]:
            status(429, Retry_After="0.3")(handler, payload)
        else:
            answers("open")(handler, payload)

    endpoint.usual = busy
    assert ask(engine(endpoint, retries=1), 1)[1].output == "open"


def test_retry_after_is_a_number_or_a_date_and_never_endless() -> None:
    read = openai_client._asked_wait
    assert read({"retry-after": "7"}) == 7
    assert read({"retry-after": "86400"}) == read({"retry-after": "Fri, 31 Dec 2100 23:59:59 GMT"}) == 120
    for useless in ("Wed, 21 Oct 2015 07:28:00 GMT", "-1", "nan", "inf", "soon", ""):
        assert read({"retry-after": useless}) == 0
    assert read({}) == 0


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (status(500, "out of memory"), "sent 3 times, 500: out of memory"),
        (status(429, "slow down"), "429: slow down"),
        (body("<html>"), "not a completion"),
        (body('{"choices": [{"text": "x", "finish_reason": "stop", "token_ids": [-1]}]}'), r"choices\.0\.token_ids"),
        (answers(finish="abort"), "abort"),
        (half, "RemoteProtocolError"),
    ],
)
def test_beyond_the_retries_the_request_fails_alone(endpoint: Endpoint, fault: Behaviour, said: str) -> None:
    endpoint.behaviours = {1: itertools.repeat(fault)}
    found = ask(engine(endpoint), 1, 2, 3)
    assert [found[n].finish for n in (1, 2, 3)] == ["error", "stop", "stop"]
    assert re.search(said, found[1].error or "")
    assert len([asked for asked in endpoint.seen if asked["prompt"][0] == 1]) == 3


@pytest.mark.parametrize("fault", [hangs, trickles])
def test_an_answer_that_does_not_come_or_does_not_end_is_given_up(endpoint: Endpoint, fault: Behaviour) -> None:
    endpoint.behaviours = {1: itertools.repeat(fault)}
    found = ask(engine(endpoint, timeout_seconds=0.5, retries=1), 1, 2)
    assert found[1].error == "sent 2 times, no answer within 0.5 s"
    assert found[2].output == "program 2"


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_refused_request_fails_alone_and_is_not_sent_again(endpoint: Endpoint, code: int) -> None:
    used = engine(endpoint)
    ask(used, 9)
    endpoint.behaviours = {1: itertools.repeat(status(code, "too long"))}
    found = ask(used, 1, 2)
    assert found[1] == Completion(id=1, finish="error", error=f"{code}: too long")
    assert found[2].output == "program 2"
    assert used.usage().retries == 0


def test_what_a_filter_stops_is_not_asked_again(endpoint: Endpoint) -> None:
    endpoint.behaviours = {1: iter([answers(finish="content_filter")])}
    found = ask(engine(endpoint), 1)
    assert found[1].finish == "error"
    assert len(endpoint.seen) == 1


# Faults of the endpoint


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (401, "requires an API key .*set OPENAI_API_KEY"),
        (403, "requires an API key"),
        (404, "no model 'm'.*check engine.model"),
        (405, "base_url"),
    ],
)
def test_what_concerns_every_request_ends_the_stream_with_what_to_do(endpoint: Endpoint, code: int, said: str) -> None:
    endpoint.usual = status(code, "not so")
    with pytest.raises(EngineError, match=said) as raised:
        list(engine(endpoint).stream(requests(1, 2, 3)))
    assert f"{code}: not so" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_endpoint_that_is_not_there_is_an_error_of_the_engine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    used = OpenaiEngine(settings(f"http://127.0.0.1:{port}/v1"), letters)
    with pytest.raises(
        EngineError, match=f"127.0.0.1:{port}/v1 cannot be reached .*sent 3 times.*check engine.base_url"
    ):
        list(used.stream(requests(1)))
    assert used.usage().retries == 2


@pytest.mark.parametrize("fault", [status(500, "always"), status(400, "always")])
def test_nothing_but_failures_is_an_error_of_the_engine(
    endpoint: Endpoint, fault: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_client, "IN_A_ROW", 3)
    endpoint.usual = fault
    found = []
    with pytest.raises(EngineError, match=r"failed 3 requests in a row.*always"):
        found += engine(endpoint, max_in_flight=1).stream(requests(*range(1, 10)))
    endpoint.behaviours = {3: iter([answers()]), 5: iter([answers()])}
    assert [c.finish for c in engine(endpoint, max_in_flight=1).stream(requests(*range(1, 7)))].count("error") == 4


def test_an_endpoint_that_refuses_extensions_is_asked_without(endpoint: Endpoint) -> None:
    def plain(handler: Handler, payload: dict[str, Any]) -> None:
        known = {"model", "prompt", "max_tokens", "temperature", "logprobs", "structured_outputs"}
        unknown = payload.keys() - known
        (status(400, f"unknown: {unknown}") if unknown else answers())(handler, payload)

    endpoint.usual = plain
    used = engine(endpoint, max_in_flight=1)
    found = ask(used, 1, 2, 3, grammar="root ::= 'x'")
    assert {completion.output for completion in found.values()} == {"program 1", "program 2", "program 3"}
    assert len(endpoint.seen) == 4
    assert all("structured_outputs" in asked for asked in endpoint.seen)


# Decisions


@pytest.mark.parametrize(
    ("tokens", "score"),
    [
        ({"token_id:11": -0.5, "token_id:4": -0.5, "token_id:9": -0.1}, 0.5),
        ({"k": -1.0, "d": -3.0}, 1 / (1 + 2.718281828 ** (-2))),
        ({"k": -1.0, "z": -2.0, "y": -3.0}, 1 / (1 + 2.718281828 ** (-2))),
        ({"d": -1.0, "z": -2.0}, 1 / (1 + 2.718281828)),
        ({"k": -9999.0, "d": 0.0}, 0.0),
    ],
)
def test_the_two_words_decide_and_a_missing_one_is_taken_at_its_bound(
    endpoint: Endpoint, tokens: dict[str, float], score: float
) -> None:
    endpoint.usual = decides(tokens)
    found = ask(engine(endpoint), 1, decision=(KEEP, DROP))
    assert found[1].keep_score == pytest.approx(score)
    assert (endpoint.seen[0]["max_tokens"], endpoint.seen[0]["logprob_token_ids"]) == (1, [KEEP, DROP])


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [(decides({"x": -1.0}), "neither 'k' nor 'd'"), (answers(), "no log-probabilities")],
)
def test_no_word_is_no_decision(endpoint: Endpoint, behaviour: Behaviour, said: str) -> None:
    endpoint.usual = behaviour
    found = ask(engine(endpoint), 1, decision=(KEEP, DROP))
    assert found[1].finish == "error"
    assert said in (found[1].error or "")
    assert len(endpoint.seen) == 1


# The key


def test_the_key_reaches_the_endpoint_and_nothing_else(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    used = engine(endpoint, api_key_variable="MY_KEY")
    long = "x" * 290 + KEY  # The cut must not leave a part of it.
    endpoint.behaviours = {1: itertools.repeat(status(400, long)), 2: itertools.repeat(status(500, f"for {KEY}"))}
    found = ask(used, 1, 2, 3)
    assert endpoint.keys == {f"Bearer {KEY}"}
    endpoint.usual = status(401, f"{KEY} is no good")
    with pytest.raises(EngineError, match=r"rejects the key in MY_KEY \(401: \*\*\* is no good\)") as raised:
        list(used.stream(requests(4)))
    shown = [
        repr(used),
        repr(found),
        "".join(traceback.format_exception(raised.value)),
        *map(repr, chain(raised.value)),
    ]
    assert not [text for text in shown if KEY[:8] in text]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and everything that hangs on it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_without_the_variable_a_placeholder_is_sent(endpoint: Endpoint) -> None:
    ask(engine(endpoint), 1)
    assert endpoint.keys == {"Bearer none"}


def test_a_key_that_no_header_can_carry_is_refused_unshown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nmore")
    with pytest.raises(EngineError, match="OPENAI_API_KEY is not a valid API key") as raised:
        OpenaiEngine(settings("http://127.0.0.1/v1"), letters)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["host:8000/v1", "ftp://host", "http://", f"https://me:{KEY}@host", f"https://h?key={KEY}"]
)
def test_an_address_is_checked_and_holds_no_key(url: str) -> None:
    with pytest.raises(ValidationError):
        settings(url)


# Planning, and whole rows


def test_use_is_counted(endpoint: Endpoint) -> None:
    endpoint.behaviours = {1: iter([status(500), status(500)])}
    used = engine(endpoint)
    ask(used, 1, 2)
    ask(used, 3)
    usage = used.usage()
    assert (usage.retries, usage.restarts) == (2, 0)
    assert 0 < usage.busy_seconds <= usage.seconds


def test_the_kind_is_read_from_a_configuration() -> None:
    given = {"kind": "openai", "model": "m", "base_url": "http://h/v1", "refiner": "r"}
    read = TypeAdapter(EngineSettings).validate_python(given)
    assert isinstance(read, OpenaiSettings)
    assert (read.max_in_flight, read.timeout_seconds, read.retries, read.prompt) == (64, 120, 6, "token_ids")


@pytest.fixture
def refiner(tiny: Path, tmp_path: Path) -> Path:
    """The refiner's own files, without weights."""
    folder = Path(shutil.copytree(tiny, tmp_path / "refiner"))
    (folder / "model.safetensors").unlink()
    return folder


def test_weights_are_not_needed_and_the_endpoints_model_is_in_the_fingerprint(refiner: Path, tiny: Path) -> None:
    one = fingerprint(load_refiner("chunk", settings("http://a/v1", refiner=str(refiner))))
    assert fingerprint(load_refiner("chunk", settings("http://b/v1", refiner=str(tiny)))) == one
    others = [
        settings("http://a/v1", refiner=str(refiner), model="n"),
        settings("http://a/v1", refiner=str(refiner), prompt="text"),
        VllmSettings(kind="vllm", model=str(tiny)),
    ]
    assert len({one, *(fingerprint(load_refiner("chunk", other)) for other in others)}) == 4


def test_a_token_classifier_is_refused_at_planning(refiner: Path) -> None:
    stage = {"template": "lines/1", "window": 100, "label": "keep"}
    (refiner / "refiner.json").write_text(json.dumps({"name": "x", "context": 2048, "chunk": stage}))
    config = json.loads((refiner / "config.json").read_text())
    (refiner / "config.json").write_text(json.dumps({**config, "id2label": {"0": "drop", "1": "keep"}}))
    with pytest.raises(RefinerError, match=r"token classifier.*vllm or transformers"):
        plan_stage("chunk", ChunkConfig(engine=settings("http://a/v1", refiner=str(refiner))))


def test_rows_have_confidences_where_there_are_ids_and_counts_where_there_are_none(
    endpoint: Endpoint, refiner: Path
) -> None:
    program = "remove_lines(start=0, end=0)"
    ids = PromptTokenizer(refiner).pieces([program])[0].tolist()
    columns = {"doc_id": ["d"], "content_hash": ["h"], "unit": pa.array([0], pa.int64()), "text": ["Menu\nA page."]}
    batch = pa.RecordBatch.from_pydict(columns)

    def row(stage: str) -> dict[str, Any]:
        used = settings(endpoint.url, refiner=str(refiner))
        config = ChunkConfig(engine=used) if stage == "chunk" else DocumentConfig(engine=used)
        (out,) = generate_programs(iter([batch]), plan_stage(stage, config))  # type: ignore[arg-type]
        return dict(out.to_pylist()[0])

    endpoint.usual = answers(program, token_ids=ids, logprobs={"token_logprobs": [-0.01] * len(ids)})
    found = row("chunk")
    assert (found["status"], found["output"], found["output_tokens"]) == ("ok", program, len(ids))
    assert 0.5 < found["calls"][0]["confidence"] < 1
    endpoint.usual = answers(program, usage=17)
    found = row("chunk")
    assert (found["status"], found["output"], found["output_tokens"]) == ("ok", program, 17)
    assert found["calls"][0]["confidence"] is None
    keep, drop = PromptTokenizer(refiner).decision_ids(("keep", "drop"))
    endpoint.usual = decides({f"token_id:{keep}": -1.0, f"token_id:{drop}": -1.0})
    found = row("document")
    assert (found["status"], found["keep_score"], found["output_tokens"]) == ("ok", 0.5, 0)
