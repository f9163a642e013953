"""An openai engine before a loopback server that answers as told. A prompt's first token id says how."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from endpoint import Behaviour, Endpoint, Handler

from prox_spark.config.engines import OpenaiSettings
from prox_spark.engines.endpoint.engine import OpenaiEngine
from prox_spark.engines.endpoint.forms import Form
from prox_spark.engines.protocol import Completion, Request

KEEP, DROP = 11, 4
KNOWN = Form(grammar="structured_outputs")
"""A server that takes all that vLLM's does."""


def answers(text: str | None = None, *, usage: Any = 3, finish: Any = "stop", **more: Any) -> Behaviour:
    """A good answer that names the prompt's first token, or holds ``text``."""

    def behave(handler: Handler, payload: dict[str, Any]) -> None:
        said = f"program {payload['prompt'][0]}" if text is None else text
        choice = {"index": 0, "text": said, "finish_reason": finish, "logprobs": None, **more}
        handler.say(200, json.dumps({"choices": [choice], "usage": {"completion_tokens": usage}}).encode())

    return behave


def decides(tokens: dict[str, float]) -> Behaviour:
    return answers("x", logprobs={"tokens": ["x"], "token_logprobs": [-1.0], "top_logprobs": [tokens]})


def settings(url: str, **more: Any) -> OpenaiSettings:
    return OpenaiSettings(**{"kind": "openai", "model": "m", "base_url": url, "refiner": "r", "retries": 2, **more})


def letters(ids: list[int]) -> str:
    return "".join(chr(96 + token) for token in ids)


def engine(endpoint: Endpoint, form: Form | None = KNOWN, **more: Any) -> OpenaiEngine:
    """An engine that knows its endpoint; with ``None`` it has to find out."""
    if form is not None and "prompt" in more:
        form = replace(form, prompt=more["prompt"])
    return OpenaiEngine(settings(endpoint.url, **more), letters, form=form)


def requests(*firsts: int, **more: Any) -> Iterator[Request]:
    """One request for each first token id, with that as its own id."""
    return (Request(id=n, stage="chunk", text="", token_ids=[n, 1], max_tokens=9, **more) for n in firsts)


def ask(used: OpenaiEngine, *firsts: int, **more: Any) -> dict[int, Completion]:
    found = list(used.stream(requests(*firsts, **more)))
    assert sorted(completion.id for completion in found) == sorted(firsts)
    return {completion.id: completion for completion in found}
