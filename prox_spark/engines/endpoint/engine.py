"""Any OpenAI-compatible completions endpoint as an engine: asked from the Spark task itself, many requests at a time."""

from collections.abc import Callable, Iterator

import openai

from prox_spark.config.engines import OpenaiSettings
from prox_spark.engines.endpoint import answers as endpoint_answers
from prox_spark.engines.endpoint.client import Endpoint, RefusedError
from prox_spark.engines.protocol import Completion, Request, Usage


class OpenaiEngine:
    """The endpoint that ``settings`` name; ``decode`` gives the text of token ids as the refiner's tokenizer has it.

    No state is kept between streams. Raises ``EngineError`` for a key that no header can carry.
    """

    def __init__(self, settings: OpenaiSettings, decode: Callable[[list[int]], str]) -> None:
        self._settings = settings
        self._decode = decode
        self._endpoint = Endpoint(
            settings,
            section="engine",
            hint="if it rejects token ids, set engine.prompt to text; if it rejects grammars, set grammar to false",
        )
        self._extended: bool | None = None

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """See ``Endpoint.stream``."""
        return self._endpoint.stream(requests, self._attempt, _failed)

    def usage(self) -> Usage:
        """See ``Engine``: of this task alone; a request that waits to be sent again is in flight."""
        return self._endpoint.usage()

    def close(self) -> None:
        """A stream's end has closed everything."""

    async def _attempt(self, client: openai.AsyncOpenAI, request: Request) -> Completion:
        """Send a request once; an endpoint that knows no extensions, once more without them."""
        extended = self._extended is not False
        try:
            body = await self._send(client, request, extended)
        except RefusedError:
            if self._extended is not None:
                raise
            # Was the request wrong, or only its extensions? Retrying without them shows.
            self._endpoint.count_retry()
            extended = False
            body = await self._send(client, request, extended)
        if self._extended is None:
            self._extended = extended
        return endpoint_answers.completion(request, body, self._decode)

    async def _send(self, client: openai.AsyncOpenAI, request: Request, extended: bool) -> bytes:
        prompt = self._decode(request.token_ids or []) if self._settings.prompt == "text" else request.token_ids
        asked = endpoint_answers.arguments(request, extended=extended)
        create = client.completions.with_raw_response.create
        return await self._endpoint.send(lambda: create(model=self._settings.model, prompt=prompt or [], **asked))


def _failed(request: Request, reason: str) -> Completion:
    return Completion(id=request.id, finish="error", error=reason)
