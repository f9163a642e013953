"""A provider's batch API (``/batches``): requests as a file, answers within a day, at a lower price.

A batch is found again by what is asked in it: its digest is in the provider's own list of batches. So a job that is restarted
waits on where another one stopped, without a record of its own.
"""

import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import anyio
import openai
import orjson
from pydantic import BaseModel, ValidationError

from prox_spark.engines.endpoint import faults
from prox_spark.engines.endpoint.client import AgainError, Endpoint, PathError, UnusableError
from prox_spark.engines.protocol import Request
from prox_spark.errors import EngineError

_log = logging.getLogger(__name__)

LONGEST_SECONDS = 25 * 3600.0
"""A batch is answered, or expires, within 24 hours; then it is fetched."""

_WINDOW: Any = "24h"
"""The only one that there is."""

_MARK = "prox_spark"
"""The entry of a batch's metadata that holds its digest."""

FEWEST = 100
"""Fewer requests than this are not worth hours: a self-test, the rest of a task."""

_MOST_REQUESTS, _MOST_BYTES, _BYTES_PER_TOKEN = 20_000, 50 * 1024**2, 8
"""A task holds a batch in memory; providers take 50,000 requests and 200 MB."""

_OPEN = ("validating", "in_progress", "finalizing", "cancelling")
_MOST_PAGES, _PAGE = 20, 100
_MOST_SILENT_POLLS = 20
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS, _SLOWER = 5.0, 60.0, 1.5


@dataclass(frozen=True, slots=True)
class Line:
    """A request of a batch. ``id`` follows from all else, so that equal requests are asked once."""

    id: str
    text: bytes


def line(path: str, body: Mapping[str, Any]) -> Line:
    """The request that sends ``body`` to ``path``, which begins with ``/v1/``."""
    asked = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    number = hashlib.sha256(path.encode() + b"\n" + asked).hexdigest()[:32]
    text = orjson.dumps({"custom_id": number, "method": "POST", "url": path, "body": orjson.Fragment(asked)})
    return Line(number, text)


M = TypeVar("M", bound=BaseModel)


class _Counts(BaseModel):
    completed: int = 0


class _Batch(BaseModel):
    id: str
    status: str
    metadata: dict[str, Any] | None = None
    request_counts: _Counts | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: Any = None


class _Page(BaseModel):
    data: list[_Batch]
    has_more: bool = False


class _File(BaseModel):
    id: str


