"""Asking an OpenAI-compatible endpoint many things at a time, whatever is asked: retries, deadlines, errors, the key.

The calling thread pulls requests (which makes prompts) while a thread with an event loop has the earlier ones answered.
What an endpoint refuses or cannot answer is that request's own error; what concerns every request is an ``EngineError``.
The key never leaves this module: no message, log or representation holds it.
"""

import math
import os
import queue
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import openai
from anyio import fail_after
from anyio.from_thread import start_blocking_portal
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random_exponential

from prox_spark.config.engines import EndpointSettings
from prox_spark.credentials import hidden
from prox_spark.engines.endpoint import faults, streamed
from prox_spark.engines.protocol import Usage
from prox_spark.errors import EngineError

IN_A_ROW = 32
"""So many requests that fail with none answered in between are not about these requests any more."""

_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 60.0
_LONGEST_ASKED_WAIT_SECONDS = 120.0
_CONNECT_SECONDS = 10.0
_SPARE_SECONDS = 60.0
_REASON_CHARACTERS = 300
_NO_KEY = "none"
"""Endpoints without a key ignore it; the client insists on one."""

Q = TypeVar("Q")
A = TypeVar("A")


class FailedError(Exception):
    """This request failed, and sending it again would not help; ``filtered``: for what it or its answer says."""

    def __init__(self, reason: str, *, filtered: bool = False) -> None:
        super().__init__(reason)
        self.filtered = filtered


class RefusedError(FailedError):
    """The endpoint will not have this request."""


class PathError(EngineError):
    """The endpoint has nothing at ``path``; ``said``: status and its words."""

    def __init__(self, message: str, *, path: str, said: str) -> None:
        super().__init__(message)
        self.path = path
        self.said = said


