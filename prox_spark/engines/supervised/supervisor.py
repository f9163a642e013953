"""The supervisor: a separate process that runs one model engine and serves the tasks of its owner.

It starts its watcher first, then listens, then loads the model of the first client. A client with another model waits
until no request is open, at most until the model has had its turn (one that wants an engine alone waits for nothing:
what is open is asked again later); the supervisor then ends, and the waiting client starts a fresh one: a process ends
with its model, so that nothing of one is left when the next loads. The same way it ends when no client was there for
the idle time, when the engine dies, when it answers nothing for ``_STALL_SECONDS``, and when its owner has exited.

usage: python -m prox_spark.engines.supervised.supervisor BASE SLOT OWNER_PID OWNER_STARTED LOCK_FD IDLE_SECONDS
"""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from prox_spark.credentials import hidden
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.backend import Backend, EngineDiedError
from prox_spark.engines.supervised.place import Place, bound_log
from prox_spark.errors import ProxSparkError
from prox_spark.logs import LogSettings, configure
from prox_spark.processes import Owner

_log = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_STALL_SECONDS = 1800.0
"""No answer for this long while requests are open: the engine hangs. A full window on a slow CPU takes a third of it."""
_QUIET_SECONDS = 3.0
"""After this long without an open request, another model may be loaded. A new client may not have sent its request yet."""
_TURN_SECONDS = 600.0
"""After this long with clients of another model waiting, it is their turn; what is open is asked again later."""
_FLUSH_SECONDS = 5.0


def load(hello: wire.Hello) -> Backend:
    """Load the model that ``hello`` names, with ``load`` of the module BACKEND_backend. Raises whatever the engine raises."""
    if not Path(hello.model).is_dir():
        raise FileNotFoundError(f"no such model folder: {hello.model}")
    module = f"{__package__}.{hello.backend}_backend"
    if not hello.backend.isidentifier() or find_spec(module) is None:
        raise ValueError(f"no such engine: {hello.backend}")
    backend: Backend = import_module(module).load(hello)
    return backend


def _load(hello: wire.Hello) -> Backend:
    began = time.monotonic()
    _log.info("loading %s with %s", hello.model, hello.backend)
    backend = load(hello)
    _log.info("loaded %s in %.1f s", hello.model, time.monotonic() - began)
    return backend


