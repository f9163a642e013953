"""The loopback server of the openai engine's tests."""

from collections.abc import Iterator

import pytest
from endpoint import Endpoint, serving
from openai_helpers import answers

from prox_spark.engines.endpoint import client


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting before a request is sent again, and no key."""
    monkeypatch.setattr(client, "_FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def endpoint(quick: None) -> Iterator[Endpoint]:
    with serving(lambda payload: payload["prompt"][0] if "prompt" in payload else None, answers()) as server:
        yield server
