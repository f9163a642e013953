"""Who shares an engine and who is charged for its death, on real supervisors with an engine that only the test knows."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prox_spark.engines.protocol import Completion, Request
from prox_spark.engines.supervised import client, place, watcher, wire
from prox_spark.engines.supervised.client import SupervisedEngine
from prox_spark.engines.supervised.place import Place, find_owner, is_at_work, is_supervisor, owner_of
from prox_spark.errors import EngineError
from prox_spark.processes import Owner, start_time

DEADLY = 77
FAKE = f"""
import asyncio, ctypes, os, pathlib, sys, time, types
from importlib.machinery import ModuleSpec

name = "prox_spark.engines.supervised.fake_backend"
module = types.ModuleType(name)
module.__spec__ = ModuleSpec(name, None)


class Fake:
    def __init__(self, options):
        self.options = options

    async def answer(self, asked):
        from prox_spark.engines.supervised import wire

        hung = pathlib.Path(self.options.get("hang_once", __file__))
        if not hung.exists():
            hung.touch()
            await asyncio.Event().wait()
        if {DEADLY} in wire.integers(asked.token_ids):
            os._exit(9)
        return wire.Answer(id=asked.id, token_ids=[os.getpid() & 0xFFFF], token_logprobs=[0.0])

    def dead(self):
        return None


def load(hello):
    if "later" in hello.options:
        now, later = time.monotonic, pathlib.Path(hello.options["later"])
        time.monotonic = lambda: now() + 700 * later.exists()
    time.sleep(hello.options.get("before", 0))
    # It keeps the interpreter's lock: nothing else runs in the process, and no pulse is sent.
    ctypes.PyDLL(None).usleep(int(1e6 * hello.options.get("seconds", 0)))
    return Fake(hello.options)


module.load = load
sys.modules[name] = module
"""


@pytest.fixture(autouse=True)
def _engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The engine ``fake`` in every supervisor, which reads this folder first, in a folder for sockets of the test's own."""
    (tmp_path / "sitecustomize.py").write_text(FAKE)
    (tmp_path / "model").mkdir()
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield
        for lock in Path(short).glob("prox-*/*.lock"):
            end(Place(find_owner(), "cpu", lock.with_suffix("")))


def hello(folder: Path, **options: Any) -> wire.Hello:
    return wire.Hello(backend="fake", model=str(folder), context=64, options=options)


def requests(count: int, deadly: frozenset[int] = frozenset()) -> Iterator[Request]:
    for n in range(count):
        ids = [DEADLY if n in deadly else 5]
        yield Request(id=n, stage="chunk", text="", token_ids=ids, max_tokens=1)


def server(where: Place) -> int | None:
    connected = place.connect(where)
    if connected is None:
        return None
    connection = wire.Connection(connected, 10)
    try:
        return connection.peer()
    finally:
        connection.close()


def end(where: Place) -> None:
    """Kill the engine there, where one runs, and wait for its watcher."""
    pid = server(where)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    for _ in range(600):
        lock = place.try_lock(where)
        if lock is not None:
            os.close(lock)
            return
        threading.Event().wait(0.05)
    raise AssertionError("the watcher holds the lock for half a minute")


def test_a_client_that_waits_is_not_charged_for_anothers_deaths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RESTARTS", 0)
    busy = SupervisedEngine(hello(tmp_path / "model"))
    stream = busy.stream(requests(1000))
    assert next(stream).finish == "stop"
    waiting = SupervisedEngine(hello(tmp_path / "other"))
    answers: list[Completion] = []
    thread = threading.Thread(target=lambda: answers.extend(waiting.stream(requests(20))))
    thread.start()
    while waiting._state[0] != "waiting":
        thread.join(0.05)
    pid = server(busy._where)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    thread.join(60)
    assert len(answers) == 20
    assert waiting.usage().restarts == 0
    waiting.close()
    with contextlib.suppress(EngineError):
        busy.close()


def test_a_client_that_waits_lets_another_model_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_SILENCE_SECONDS", 0.5)
    loading = SupervisedEngine(hello(tmp_path / "model", before=3, seconds=2))
    waiting = SupervisedEngine(hello(tmp_path / "other"))
    answers: list[Completion] = []
    first = threading.Thread(target=lambda: answers.extend(loading.stream(requests(5))))
    first.start()
    while loading._state[0] != "loading":
        first.join(0.05)
    second = threading.Thread(target=lambda: answers.extend(waiting.stream(requests(5))))
    second.start()
    for thread in (first, second):
        thread.join(60)
    assert len(answers) == 10
    assert (loading.usage().restarts, loading.usage().retries, waiting.usage().restarts) == (0, 0, 0)
    for engine in (loading, waiting):
        engine.close()


def test_models_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RESTARTS", 0)
    later = tmp_path / "later"
    busy = SupervisedEngine(hello(tmp_path / "model", hang_once=str(tmp_path / "hung"), later=str(later)))
    waiting = SupervisedEngine(hello(tmp_path / "other"))
    answers: list[Completion] = []
    first = threading.Thread(target=lambda: answers.extend(busy.stream(requests(5))))
    first.start()
    while not (tmp_path / "hung").exists():
        first.join(0.05)
    second = threading.Thread(target=lambda: answers.extend(waiting.stream(requests(5))))
    second.start()
    while waiting._state[0] != "waiting":
        second.join(0.05)
    later.touch()
    for thread in (first, second):
        thread.join(60)
    assert len(answers) == 10
    assert (busy.usage().restarts, busy.usage().retries, waiting.usage().retries) == (0, 1, 0)
    for engine in (busy, waiting):
        engine.close()


