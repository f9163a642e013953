"""Who shares an engine and who is charged for its death, on real supervisors with an engine that only the test knows."""

import contextlib
import functools
import json
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
from prox_spark.engines.supervised import caches, client, devices, place, watcher, wire
from prox_spark.engines.supervised.client import SupervisedEngine
from prox_spark.engines.supervised.devices import find_slot, identity, within
from prox_spark.engines.supervised.place import Place, bound_log, find_owner, is_at_work, is_supervisor, owner_of
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


@pytest.mark.parametrize(
    ("gpu", "visible", "device"),
    [
        ("0", "0,1", "0"),
        ("1", "0,1", "1"),
        ("3", "2,3", "3"),
        ("0", "2,3", "2"),
        ("1", " 2, 3 ", "3"),
        ("1", "GPU-aa,GPU-bb", "GPU-bb"),
        ("GPU-bb-cc", "GPU-aa,GPU-bb-cc", "GPU-bb-cc"),
        ("GPU-bb-cc", "GPU-aa,GPU-bb", "GPU-bb"),
        ("GPU-bb", "GPU-aa,GPU-bb-cc", "GPU-bb-cc"),
        ("0", "MIG-11", "MIG-11"),
        ("MIG-GPU-aa/1/0", "MIG-GPU-aa/1/0,MIG-GPU-aa/2/0", "MIG-GPU-aa/1/0"),
    ],
)
def test_the_node_managers_devices_are_respected(
    gpu: str, visible: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert within(gpu, visible) == device
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert find_slot(gpu) == device


@pytest.mark.parametrize(
    ("gpu", "visible"),
    [("2", "0,1"), ("0", ""), ("0", "-1"), ("0", "NoDevFiles"), ("GPU-aa", "GPU-bb"), ("GPU-aa", "0")],
)
def test_a_gpu_that_the_node_manager_does_not_show_is_refused(gpu: str, visible: str) -> None:
    with pytest.raises(EngineError, match=f"GPU {gpu}, but CUDA_VISIBLE_DEVICES={visible} does not show it"):
        within(gpu, visible)


@pytest.mark.parametrize(
    ("visible", "addresses"),
    [
        (None, ["0", "1"]),
        ("1", ["1"]),
        ("GPU-aa, GPU-bb", ["GPU-aa", "GPU-bb"]),
        ("MIG-GPU-aa/1/0", ["MIG-GPU-aa/1/0"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_spark_discovers_what_the_node_manager_shows(
    visible: str | None, addresses: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 0\necho 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    script = Path(__file__).parents[3] / "conf" / "gpu" / "discover.sh"
    done = subprocess.run([script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"name": "gpu", "addresses": addresses}
    assert [find_slot(address) for address in addresses] == addresses


def test_a_gpu_is_known_on_its_host_by_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_uuids", lambda: {"0": "GPU-aa", "1": "GPU-bb"})
    assert identity("0") == identity("GPU-aa") != identity("1")
    assert identity("gpu") == identity("0") != identity("1,0") == identity("0,1")
    assert identity("7") is None
    assert identity("cpu") is None
    monkeypatch.setattr(devices, "_uuids", lambda: {"0": "GPU-aa-11", "1": "GPU-ab-22"})
    assert identity("GPU-aa") == identity("0") != identity("GPU-ab")
    assert identity("GPU-a") not in (identity("0"), identity("1"))
    # In a container that sees only the second, by the index 0.
    monkeypatch.setattr(devices, "_uuids", lambda: {"0": "GPU-bb"})
    assert identity("0") == identity("GPU-bb")
    monkeypatch.setattr(devices, "_uuids", dict)
    assert identity("0") is None
    assert identity("gpu") is None


def test_a_tool_that_fails_names_no_gpu_and_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Failed to initialize NVML'\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(devices, "_uuids", functools.cache(devices._uuids.__wrapped__))
    with pytest.raises(EngineError, match="nvidia-smi failed with 9: Failed to initialize NVML"):
        identity("0")
    tool.write_text("#!/bin/sh\necho '0, GPU-aa'\n")
    assert identity("0") == identity("GPU-aa")


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


def test_a_log_that_is_too_long_keeps_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "LOG_BYTES", 1000)
    monkeypatch.setattr(place, "_LOG_KEPT", 100)
    where = Place(find_owner(), "cpu", tmp_path / "key")
    bound_log(where)
    with where.log.open("ab", buffering=0) as log:
        for number in range(500):
            log.write(f"line {number}\n".encode())
            bound_log(where)
    assert where.log.stat().st_size <= 1100
    lines = where.log.read_text().splitlines()
    assert lines[0] == "(the beginning was cut off)"
    assert lines[-3:] == ["line 497", "line 498", "line 499"]


def test_compiled_code_is_only_loaded_from_folders_of_the_user(tmp_path: Path) -> None:
    own = tmp_path / "own"
    found = caches.private_caches({"TRITON_CACHE_DIR": str(own), "XDG_CACHE_HOME": str(tmp_path)}, tmp_path / "ours")
    assert found == {
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "ours" / "inductor"),
        "VLLM_CACHE_ROOT": str(tmp_path / "vllm"),
        "TRITON_CACHE_DIR": str(own),
    }
    assert own.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("TORCHINDUCTOR_CACHE_DIR", "inductor"),
        ("TRITON_CACHE_DIR", "triton"),
        ("VLLM_CACHE_ROOT", "vllm"),
        ("CUDA_CACHE_PATH", "cuda"),
    ],
)
def test_a_cache_that_all_users_are_given_is_replaced_by_ones_own(
    variable: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, open_to_all = tmp_path / "ours", tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    for given in (open_to_all, open_to_all / "inside"):
        assert caches.private_caches({variable: str(given)}, ours)[variable] == str(ours / name)
        assert f"{variable}: compiled code in {given} cannot be trusted" in caplog.messages[-1]
    with pytest.raises(EngineError, match=r"compiled code in .* cannot be trusted"):
        caches.private_caches({variable: str(open_to_all)}, open_to_all)


def test_a_frame_that_comes_in_pieces_is_read_though_the_wait_for_it_was_too_long() -> None:
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = wire.Connection(ours, 0.05)
        whole = wire.frame(wire.Status("loading"))
        for piece in (whole[:2], whole[2:6], whole[6:]):
            with pytest.raises(TimeoutError):
                connection.receive()
            theirs.sendall(piece)
        assert connection.receive() == wire.Status("loading")
