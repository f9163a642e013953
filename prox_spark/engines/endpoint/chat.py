"""Conversations with a model behind an OpenAI-compatible chat endpoint: messages in, one reply out, held to a JSON schema.

The caller interprets the text of a reply; a refusal is also a reply.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import openai

from prox_spark.config.engines import EndpointSettings
from prox_spark.engines.endpoint import reading
from prox_spark.engines.endpoint.client import Endpoint, RefusedError
from prox_spark.engines.protocol import Usage


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation (``role`` and ``content`` of each message) to be continued, and the reply's form in JSON schema."""

    id: int
    messages: tuple[Mapping[str, str], ...]
    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to the request of the same ``id``.

    ``outcome``: ``text`` (the model's whole reply in ``text``), ``cut`` (the token limit cut it off), ``refused`` (by the
    model or by the endpoint's filter; ``text`` is what was said, if anything), ``failed`` (no reply: ``error`` says why).
    """

    id: int
    outcome: Literal["text", "cut", "refused", "failed"]
    text: str | None = None
    error: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None


class ChatEngine:
    """The chat endpoint that ``settings`` name.

    ``structured``: whether the schema goes along as ``response_format``; ``parameters`` are added to the body of every
    request. ``section`` is the configuration section, for messages.
    Raises ``EngineError`` for a key that no header can carry.
    """

    def __init__(
        self, settings: EndpointSettings, *, structured: bool, parameters: Mapping[str, Any], section: str
    ) -> None:
        self._settings = settings
        self._structured = structured
        self._parameters = dict(parameters)
        self._endpoint = Endpoint(
            settings,
            section=f"{section}.endpoint",
            hint=f"without support of response_format set {section}.structured to false; if it rejects a field, change "
            f"{section}.parameters",
        )

    def stream(self, requests: Iterator[ChatRequest]) -> Iterator[Reply]:
        """See ``Endpoint.stream``."""
        return self._endpoint.stream(requests, self._attempt, _failed)

    def usage(self) -> Usage:
        """See ``Endpoint.usage``."""
        return self._endpoint.usage()

    async def _attempt(self, client: openai.AsyncOpenAI, request: ChatRequest) -> Reply:
        more = dict(self._parameters)
        if self._structured:
            held = {"name": request.name, "schema": request.schema, "strict": True}
            more["response_format"] = {"type": "json_schema", "json_schema": held}
        create: Any = client.chat.completions.with_raw_response.create
        asked = {"model": self._settings.model, "messages": request.messages, "extra_body": more}
        try:
            body = await self._endpoint.send(lambda: create(**asked))
        except RefusedError as error:
            if not error.filtered:
                raise
            return Reply(request.id, "refused", str(error))
        limits = (self._parameters.get(name) for name in ("max_tokens", "max_completion_tokens"))
        found = reply(request.id, body, next((limit for limit in limits if isinstance(limit, int)), None))
        return found if found.text is None else replace(found, text=self._endpoint.without_key(found.text))


def reply(number: int, body: bytes, max_tokens: int | None = None) -> Reply:
    """What an answer's body says; ``max_tokens`` tells a cut where the server does not. Raises ``UnusableError``."""
    read = reading.read_body(body, "chat completion")
    choice, used = read.choices[0], read.usage or reading.Used()
    tokens = {"prompt_tokens": used.prompt_tokens, "output_tokens": used.completion_tokens}
    declined, said = reading.refusal(choice), reading.said(choice)
    finish = reading.finish(read, max_tokens)
    if declined or finish == "filtered":
        return Reply(number, "refused", declined or said, None, **tokens)
    return Reply(number, "cut" if finish == "length" else "text", said, None, **tokens)


def _failed(request: ChatRequest, reason: str) -> Reply:
    return Reply(request.id, "failed", error=reason)