def test_deaths_are_forgiven_with_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RESTARTS", 1)
    monkeypatch.setattr(client, "WINDOW", 8)
    monkeypatch.setattr(client, "FORGIVING", 30)
    engine = SupervisedEngine(hello(tmp_path / "model"))
    stream = engine.stream(requests(400))
    answered = []
    for death in range(4):
        answered += [next(stream).id for _ in range(40)]
        pid = server(engine._where)
        assert pid is not None, death
        os.kill(pid, signal.SIGKILL)
    answered += [answer.id for answer in stream]
    assert sorted(answered) == list(range(400))
    assert engine.usage().restarts == 4
    engine.close()


def test_deaths_without_answers_between_them_are_not_forgiven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RESTARTS", 1)
    monkeypatch.setattr(client, "MOST_FATAL", 1)
    engine = SupervisedEngine(hello(tmp_path / "model"))
    with pytest.raises(EngineError, match="the engine died"):
        list(engine.stream(requests(300, frozenset(range(300)))))


def test_slow_loading_is_not_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_SILENCE_SECONDS", 0.5)
    engine = SupervisedEngine(hello(tmp_path / "model", seconds=3))
    assert len(list(engine.stream(requests(5)))) == 5
    assert engine.usage().restarts == 0
    engine.close()


def test_a_supervisor_that_is_stopped_while_it_loads_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_SILENCE_SECONDS", 0.5)
    engine = SupervisedEngine(hello(tmp_path / "model", seconds=2))
    answers: list[Completion] = []
    thread = threading.Thread(target=lambda: answers.extend(engine.stream(requests(5))))
    thread.start()
    while (pid := server(engine._where)) is None:
        thread.join(0.05)
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while is_at_work(pid):
        assert time.monotonic() < deadline, "it is not stopped"
        thread.join(0.05)
    thread.join(60)
    assert len(answers) == 5
    assert start_time(pid) is None
    engine.close()


OTHER = """
import os, sys
from prox_spark.engines.protocol import Request
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.client import SupervisedEngine
from prox_spark.processes import Owner, start_time

import tempfile
tempfile.tempdir = sys.argv[2]
hello = wire.Hello(backend="fake", model=sys.argv[1], context=64, options={})
engine = SupervisedEngine(hello, gpu="GPU-5f2a9c1e", owner=Owner(os.getpid(), start_time(os.getpid())))
(answer,) = engine.stream(iter([Request(id=0, stage="chunk", text="", token_ids=[5], max_tokens=1)]))
print(answer.token_ids[0], flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("started_again", [False, True])
def test_two_owners_share_the_engine_of_a_gpu_and_its_owners_end_is_no_fault(
    started_again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RESTARTS", 0)
    command = [sys.executable, "-c", OTHER, str(tmp_path / "model"), tempfile.gettempdir()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        first = int(process.stdout.readline())
        engine = SupervisedEngine(hello(tmp_path / "model"), gpu="GPU-5f2a9c1e")
        stream = engine.stream(requests(400))
        pid = server(engine._where)
        assert pid is not None
        assert (next(stream).token_ids or [])[0] == first == pid & 0xFFFF
        owner = owner_of(engine._where)
        assert owner is not None
        assert (owner.pid, owner.alive()) == (process.pid, True)
        process.kill()
    deadline = time.monotonic() + 30
    while start_time(pid) is not None:
        assert time.monotonic() < deadline, "the engine outlives its owner"
        time.sleep(0.05)
    if started_again:
        another = SupervisedEngine(hello(tmp_path / "model"), gpu="GPU-5f2a9c1e")
        assert len(list(another.stream(requests(1)))) == 1
        another.close()
    answers = list(stream)
    assert len(answers) == 399
    assert engine.usage().restarts == 0
    assert server(engine._where) != pid
    engine.close()


def test_engines_without_a_gpu_belong_to_their_executor(tmp_path: Path) -> None:
    me = find_owner()
    assert place.place(me, "cpu") != place.place(Owner(me.pid + 1, 1), "cpu")
    assert place.place(me, "GPU-1").base == place.place(Owner(me.pid + 1, 1), "GPU-1").base
    assert place.place(me, "GPU-1").base != place.place(me, "GPU-2").base


def test_no_process_but_a_supervisor_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(client.os, "kill", lambda pid, _: killed.append(pid))
    engine = SupervisedEngine(hello(tmp_path))
    for pid in (0, 1, os.getpid()):
        connection: Any = type("Connection", (), {"peer": lambda _, pid=pid: pid})()
        assert engine._hung(connection).fault
    assert killed == []
    assert not is_supervisor(os.getpid())
    assert not is_at_work(0)
    with pytest.raises(SystemExit, match="process group 1, which it does not own"):
        watcher.main([str(tmp_path / "key"), "cpu", "1", "1", "1", "1"])
