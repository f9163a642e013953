"""Any OpenAI-compatible endpoint as an engine: asked from the Spark task itself, many requests at a time."""

from collections.abc import Callable, Iterator
from typing import Any

import anyio
import openai

from prox_spark.config.engines import OpenaiSettings
from prox_spark.engines.endpoint import answers as endpoint_answers
from prox_spark.engines.endpoint.client import AgainError, Endpoint
from prox_spark.engines.endpoint.forms import Form, fields
from prox_spark.engines.endpoint.probe import find_form
from prox_spark.engines.protocol import Completion, Request, Usage


class OpenaiEngine:
    """The endpoint that ``settings`` name; ``decode`` gives the text of token ids as the refiner's tokenizer has it.

    ``form`` is how the endpoint is asked; if it is not given, the first request finds out. Nothing else is kept between
    streams. Raises ``EngineError`` for a key that no header can carry.
    """

    def __init__(
        self, settings: OpenaiSettings, decode: Callable[[list[int]], str], *, form: Form | None = None
    ) -> None:
        self._settings = settings
        self._decode = decode
        self._endpoint = Endpoint(
            settings,
            section="engine",
            hint="if it rejects token ids, set engine.prompt to text; if it rejects or ignores grammars, set grammar to false",
        )
        self._form = form
        self._finding = anyio.Lock()
        self._failures: list[AgainError] = []

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """See ``Endpoint.stream``. Raises ``EngineError`` for an endpoint that cannot be asked in any form, too."""
        # Each stream has an event loop of its own, and a lock belongs to one.
        self._finding = anyio.Lock()
        return self._endpoint.stream(requests, self._attempt, _failed)

    def usage(self) -> Usage:
        """See ``Engine``: of this task alone; a request that waits to be sent again is in flight."""
        return self._endpoint.usage()

    def close(self) -> None:
        """A stream's end has closed everything."""

    async def _attempt(self, client: openai.AsyncOpenAI, request: Request) -> Completion:
        form = self._form or await self._find(client, request)
        return endpoint_answers.completion(request, await self._send(client, request, form), self._decode, form)

    async def _find(self, client: openai.AsyncOpenAI, request: Request) -> Form:
        """The endpoint's form; one request finds it while the others wait, and a passing failure is every waiting one's."""
        known = len(self._failures)
        async with self._finding:
            if self._form is None:
                if len(self._failures) > known:
                    last = self._failures[-1]
                    raise AgainError(str(last), wait=last.wait, unreachable=last.unreachable)
                try:
                    self._form = await find_form(
                        lambda probe, form: self._send(client, probe, form),
                        request,
                        Form(self._settings.prompt),
                        self._decode,
                        self._endpoint.where,
                    )
                except AgainError as error:
                    self._failures.append(error)
                    raise
            return self._form

    async def _send(self, client: openai.AsyncOpenAI, request: Request, form: Form) -> bytes:
        create: Any
        body = {"model": self._settings.model, "extra_body": fields(request, form)}
        ids = request.token_ids or []
        if form.prompt == "chat":
            create = client.chat.completions.with_raw_response.create
            message = {"role": "user", "content": self._decode(ids)}
            return await self._endpoint.send(lambda: create(messages=[message], **body))
        prompt = self._decode(ids) if form.prompt == "text" else ids
        create = client.completions.with_raw_response.create
        return await self._endpoint.send(lambda: create(prompt=prompt, **body))


def _failed(request: Request, reason: str) -> Completion:
    return Completion(id=request.id, finish="error", error=reason)
