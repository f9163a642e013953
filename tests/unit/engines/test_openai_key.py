"""The key goes to the endpoint and nowhere else."""

import itertools
import traceback
from collections.abc import Iterator

import pytest
from endpoint import Endpoint, status
from openai_helpers import ask, engine, letters, requests, settings
from pydantic import ValidationError

from prox_spark.engines.endpoint.engine import OpenaiEngine
from prox_spark.errors import EngineError

KEY = "sk-very-secret-0123"


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
    "url",
    [
        "host:8000/v1",
        "ftp://host",
        "http://",
        f"https://me:{KEY}@host",
        f"https://h?key={KEY}",
        "http://h/v1/chat/completions",
    ],
)
def test_an_address_is_checked_and_holds_no_key(url: str) -> None:
    with pytest.raises(ValidationError):
        settings(url)
