"""A task's side of the engine that all tasks of an executor share: find it or start it, keep it fed, outlive its death.

Requests go in while earlier ones are being answered, at most ``WINDOW`` at a time. When the engine dies, the requests in
flight are sent again to a new one. Requests that were in flight at two deaths may be the cause: they are sent one by one to an
engine that serves no other task, and a request that kills it is recorded as failed. Beyond the restart budget, ``EngineError``
has the tail of the engine's log.
"""

import contextlib
import logging
import os
import signal
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from prox_spark.engines.protocol import Completion, Request, Usage
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.devices import find_slot
from prox_spark.engines.supervised.engine_log import cause, last_words
from prox_spark.engines.supervised.place import (
    Place,
    connect,
    find_owner,
    is_at_work,
    is_supervisor,
    owner_of,
    place,
    start_supervisor,
    try_lock,
)
from prox_spark.engines.supervised.vllm_backend import environment
from prox_spark.errors import EngineError
from prox_spark.processes import Owner

_log = logging.getLogger(__name__)

WINDOW = 256
"""Maximum open requests of a task: vLLM's default limit of concurrent sequences."""

RESTARTS = 2
"""Engines that may die under one stream before the cause is found."""

FORGIVING = 1024
"""Answers after which the deaths before them are forgiven: a long stream may lose an engine now and then."""

MOST_FATAL = 8
"""Requests of one search that an engine may die of, each alone: more, and it is not the requests that are bad."""

IDLE_SECONDS = 300.0
"""After this long without a client, the engine exits and frees the GPU."""

_CONNECT_SECONDS = 120.0
_SILENCE_SECONDS = 60.0
_LOAD_SECONDS = 1800.0
_WAIT_SECONDS = 3600.0
_POLL_SECONDS = 0.05
_REASON_CHARACTERS = 300
_PORTION = 16
_YIELD_SECONDS = 1.0
"""A client whose engine made room waits this long, so that the client that asked for it is served first."""


class _LostError(Exception):
    """The conversation ended; ``fault`` says whether it counts against the budget."""

    def __init__(self, reason: str, *, fault: bool) -> None:
        super().__init__(reason)
        self.fault = fault