class Batches:
    """The batch API of an endpoint whose model is ``model``."""

    def __init__(self, endpoint: Endpoint, client: openai.AsyncOpenAI, model: str) -> None:
        self._endpoint = endpoint
        self._client = client
        self._model = model

    async def answer(self, path: str, lines: Mapping[str, Line]) -> dict[str, bytes | faults.Fault]:
        """The body of the answer to each line, or why there is none, by the line's id.

        Waits for a batch of the same lines, if there is one, else submits one. Raises ``EngineError`` where the provider has
        no batches, rejects this one, or does not finish it; ``AgainError`` where it cannot be asked at the moment.
        """
        digest = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
        known = await self._find(digest)
        if known is not None:
            try:
                return await self._collect(known, lines)
            except PathError as error:
                _log.info("%s: the files of batch %s are gone (%s)", self._endpoint.where, known.id, error.said)
        return await self._collect(await self._submit(path, lines, digest), lines)

    async def _collect(self, batch: _Batch, lines: Mapping[str, Line]) -> dict[str, bytes | faults.Fault]:
        batch = await self._wait(batch)
        if batch.status == "failed":
            said = self._endpoint.clean(faults.words(batch.errors) or "no reason given")
            raise EngineError(f"{self._endpoint.where} rejects the batch {batch.id}: {said}")
        found = {number: answer for number, answer in await self._answers(batch) if number in lines}
        missing = faults.Fault(
            "again", f"the batch {batch.id} ended as {batch.status} without an answer to this request"
        )
        return {number: found.get(number, missing) for number in lines}

    async def _find(self, digest: str) -> _Batch | None:
        """The newest batch of these lines that is under way, or that has answers."""
        after: Any = openai.omit
        listed = self._client.batches.with_raw_response.list
        for _ in range(_MOST_PAGES):
            page = await self._read(_Page, partial(listed, limit=_PAGE, after=after))
            for batch in page.data:
                if (batch.metadata or {}).get(_MARK) != digest:
                    continue
                answered = batch.request_counts is not None and batch.request_counts.completed > 0
                if batch.status in _OPEN or (batch.status == "completed" and answered):
                    _log.info("%s: waiting for batch %s, which is %s", self._endpoint.where, batch.id, batch.status)
                    return batch
            if not page.has_more or not page.data:
                return None
            after = page.data[-1].id
        return None

    async def _submit(self, path: str, lines: Mapping[str, Line], digest: str) -> _Batch:
        content = b"\n".join(one.text for one in lines.values()) + b"\n"
        upload, create = self._client.files.with_raw_response.create, self._client.batches.with_raw_response.create
        name = f"{_MARK}-{digest[:16]}.jsonl"
        file = await self._read(_File, partial(upload, file=(name, content), purpose="batch"))
        where: Any = path
        batch = await self._read(
            _Batch,
            partial(create, input_file_id=file.id, endpoint=where, completion_window=_WINDOW, metadata={_MARK: digest}),
        )
        _log.info("%s: submitted batch %s of %d requests", self._endpoint.where, batch.id, len(lines))
        return batch

    async def _wait(self, batch: _Batch) -> _Batch:
        """The batch once it has ended. A provider that is silent for a while costs nothing but time."""
        deadline = time.monotonic() + LONGEST_SECONDS
        pause, silent = _FIRST_POLL_SECONDS, 0
        retrieve = self._client.batches.with_raw_response.retrieve
        while batch.status in _OPEN:
            if time.monotonic() >= deadline:
                raise EngineError(
                    f"{self._endpoint.where}: the batch {batch.id} is {batch.status} after {LONGEST_SECONDS / 3600:.0f} h; "
                    "run again to wait for it, or cancel it there"
                )
            await anyio.sleep(pause)
            pause = min(pause * _SLOWER, _LONGEST_POLL_SECONDS)
            try:
                batch = await self._read(_Batch, partial(retrieve, batch.id))
                silent = 0
            except AgainError:
                silent += 1
                if silent > _MOST_SILENT_POLLS:
                    raise
        return batch

    async def _answers(self, batch: _Batch) -> list[tuple[str, bytes | faults.Fault]]:
        found: list[tuple[str, bytes | faults.Fault]] = []
        content = self._client.files.with_raw_response.content
        for file in filter(None, (batch.output_file_id, batch.error_file_id)):
            lines = await self._endpoint.fetch(partial(content, file))
            found.extend(filter(None, map(self._answer, lines.splitlines())))
        return found

    def _answer(self, text: bytes) -> tuple[str, bytes | faults.Fault] | None:
        """A line of an output or error file; ``None`` where it cannot be told whose it is."""
        try:
            said = orjson.loads(text)
            number, response, error = str(said["custom_id"]), said.get("response"), said.get("error")
        except (ValueError, TypeError, KeyError):
            return None
        if not isinstance(response, dict):
            return number, faults.Fault("again", faults.words(error) or "no reason given")
        body = response.get("body")
        status = response.get("status_code")
        if status != 200:
            return number, faults.of_status(status if isinstance(status, int) else 500, body, self._model)
        try:
            content = orjson.dumps(body)
        except orjson.JSONEncodeError:
            return number, faults.Fault("again", "an answer that is nested too deeply")
        return number, faults.in_answer(content, self._model) or content

    async def _read(self, model: type[M], create: Callable[[], Awaitable[Any]]) -> M:
        try:
            return model.model_validate_json(await self._endpoint.fetch(create))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise UnusableError(f"the batch API's answer cannot be read: {first['loc']}: {first['msg']}") from None


def groups(requests: Iterator[Request]) -> Iterator[list[Request]]:
    """The requests in their order, as many at a time as a batch takes."""
    group: list[Request] = []
    size = 0
    for request in requests:
        own = _BYTES_PER_TOKEN * len(request.token_ids or ())
        if group and (len(group) == _MOST_REQUESTS or size + own > _MOST_BYTES):
            yield group
            group, size = [], 0
        group.append(request)
        size += own
    if group:
        yield group