class AgainError(FailedError):
    """This request failed and is sent again, after ``wait`` seconds at least; ``unreachable``: nothing listens there."""

    def __init__(self, reason: str, *, wait: float = 0.0, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.unreachable = unreachable


class UnusableError(Exception):
    """An answer that is none; ``again``: another attempt may bring a better one; ``filtered``: for what it says."""

    def __init__(self, reason: str, *, again: bool = True, filtered: bool = False) -> None:
        super().__init__(reason)
        self.again = again
        self.filtered = filtered


class Endpoint:
    """The endpoint that ``settings`` name; nothing is held between two streams.

    ``section`` is where the settings stand in a configuration, ``hint`` what to try where every request fails: both for
    messages. Raises ``EngineError`` for a key that no header can carry.
    """

    def __init__(self, settings: EndpointSettings, *, section: str, hint: str) -> None:
        self._settings = settings
        self._section = section
        self._hint = hint
        self._key = _key(settings.api_key_variable)
        self._usage = Usage()
        # From here on only the event loop's thread writes.
        self._failed_in_a_row = 0
        self._open = 0
        self._open_since = 0.0
        self._busy_seconds = 0.0
        self._retries = 0

    def stream(
        self,
        requests: Iterator[Q],
        attempt: Callable[[openai.AsyncOpenAI, Q], Awaitable[A]],
        failed: Callable[[Q, str], A],
        *,
        most: int | None = None,
        patience: float | None = None,
    ) -> Iterator[A]:
        """Answer every request once, in any order, with at most ``most`` (``max_in_flight`` unless given) unanswered.

        ``attempt`` sends one once (with ``send``) and reads its answer, raising ``FailedError``, ``AgainError`` or
        ``UnusableError``; ``failed`` makes the answer to one that failed for good, for that reason.
        ``patience``: seconds for one attempt, where that is more than sending and waiting for an answer.
        Raises ``EngineError`` where the endpoint cannot be reached, knows neither key nor model, or fails ``IN_A_ROW``
        requests in a row.
        """
        answered: queue.SimpleQueue[Future[A]] = queue.SimpleQueue()
        flying: set[Future[A]] = set()
        most = most or self._settings.max_in_flight
        began = time.monotonic()
        try:
            with start_blocking_portal() as portal, portal.wrap_async_context_manager(self._client()) as client:
                try:
                    for request in requests:
                        future = portal.start_task_soon(self._answer, client, request, attempt, failed)
                        flying.add(future)
                        future.add_done_callback(answered.put)
                        while len(flying) >= most or not answered.empty():
                            yield self._next(answered, flying, patience or 0.0)
                    while flying:
                        yield self._next(answered, flying, patience or 0.0)
                finally:
                    for future in flying:
                        future.cancel()
        finally:
            self._usage = replace(
                self._usage,
                seconds=self._usage.seconds + time.monotonic() - began,
                busy_seconds=self._busy_seconds,
                retries=self._retries,
            )

    def usage(self) -> Usage:
        """See ``Engine``: of this task alone; a request that waits to be sent again is in flight."""
        return self._usage

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"the endpoint {self._settings.base_url}"

    async def send(self, create: Callable[[], Awaitable[Any]]) -> bytes:
        """The body of a model's answer to what ``create`` (a raw-response call of the client) sends."""
        content = streamed.whole(await self.fetch(create))
        fault = faults.in_answer(content, self._settings.model)
        if fault is not None:
            raise self.failure(fault)
        return content

    async def fetch(self, create: Callable[[], Awaitable[Any]]) -> bytes:
        """The body of any answer of status 200 to what ``create`` sends."""
        caught: Exception
        try:
            # The client's own time-out starts again with every byte.
            with fail_after(self._settings.timeout_seconds):
                return bytes((await create()).http_response.content)
        except (TimeoutError, openai.APIError) as error:
            caught = error
        # Raised out here, so that the client's error, which may show the key, is no context of it.
        if not isinstance(caught, openai.APIStatusError):
            raise self._silence(caught)
        fault = faults.of_status(caught.status_code, caught.body, self._settings.model)
        raise self.failure(fault, caught.request.url.path, caught.response.headers)

    def without_key(self, text: str) -> str:
        """The text without the key, should an endpoint say it."""
        return text.replace(self._key, "***") if self._key else text

    def _client(self) -> openai.AsyncOpenAI:
        seconds = self._settings.timeout_seconds
        return openai.AsyncOpenAI(
            base_url=self._settings.base_url,
            api_key=self._key or _NO_KEY,
            timeout=openai.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
            # Its own retries are not counted, do not cover answers that make no sense, and end at a long Retry-After.
            max_retries=0,
        )

    def _next(self, answered: "queue.SimpleQueue[Future[A]]", flying: set[Future[A]], patience: float) -> A:
        one = patience + 2 * self._settings.timeout_seconds + _LONGEST_WAIT_SECONDS + _LONGEST_ASKED_WAIT_SECONDS
        longest = (self._settings.retries + 1) * one + _SPARE_SECONDS
        try:
            future = answered.get(timeout=longest)
        except queue.Empty:
            raise EngineError(f"{self.where}: no result within {longest:.0f} s") from None
        flying.remove(future)
        return future.result()

    async def _answer(
        self,
        client: openai.AsyncOpenAI,
        request: Q,
        attempt: Callable[[openai.AsyncOpenAI, Q], Awaitable[A]],
        failed: Callable[[Q, str], A],
    ) -> A:
        """Answer one request, whatever it takes within its budget."""
        if not self._open:
            self._open_since = time.monotonic()
        self._open += 1
        try:
            # One for each request: such an object has state that two must not share.
            retrying = AsyncRetrying(
                stop=stop_after_attempt(self._settings.retries + 1),
                wait=_wait,
                retry=retry_if_exception_type(AgainError),
                before_sleep=self._count_retry,
                reraise=True,
            )
            answer: A = await retrying(self._attempt, client, request, attempt)
        except FailedError as error:
            return failed(request, self._reason(error))
        finally:
            self._open -= 1
            if not self._open:
                self._busy_seconds += time.monotonic() - self._open_since
        self._failed_in_a_row = 0
        return answer

    def _count_retry(self, _: RetryCallState) -> None:
        self._retries += 1

    async def _attempt(
        self, client: openai.AsyncOpenAI, request: Q, attempt: Callable[[openai.AsyncOpenAI, Q], Awaitable[A]]
    ) -> A:
        try:
            return await attempt(client, request)
        except UnusableError as error:
            reason = self.clean(str(error))
            raise (AgainError(reason) if error.again else FailedError(reason, filtered=error.filtered)) from None

    def _reason(self, error: FailedError) -> str:
        """Why the request failed, or ``EngineError`` where that is every request's reason."""
        where = self.where
        reason = f"sent {self._settings.retries + 1} times, {error}" if isinstance(error, AgainError) else str(error)
        if isinstance(error, AgainError) and error.unreachable:
            raise EngineError(
                f"{where} cannot be reached ({reason}): check {self._section}.base_url, and that the endpoint is running"
            ) from None
        if error.filtered:
            # An endpoint that reads what it is sent is alive.
            self._failed_in_a_row = 0
            return reason
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= IN_A_ROW:
            raise EngineError(
                f"{where} failed {IN_A_ROW} requests in a row; last error: {reason}; {self._hint}"
            ) from None
        return reason

    def _silence(self, error: Exception) -> AgainError:
        """What a request without an answer means."""
        cause = error.__cause__ or error
        # httpx's or httpx2's, as the client's version has it.
        unreachable = type(cause).__name__ in ("ConnectError", "ConnectTimeout")
        if isinstance(error, TimeoutError | openai.APITimeoutError) and not unreachable:
            return AgainError(f"no answer within {self._settings.timeout_seconds:g} s")
        return AgainError(self.clean(f"{type(cause).__name__}: {cause}"), unreachable=unreachable)

    def failure(self, fault: faults.Fault, path: str = "", headers: Mapping[str, str] | None = None) -> Exception:
        """The error that an answer which is none amounts to."""
        said = self.clean(fault.said)
        where, section, variable = self.where, self._section, self._settings.api_key_variable
        kind = fault.kind
        if kind in ("refused", "filtered"):
            return RefusedError(said, filtered=kind == "filtered")
        if kind == "again":
            return AgainError(said, wait=_asked_wait(headers or {}))
        if kind == "quota":
            return EngineError(
                f"{where} has no quota or credit left ({said}): add some, or raise the limit, and run again"
            )
        if kind == "path":
            check = f"check {section}.base_url and {section}.model"
            return PathError(f"{where} has nothing at {path} ({said}): {check}", path=path, said=said)
        if kind == "model":
            model = self._settings.model
            return EngineError(f"{where} has no model {model!r} ({said}): check {section}.model and {section}.base_url")
        if kind == "key" and self._key is None:
            return EngineError(
                f"{where} requires an API key ({said}): set {variable} in the environment of the executors"
            )
        if kind == "key":
            return EngineError(f"{where} rejects the key in {variable} ({said}): set a key with access to its models")
        if kind == "access":
            # A gateway's page, as often as not: a key may change nothing.
            key = f"set {variable}, if it needs a key" if self._key is None else f"the key in {variable}"
            return EngineError(
                f"{where} denies access ({said}): check {section}.base_url, any proxy before it, and {key}"
            )
        return EngineError(f"{where} rejects every request ({said}): check {section}.base_url")

    def clean(self, text: str) -> str:
        """One short line without the key, and without halves of surrogate pairs, which no table takes."""
        return " ".join(hidden(self.without_key(text)).split())[:_REASON_CHARACTERS].encode(errors="replace").decode()


def _key(variable: str) -> str | None:
    """The key in an environment variable, without spaces and line ends around it; ``None`` where there is none."""
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise EngineError(f"the environment variable {variable} is not a valid API key: it contains illegal characters")
    return key or None


def _wait(state: RetryCallState) -> float:
    """Seconds until a request is sent again: a growing pause, half of it random, behind what the endpoint asked for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait if isinstance(error, AgainError) else 0.0
    half = {"multiplier": _FIRST_WAIT_SECONDS / 2, "max": _LONGEST_WAIT_SECONDS / 2}
    return asked + wait_exponential(**half)(state) + wait_random_exponential(**half)(state)


def _asked_wait(headers: Mapping[str, str]) -> float:
    """Seconds that a Retry-After header (a number or a date) asks for, within bounds; 0 where there is none."""
    value = headers.get("retry-after", "")
    try:
        # Azure OpenAI says it in milliseconds, too.
        seconds = float(headers["retry-after-ms"]) / 1000 if "retry-after-ms" in headers else float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return 0.0
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_ASKED_WAIT_SECONDS) if math.isfinite(seconds) else 0.0
