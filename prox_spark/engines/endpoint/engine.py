"""Any OpenAI-compatible endpoint as an engine: asked from the Spark task itself, many requests at a time."""

from collections.abc import Callable, Iterator
from typing import Any

import anyio
import openai

from prox_spark.config.engines import OpenaiSettings
from prox_spark.engines.endpoint import answers as endpoint_answers
from prox_spark.engines.endpoint import batch, forms
from prox_spark.engines.endpoint.client import AgainError, Endpoint, FailedError, UnusableError
from prox_spark.engines.endpoint.faults import Fault
from prox_spark.engines.endpoint.forms import Form
from prox_spark.engines.endpoint.probe import find_form
from prox_spark.engines.protocol import Completion, Request, Usage
from prox_spark.errors import EngineError

_BATCHES_IN_FLIGHT = 2
"""One is filled while another waits; each is held in memory."""


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
        return self._in_batches(requests) if self._settings.batch else self._one_by_one(requests)

    def usage(self) -> Usage:
        """See ``Engine``: of this task alone; a request that waits to be sent again is in flight."""
        return self._endpoint.usage()

    def close(self) -> None:
        """A stream's end has closed everything."""

    def _one_by_one(self, requests: Iterator[Request]) -> Iterator[Completion]:
        # Each stream has an event loop of its own, and a lock belongs to one.
        self._finding = anyio.Lock()
        return self._endpoint.stream(requests, self._attempt, _failed)

    def _in_batches(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """Through the provider's batch API, but for too few requests to wait for."""
        few: list[Request] = []

        def many() -> Iterator[list[Request]]:
            for group in batch.groups(requests):
                if len(group) < batch.FEWEST:
                    few.extend(group)
                else:
                    yield group

        self._finding = anyio.Lock()
        found = self._endpoint.stream(
            many(),
            self._attempt_batch,
            lambda group, reason: [_failed(request, reason) for request in group],
            most=_BATCHES_IN_FLIGHT,
            patience=batch.LONGEST_SECONDS,
        )
        for completions in found:
            yield from completions
        if few:
            yield from self._one_by_one(iter(few))

    async def _attempt_batch(self, client: openai.AsyncOpenAI, requests: list[Request]) -> list[Completion]:
        form = self._form or await self._find(client, requests[0])
        path = "/v1/chat/completions" if form.prompt == "chat" else "/v1/completions"
        model = self._settings.model
        asked = [batch.line(path, forms.body(request, form, model, self._decode)) for request in requests]
        answers = await batch.Batches(self._endpoint, client, model).answer(path, {line.id: line for line in asked})
        found = [self._read(request, answers[line.id], form) for request, line in zip(requests, asked, strict=True)]
        if all(isinstance(one, FailedError) and not one.filtered for one in found):
            raise EngineError(
                f"{self._endpoint.where} failed all {len(found)} requests of a batch; last error: {found[-1]}"
            )
        return [
            _failed(request, str(one)) if isinstance(one, FailedError) else one
            for request, one in zip(requests, found, strict=True)
        ]

    def _read(self, request: Request, answer: bytes | Fault, form: Form) -> Completion | FailedError:
        """What a batch has for a request. Raises what concerns every request."""
        if isinstance(answer, Fault):
            error = self._endpoint.failure(answer)
            if isinstance(error, FailedError):
                return error
            raise error
        try:
            return endpoint_answers.completion(request, answer, self._decode, form)
        except UnusableError as error:
            return FailedError(self._endpoint.clean(str(error)), filtered=error.filtered)

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
        body = forms.body(request, form, self._settings.model, self._decode)
        create: Any = client.completions if form.prompt != "chat" else client.chat.completions
        asked = {name: body.pop(name) for name in ("model", "messages", "prompt") if name in body}
        return await self._endpoint.send(lambda: create.with_raw_response.create(**asked, extra_body=body))


def _failed(request: Request, reason: str) -> Completion:
    return Completion(id=request.id, finish="error", error=reason)
