"""Faults of a request cost that request alone; faults of the endpoint end the stream with what to do."""

import itertools
import json
import re
import socket
import time
from typing import Any

import pytest
from endpoint import Behaviour, Endpoint, Handler, body, half, hangs, status, trickles
from openai_helpers import DROP, KEEP, KNOWN, answers, ask, engine, letters, requests, settings

from prox_spark.engines.endpoint import client as openai_client
from prox_spark.engines.endpoint.engine import OpenaiEngine
from prox_spark.engines.protocol import Completion
from prox_spark.errors import EngineError


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
    assert read({"retry-after-ms": "1500", "retry-after": "2"}) == 1.5


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


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (401, "requires an API key .*set OPENAI_API_KEY"),
        (402, "no quota or credit left"),
        (403, "denies access .*any proxy before it, and set OPENAI_API_KEY, if it needs a key"),
        (404, r"has nothing at /v1/completions \(.*check engine.base_url and engine.model"),
        (405, "has nothing at /v1/completions"),
        (418, "base_url"),
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


@pytest.mark.parametrize(
    "words",
    [
        "The model `m` does not exist",
        'model "m" not found, try pulling it first',
        "The given endpoint does not exist, please retry after checking the specified model and version deployment exists.",
    ],
)
def test_a_404_that_speaks_of_the_model_is_told_as_that(endpoint: Endpoint, words: str) -> None:
    endpoint.usual = status(404, words)
    with pytest.raises(EngineError, match=r"has no model 'm' \(404: .*check engine\.model"):
        list(engine(endpoint).stream(requests(1)))


MODEL_AT_400 = {
    "LiteLLM": {"message": "/completions: Invalid model name passed in model=m.", "code": "400"},
    "Hugging Face": {"message": "The requested model 'm' is not supported", "code": "model_not_supported"},
    "Groq": {"message": "`m` is no longer served", "code": "model_decommissioned"},
    "OpenRouter": {"message": "m is not a valid model ID", "code": 400},
}


@pytest.mark.parametrize("case", MODEL_AT_400)
def test_a_400_about_the_model_is_told_as_that(endpoint: Endpoint, case: str) -> None:
    endpoint.usual = lambda handler, _: handler.say(400, json.dumps({"error": MODEL_AT_400[case]}).encode())
    with pytest.raises(EngineError, match=r"has no model 'm' \(400: .*check engine\.model"):
        list(engine(endpoint).stream(requests(1)))
    assert len(endpoint.seen) == 1


def test_googles_400_for_a_wrong_key_is_told_as_that(endpoint: Endpoint) -> None:
    said = {"code": 400, "message": "Pass a valid key", "details": [{"reason": "API_KEY_INVALID"}]}
    endpoint.usual = lambda handler, _: handler.say(400, json.dumps([{"error": said}]).encode())
    with pytest.raises(EngineError, match=r"requires an API key \(400: Pass a valid key\)"):
        list(engine(endpoint).stream(requests(1)))


@pytest.mark.parametrize("words", ["nothing: 404 from gateway-m2", "<html>unmarked</html>"])
def test_a_letter_of_the_words_is_no_model(endpoint: Endpoint, words: str) -> None:
    endpoint.usual = status(404, words)
    with pytest.raises(EngineError, match="has nothing at /v1/completions"):
        list(engine(endpoint).stream(requests(1)))


def test_an_answer_of_another_api_is_shown(endpoint: Endpoint) -> None:
    endpoint.behaviours = {1: itertools.repeat(body('{"type": "message", "content": [{"type": "text", "text": "x"}]}'))}
    error = ask(engine(endpoint), 1, 2)[1].error or ""
    assert 'not a completion: choices: Field required: {"type": "message", "content"' in error


def test_a_404_names_the_path_of_a_wrong_base_url(endpoint: Endpoint) -> None:
    endpoint.usual = status(404, "Not Found")
    with pytest.raises(
        EngineError, match=r"has nothing at /v1/api/completions \(404: Not Found\): check engine\.base_url"
    ):
        list(OpenaiEngine(settings(f"{endpoint.url}/api"), letters, form=KNOWN).stream(requests(1)))


def test_a_gateways_page_is_shown_and_no_key_is_promised_to_help(endpoint: Endpoint) -> None:
    page = b"<html><body>Blocked by the company's proxy</body></html>"
    endpoint.usual = lambda handler, _: handler.say(403, page, {"Content-Type": "text/html"})
    with pytest.raises(EngineError, match=r"denies access \(403: .*Blocked by the company's proxy") as raised:
        list(engine(endpoint).stream(requests(1)))
    assert "requires" not in str(raised.value)