class SupervisedEngine:
    """The shared engine for ``hello``'s model on ``gpu`` (the address that Spark gave), else on what there is."""

    def __init__(
        self,
        hello: wire.Hello,
        *,
        gpu: str | None = None,
        owner: Owner | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._hello = hello
        self._idle_seconds = idle_seconds
        self._where: Place = place(owner or find_owner(), find_slot(gpu))
        self._owner: Owner | None = None
        self._connection: wire.Connection | None = None
        self._usage = Usage()
        self._heard: wire.Status | None = None
        self._state = ("", 0.0)
        self._starter = False

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """Answer every request once, in any order. Raises ``EngineError`` beyond the restart budget."""
        source = iter(requests)
        flying: dict[int, Request] = {}
        deaths, answered, before = 0, 0, frozenset[int]()
        try:
            while True:
                try:
                    for completion in self._talk(source, flying):
                        answered += 1
                        yield completion
                    return
                except _LostError as lost:
                    served = self._note(lost, flying)
                    if not lost.fault:
                        time.sleep(_YIELD_SECONDS)
                        continue
                    deaths, answered = (1 if answered >= FORGIVING else deaths + 1), 0
                    self._log_death(lost, deaths, RESTARTS, len(flying))
                    if deaths > RESTARTS:
                        raise self._beyond(f"{deaths} times in one stream; {RESTARTS} are allowed", lost) from lost
                    # An engine that dies as it starts has not seen a request.
                    seen = frozenset(flying if served else ())
                    suspects, before = before & seen, seen
                if suspects:
                    fatal = yield from self._one_by_one([flying.pop(number) for number in sorted(suspects)])
                    deaths, before = (0 if fatal else deaths - 1), frozenset()
        finally:
            if flying:
                self.close()  # Answers to an abandoned stream must not reach the next one.

    def _one_by_one(self, suspects: list[Request]) -> Generator[Completion, None, int]:
        """Answer requests by an engine that serves this stream alone; returns how many it died of, which fail."""
        shared, self._hello = self._hello, msgspec.structs.replace(self._hello, alone=uuid.uuid4().hex)
        fatal = starts = 0
        try:
            while suspects:
                flying = {suspects[-1].id: suspects[-1]}
                try:
                    yield from self._talk(iter(()), flying)
                    suspects.pop()
                except _LostError as lost:
                    served = self._note(lost, flying)
                    if not lost.fault:
                        continue
                    starts, fatal = starts + (not served), fatal + served
                    self._log_death(lost, starts + fatal, RESTARTS + MOST_FATAL, 0 if served else 1)
                    if starts > RESTARTS or fatal > MOST_FATAL:
                        raise self._beyond(
                            f"after {starts} restarts; {fatal} single requests killed it", lost
                        ) from lost
                    if served:
                        request = suspects.pop()
                        yield Completion(id=request.id, finish="error", error=f"this request kills the engine: {lost}")
        finally:
            self.close()
            self._hello = shared
        return fatal

    def _note(self, lost: _LostError, flying: dict[int, Request]) -> bool:
        """End the lost conversation and count it; whether its engine had been ready."""
        served = self._connection is not None
        self.close()
        if not lost.fault:
            _log.info("the engine for %s stopped: %s; resending %d requests", self._model(), lost, len(flying))
        restarts, retries = self._usage.restarts + lost.fault, self._usage.retries + len(flying)
        self._usage = replace(self._usage, restarts=restarts, retries=retries)
        return served

    def _log_death(self, lost: _LostError, deaths: int, allowed: int, again: int) -> None:
        values: dict[str, Any] = {
            "model": self._model(),
            "slot": self._where.slot,
            "reason": str(lost)[:_REASON_CHARACTERS],
        }
        values |= {"deaths": deaths, "deaths_allowed": allowed, "requests_again": again}
        _log.warning(
            "the %s engine for %s died, %d times so far of %d allowed, %d requests are sent again: %s",
            *(self._hello.backend, values["model"], deaths, allowed, again, values["reason"]),
            extra=values,
        )

    def _model(self) -> str:
        return Path(self._hello.model).name

    def _beyond(self, how: str, lost: _LostError) -> EngineError:
        log = self._where.log
        return EngineError(
            f"the engine died {how}: {cause(str(lost), log)}; its log: {log}\nthe tail of the engine's log:\n{last_words(log)}"
        )

    def usage(self) -> Usage:
        """See ``Engine``. By the supervisor's clock, from the first request of a conversation to its last answer."""
        return self._usage

    def close(self) -> None:
        """End this side's conversation; the engine goes on for other tasks."""
        self._heard = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _talk(self, source: Iterator[Request], flying: dict[int, Request]) -> Iterator[Completion]:
        """One conversation, from the first request in flight to the last answer."""
        if flying:
            self._send(list(flying.values()))
        while True:
            # In portions: the engine begins before the window is full, and not every answer costs a system call.
            while fresh := list(islice(source, min(_PORTION, WINDOW - len(flying)))):
                flying.update((request.id, request) for request in fresh)
                self._send(fresh)
            if not flying:
                self._settle()
                return
            for _ in range(max(1, min(len(flying) // 4, _PORTION))):
                answer = self._receive()
                if flying.pop(answer.id, None) is not None:
                    yield wire.completion(answer)

    def _open(self) -> wire.Connection:
        """The conversation, begun with the first request in hand: a task without any starts no engine."""
        if self._connection is None:
            self._connection = self._ready()
        return self._connection

    def _send(self, requests: list[Request]) -> None:
        connection = self._open()
        try:
            connection.send(wire.Ask([wire.question(request) for request in requests]))
        except TimeoutError as silence:
            raise self._hung(connection) from silence
        except OSError:
            # It may have said why before it went.
            while True:
                self._receive()

    def _receive(self) -> wire.Answer:
        while True:
            message = self._hear()
            if isinstance(message, wire.Answer):
                return message

    def _hear(self) -> wire.ToClient:
        """The next message; what it says of the engine is noted."""
        message = self._next(self._open())
        if isinstance(message, wire.Gone):
            raise _LostError(message.reason, fault=message.failed)
        if isinstance(message, wire.Status):
            before, self._heard = self._heard or message, message
            self._usage = replace(
                self._usage,
                seconds=self._usage.seconds + message.seconds - before.seconds,
                busy_seconds=self._usage.busy_seconds + message.busy_seconds - before.busy_seconds,
            )
        return message

    def _settle(self) -> None:
        """All is answered: hear how busy the engine was until now. Where it is gone by then, that stays unknown."""
        if self._connection is None:
            return
        try:
            self._connection.send(wire.Ask([]))
            while not isinstance(self._hear(), wire.Status):
                pass
        except (_LostError, OSError):
            self.close()

    def _next(
        self,
        connection: wire.Connection,
        receive: Callable[[wire.Connection], wire.ToClient] = wire.Connection.receive,
    ) -> wire.ToClient:
        try:
            return receive(connection)
        except TimeoutError as silence:
            raise self._hung(connection) from silence
        except OSError as error:
            raise _LostError(str(error), fault=not self._owner_is_gone()) from error

    def _owner_is_gone(self) -> bool:
        """Whether the engine ended with its owner, another JVM whose GPU this one shares: no fault of any request."""
        owner = self._owner
        return owner is not None and owner != self._where.owner and not owner.alive()

    def _hung(self, connection: wire.Connection) -> _LostError:
        """A supervisor that says nothing, not even that it lives: end it, its watcher does the rest."""
        pid = connection.peer()
        # 0 is a process that this one cannot see; to kill 0 would be to kill this process's own group.
        if pid > 1 and is_supervisor(pid):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return _LostError(f"the engine's supervisor was silent for {_SILENCE_SECONDS:.0f} s", fault=True)

    def _ready(self) -> wire.Connection:
        """A conversation with a loaded model."""
        began = time.monotonic()
        self._state = ("", began)
        while True:
            connection = self._connect()
            try:
                ready = self._greet(connection, began)
                while not ready:
                    ready = self._judge(self._next(connection, self._patiently))
                self._log_ready(time.monotonic() - began)
                return connection
            except _LostError as lost:
                connection.close()
                # Whoever waits for another model's engine has no part in its death.
                if lost.fault and self._state[0] != "waiting":
                    raise
                self._check_patience()
                time.sleep(_POLL_SECONDS)
            except BaseException:
                connection.close()
                raise

    def _log_ready(self, seconds: float) -> None:
        how = "started" if self._starter else "found"
        values = {"model": self._model(), "slot": self._where.slot, "seconds": round(seconds, 1)}
        names = (how, self._hello.backend, values["model"], values["slot"], seconds)
        _log.info("%s the %s engine for %s on %s, ready after %.1f s", *names, extra=values)
        self._starter = False

    def _greet(self, connection: wire.Connection, began: float) -> bool:
        """Say hello and hear a first word. A supervisor just killed may still take a connection: no new death."""
        try:
            connection.send(self._hello)
            return self._judge(self._patiently(connection))
        except TimeoutError as silence:
            raise self._hung(connection) from silence
        except OSError as error:
            raise _LostError(str(error), fault=time.monotonic() - began > _CONNECT_SECONDS) from error

    def _patiently(self, connection: wire.Connection) -> wire.ToClient:
        """The next word of a supervisor that may be loading a model, which can keep it from saying that it lives."""
        while True:
            try:
                return connection.receive()
            except TimeoutError:
                if not is_at_work(connection.peer()):
                    raise
                self._check_patience()

    def _judge(self, message: wire.ToClient) -> bool:
        """Whether the model is ready; raises where it will not be."""
        if isinstance(message, wire.Failed):
            raise EngineError(
                f"the {self._hello.backend} engine cannot load {self._hello.model}: {cause(message.reason, self._where.log)}; "
                f"its log: {self._where.log}\nthe tail of the engine's log:\n{last_words(self._where.log)}"
            )
        if isinstance(message, wire.Gone):
            raise _LostError(message.reason, fault=message.failed)
        if isinstance(message, wire.Status):
            # Each state has its own time: whoever waited for another model starts to load only then.
            if message.state != self._state[0]:
                self._state = (message.state, time.monotonic())
            self._check_patience()
        return isinstance(message, wire.Ready)

    def _check_patience(self) -> None:
        """Raise ``EngineError`` when the engine has been in one state, not ready, for longer than it may."""
        state, since = self._state
        waited = time.monotonic() - since
        if waited > (_WAIT_SECONDS if state == "waiting" else _LOAD_SECONDS):
            raise EngineError(
                f"the engine was {state or 'silent'} for {waited:.0f} s; its log: {self._where.log}\n"
                f"{last_words(self._where.log)}"
            )

    def _connect(self) -> wire.Connection:
        """Find the supervisor or start it; whoever gets the lock starts it, the others wait for its socket."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        started = False
        while time.monotonic() < deadline:
            connected = connect(self._where)
            if connected is not None:
                # Whoever starts the next engine overwrites this.
                self._owner = owner_of(self._where)
                return wire.Connection(connected, _SILENCE_SECONDS)
            lock = try_lock(self._where)
            if lock is not None and started:
                os.close(lock)
                raise _LostError("the engine's supervisor ended before it accepted connections", fault=True)
            if lock is not None:
                start_supervisor(self._where, lock, environment(dict(os.environ), self._where.slot), self._idle_seconds)
                started = self._starter = True
                backend, model = self._hello.backend, self._model()
                _log.info("starting the %s engine for %s on %s", backend, model, self._where.slot)
            time.sleep(_POLL_SECONDS)
        raise EngineError(
            f"no engine supervisor answered within {_CONNECT_SECONDS:.0f} s; its log: {self._where.log}\n"
            f"{last_words(self._where.log)}"
        )