class Supervisor:
    """State of the one engine and its clients; everything runs on one event loop."""

    def __init__(self, where: Place, lock: int, idle_seconds: float) -> None:
        self._where = where
        self._lock = lock
        self._idle_seconds = idle_seconds
        self._hello: wire.Hello | None = None
        self._loading: asyncio.Task[Backend] | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._waiting = 0
        self._waiting_since = 0.0
        self._pressing = 0
        self._open = 0
        self._ready_since = 0.0
        self._busy_since = 0.0
        self._busy_seconds = 0.0
        self._last_client = time.monotonic()
        self._last_answer = time.monotonic()
        self._watcher = self._start_watcher()

    async def run(self) -> NoReturn:
        """Listen and look after the engine until it is time to end."""
        os.umask(0o177)
        async with await asyncio.start_unix_server(self._client, path=str(self._where.socket)):
            os.umask(0o077)
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                await self._look_after()

    async def _look_after(self) -> None:
        now = time.monotonic()
        bound_log(self._where)
        if not self._where.owner.alive():
            _log.info("shutting down: the process that it belongs to is gone")
            self._end()
        if self._watcher.poll() is not None:
            self._watcher = self._start_watcher()
        if self._clients:
            self._last_client = now
        elif now - self._last_client > self._idle_seconds:
            _log.info("shutting down: no task asked for %.0f s", self._idle_seconds)
            self._end()
        quiet = not self._open and now - self._last_answer > _QUIET_SECONDS
        alone = self._hello is not None and bool(self._hello.alone)
        # A turn begins with a loaded model: two that load slowly would otherwise only take turns in loading.
        turn_over = now - max(self._waiting_since, self._ready_since) > _TURN_SECONDS
        if self._waiting and (quiet or turn_over or (self._pressing and not alone)) and self._loaded() is not None:
            await self._leave("another model was requested, or a separate engine", failed=False)
        backend = self._loaded()
        if backend is not None and (reason := backend.dead()) is not None:
            await self._leave(reason, failed=True)
        if self._open and now - self._last_answer > _STALL_SECONDS:
            await self._leave(f"the engine gave no answer for {_STALL_SECONDS:.0f} s", failed=True)

    def _loaded(self) -> Backend | None:
        if self._loading is None or not self._loading.done() or self._loading.exception() is not None:
            return None
        return self._loading.result()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        tasks: set[asyncio.Task[None]] = set()
        try:
            await self._converse(reader, writer, tasks)
        except (OSError, asyncio.IncompleteReadError):
            pass  # The client has disconnected; its requests are cancelled below.
        finally:
            for task in tasks:
                task.cancel()
            self._clients.discard(writer)
            self._last_client = time.monotonic()
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tasks: "set[asyncio.Task[None]]"
    ) -> None:
        hello = await _read(reader)
        if not isinstance(hello, wire.Hello):
            raise ConnectionError("a client did not send a hello message")
        if self._hello is None:
            self._hello = hello
            self._loading = asyncio.create_task(asyncio.to_thread(_load, hello))
        if hello != self._hello or self._loading is None:
            await self._wait_for_room(writer, pressing=bool(hello.alone))
            return
        pulse = asyncio.create_task(self._pulse(writer))
        tasks.add(pulse)
        try:
            backend = await asyncio.shield(self._loading)
            self._ready_since = self._ready_since or time.monotonic()
        except Exception as error:  # noqa: BLE001 -- told to every client, and the supervisor ends
            reason = str(error) if isinstance(error, ProxSparkError) else f"{type(error).__name__}: {error}"
            print(reason, flush=True)  # noqa: T201 -- into the log
            await _send(writer, wire.Failed(reason))
            await asyncio.sleep(_TICK_SECONDS / 2)  # Other clients hear it from their own conversations.
            self._end()
        self._last_answer = time.monotonic()
        await _send(writer, wire.Ready())
        await _send(writer, self._status())
        while True:
            message = await _read(reader)
            if not isinstance(message, wire.Ask):
                raise ConnectionError("a client sent no request")
            if not message.questions:
                await _send(writer, self._status())
            elif not self._open:
                self._busy_since = self._last_answer = time.monotonic()
            for asked in message.questions:
                self._open += 1
                task = asyncio.create_task(self._answer(backend, asked, writer))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                task.add_done_callback(self._closed)

    async def _wait_for_room(self, writer: asyncio.StreamWriter, *, pressing: bool) -> None:
        if not self._waiting:
            self._waiting_since = time.monotonic()
        self._waiting += 1
        self._pressing += pressing
        try:
            while not writer.is_closing():
                await _send(writer, wire.Status("waiting"))
                await asyncio.sleep(_TICK_SECONDS)
        finally:
            self._waiting -= 1
            self._pressing -= pressing

    async def _pulse(self, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            await _send(writer, self._status())
            await asyncio.sleep(_TICK_SECONDS)

    def _status(self) -> wire.Status:
        if not self._ready_since:
            return wire.Status("loading")
        now = time.monotonic()
        open_for = now - self._busy_since if self._open else 0.0
        return wire.Status("serving", now - self._ready_since, self._busy_seconds + open_for)

    async def _answer(self, backend: Backend, asked: wire.Question, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await backend.answer(asked)
        except EngineDiedError as error:
            await self._leave(str(error), failed=True)
        except Exception as error:  # noqa: BLE001 -- the request's own outcome; the others go on
            # It is written to a table.
            answer = wire.Answer(id=asked.id, finish="error", error=hidden(f"{type(error).__name__}: {error}"))
        self._last_answer = time.monotonic()
        with contextlib.suppress(OSError):
            writer.write(wire.frame(answer))

    def _closed(self, _: "asyncio.Task[None]") -> None:
        # Counted here and not in the task: one that is cancelled before its first step never runs at all.
        self._open -= 1
        if not self._open:
            self._busy_seconds += time.monotonic() - self._busy_since

    async def _leave(self, reason: str, *, failed: bool) -> NoReturn:
        """Tell every client, then end."""
        _log.log(logging.WARNING if failed else logging.INFO, "shutting down: %s", reason)
        self._where.socket.unlink(missing_ok=True)
        for writer in list(self._clients):
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(_send(writer, wire.Gone(reason, failed)), _FLUSH_SECONDS)
        self._end()

    def _end(self) -> NoReturn:
        """End this process at once: the watcher ends the rest of the group and cleans up."""
        self._where.socket.unlink(missing_ok=True)
        sys.stdout.flush()
        os._exit(0)

    def _start_watcher(self) -> "subprocess.Popen[bytes]":
        owner = self._where.owner
        command = [
            sys.executable,
            "-m",
            "prox_spark.engines.supervised.watcher",
            str(self._where.base),
            self._where.slot,
        ]
        command += [str(owner.pid), str(owner.started), str(os.getpid()), str(os.getpgrp())]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=(self._lock,), close_fds=True
        )


async def _read(reader: asyncio.StreamReader) -> wire.ToServer:
    size = wire.HEADER.unpack(await reader.readexactly(wire.HEADER.size))[0]
    if size > wire.MAX_FRAME:
        raise ConnectionError(f"a frame of {size} bytes")
    message: wire.ToServer = wire.decode_to_server(await reader.readexactly(size))
    return message


async def _send(writer: asyncio.StreamWriter, message: wire.ToClient) -> None:
    writer.write(wire.frame(message))
    await writer.drain()


def main(arguments: list[str]) -> None:
    """Detach from the task that started this process, then supervise."""
    base, slot, owner_pid, owner_started, lock, idle_seconds = arguments
    if os.fork():
        os._exit(0)  # The starter waits for this process only: the supervisor is nobody's child to reap.
    os.set_inheritable(int(lock), False)
    # A process of its own, whose standard error is the engine's log.
    configure(LogSettings())
    where = Place(Owner(int(owner_pid), int(owner_started)), slot, Path(base))
    asyncio.run(Supervisor(where, int(lock), float(idle_seconds)).run())


if __name__ == "__main__":
    main(sys.argv[1:])