QUOTA = {
    "OpenAI": (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
    "OpenAI, type only": (429, {"error": {"message": "no", "type": "insufficient_quota", "code": None}}),
    "LiteLLM": (400, {"error": {"message": "Budget has been exceeded!", "type": "budget_exceeded", "code": "400"}}),
    "Anthropic": (403, {"type": "error", "error": {"type": "billing_error", "message": "no"}}),
    "Anthropic, in words": (
        400,
        {"error": {"type": "invalid_request_error", "message": "Your credit balance is too low to use it"}},
    ),
    "one-api": (403, {"error": {"message": "not enough", "code": "insufficient_user_quota"}}),
    "Moonshot": (429, {"error": {"message": "over", "type": "exceeded_current_quota_error"}}),
    "in a choice": (200, {"choices": [{"text": "", "error": {"message": "no", "code": 402}}]}),
    "DeepSeek": (402, {"error": {"message": "Insufficient Balance"}}),
    "at 200": (200, {"error": {"message": "no money", "code": "insufficient_quota"}}),
}


@pytest.mark.parametrize("case", QUOTA)
def test_out_of_quota_ends_at_once(endpoint: Endpoint, case: str) -> None:
    code, said = QUOTA[case]
    endpoint.usual = lambda handler, _: handler.say(code, json.dumps(said).encode())
    with pytest.raises(EngineError, match="no quota or credit left"):
        list(engine(endpoint, max_in_flight=1).stream(requests(*range(1, 9))))
    assert len(endpoint.seen) == 1


def test_a_rate_is_not_a_quota_though_its_words_say_so(endpoint: Endpoint) -> None:
    """Google answers a rate above the limit so."""
    words = {"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}}
    busy: Behaviour = lambda handler, _: handler.say(429, json.dumps(words).encode())  # noqa: E731
    endpoint.behaviours = {1: iter([busy])}
    used = engine(endpoint)
    assert ask(used, 1)[1].output == "program 1"
    assert used.usage().retries == 1


WORDS_AT_200 = {
    "OpenAI's form": {"error": {"message": "upstream is gone", "code": None}},
    "a string": {"error": "upstream is gone"},
    "vLLM's old form": {"object": "error", "message": "upstream is gone", "type": "internal"},
    "a list": [{"error": {"message": "upstream is gone"}}],
    "Cloudflare": {"success": False, "errors": [{"code": 7003, "message": "upstream is gone"}], "result": None},
    "in a choice": {"choices": [{"message": {"content": ""}, "error": {"message": "upstream is gone"}}]},
    "Databricks": {"error_code": "INTERNAL", "message": "upstream is gone"},
    "choices null": {"choices": None, "error": {"message": "upstream is gone"}},
}


@pytest.mark.parametrize("case", WORDS_AT_200)
def test_an_error_at_status_200_is_told_in_its_own_words_and_sent_again(endpoint: Endpoint, case: str) -> None:
    endpoint.behaviours = {1: itertools.repeat(body(json.dumps(WORDS_AT_200[case])))}
    found = ask(engine(endpoint), 1, 2)
    assert found[1].error == "sent 3 times, 200 with an error: upstream is gone"
    assert found[2].output == "program 2"


def test_a_rate_limit_at_status_200_is_waited_for(endpoint: Endpoint) -> None:
    endpoint.behaviours = {1: iter([body('{"error": {"message": "slow down", "code": 429}}')] * 2)}
    used = engine(endpoint)
    assert ask(used, 1)[1].output == "program 1"
    assert used.usage().retries == 2


def test_a_refusal_at_status_200_is_not_sent_again(endpoint: Endpoint) -> None:
    endpoint.behaviours = {1: iter([body('{"error": {"message": "too long", "code": "400"}}')])}
    assert ask(engine(endpoint), 1)[1].error == "400: too long"
    assert len(endpoint.seen) == 1


FILTERS = {
    "finish_reason": answers(finish="content_filter"),
    "Gemini": answers(finish="SAFETY"),
    "Azure": status(400, "filtered", "content_filter"),
    "LiteLLM": status(400, "litellm.ContentPolicyViolationError: it says so", "400"),
}


@pytest.mark.parametrize("case", FILTERS)
@pytest.mark.parametrize("decision", [None, (KEEP, DROP)])
def test_filtered_pages_are_failed_rows_and_no_dead_endpoint(
    endpoint: Endpoint, case: str, decision: tuple[int, int] | None
) -> None:
    endpoint.usual = FILTERS[case]
    numbers = range(1, openai_client.IN_A_ROW + 4)
    found = ask(engine(endpoint), *numbers, decision=decision)
    assert {completion.finish for completion in found.values()} == {"error"}
    assert len(endpoint.seen) == len(numbers)


def test_a_filter_between_failures_shows_that_the_endpoint_is_alive(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_client, "IN_A_ROW", 3)
    endpoint.usual = status(400, "too long")
    endpoint.behaviours = {n: iter([answers(finish="content_filter")]) for n in (3, 6)}
    assert len(ask(engine(endpoint, max_in_flight=1), *range(1, 9))) == 8
