"""The engine that all tasks of an owner share, on real processes: found, shared, killed, recovered, never left behind.

``transformers`` loads in seconds and stands in where only the processes matter; vLLM runs where it is about vLLM. The
tests share one engine for each of the two, in the order in which they stand here.

Slow where vLLM is asked without a stage, so that it starts again, and where its own worker is killed.
"""

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_helpers import run, server
from processes import members, wait_for

from prox_spark.config.engines import TransformersSettings, VllmSettings
from prox_spark.engines.protocol import Request
from prox_spark.engines.supervised import client as supervisor
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.client import SupervisedEngine
from prox_spark.engines.supervised.place import find_owner, place
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import EngineError
from prox_spark.processes import Owner, start_time
from prox_spark.programs import parse

pytestmark = pytest.mark.engine

TEXT = "Home About Contact\nThis page tells of a house by the sea, and of who lived there.\nWe use cookies. Accept\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny"), [TEXT + "remove_lines keep_doc drop_doc untouch_doc\n"])


@pytest.fixture(scope="module", autouse=True)
def _nothing_left() -> Iterator[None]:
    """After the module the engine is ended, and nothing of it may be left."""
    yield
    where = place(find_owner(), "cpu")
    pid = server(where.owner)
    if pid is not None:
        group = os.getpgid(pid)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not members(group), "the engine's processes end")


def requests(count: int, max_tokens: int = 4) -> Iterator[Request]:
    return (
        Request(id=n, stage="chunk", text="", token_ids=[0, 5 + n % 50], max_tokens=max_tokens) for n in range(count)
    )


def hello(model: Path, backend: str = "transformers", **options: Any) -> wire.Hello:
    return wire.Hello(backend=backend, model=str(model), context=2048, options=options)


# transformers


def test_two_tasks_share_one_engine(model: Path) -> None:
    engine = TransformersSettings(kind="transformers", model=str(model))
    texts = [TEXT * n for n in range(1, 9)]
    results: list[dict[tuple[str, int], dict[str, Any]]] = []
    tasks = [threading.Thread(target=lambda: results.append(run("document", engine, texts))) for _ in range(2)]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join(240)
    assert len(results) == 2
    assert results[0].keys() == results[1].keys() == {(f"d{n}", 0) for n in range(8)}
    assert all(0 < row["keep_score"] < 1 for result in results for row in result.values())
    pid = server(find_owner())
    assert pid is not None
    assert members(os.getpgid(pid)) == [pid]


def test_a_killed_engine_costs_nothing_but_time_within_the_budget_and_its_last_words_beyond(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "prox_spark")
    monkeypatch.setattr(supervisor, "RESTARTS", 1)
    monkeypatch.setattr(supervisor, "WINDOW", 20)
    engine = SupervisedEngine(hello(model))
    answered: list[int] = []

    def kill() -> None:
        pid = server(find_owner())
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    stream = engine.stream(requests(60))
    answered.append(next(stream).id)
    kill()
    answered += [next(stream).id for _ in range(20)]
    kill()
    with pytest.raises(EngineError, match="died 2 times") as raised:
        answered += [completion.id for completion in stream]
    assert "the tail of the engine's log" in str(raised.value)
    assert len(set(answered)) == len(answered) >= 21
    engine.close()
    said = [record.getMessage() for record in caplog.records]
    assert re.match(r"(found|started) the transformers engine for \w+ on cpu, ready after \S+ s$", said[-5])
    assert re.match(
        r"the transformers engine for \w+ died, 1 times so far of 1 allowed, \d+ requests are sent again: ", said[-4]
    )
    assert said[-3].startswith("starting the transformers engine for ")
    assert said[-2].startswith("started the transformers engine for ")
    assert "died, 2 times so far of 1 allowed" in said[-1]
    assert caplog.records[-1].levelno == logging.WARNING


def test_start_up_failures_are_told_with_the_engines_own_words(model: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(EngineError, match="no such model folder: /no/such"):
        next(SupervisedEngine(hello(Path("/no/such"))).stream(requests(1)))
    assert time.monotonic() - began < supervisor._LOAD_SECONDS
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "llama", "hidden_size": "many"}')
    with pytest.raises(EngineError, match=r"cannot load .*broken: \S+broken has no weights .*; its log: \S+\.log\n"):
        next(SupervisedEngine(hello(broken)).stream(requests(1)))
    odd = Path(shutil.copytree(broken, tmp_path / "odd"))
    shutil.copy(model / "model.safetensors", odd)
    with pytest.raises(EngineError, match=r"cannot load .*odd: \w+"):
        next(SupervisedEngine(hello(odd)).stream(requests(1)))


OWNER = """
import sys
from prox_spark.engines.supervised import wire
from prox_spark.engines.protocol import Request
from prox_spark.engines.supervised.client import SupervisedEngine
from prox_spark.processes import Owner, start_time
import os
owner = Owner(os.getpid(), start_time(os.getpid()))
hello = wire.Hello(backend="transformers", model=sys.argv[1], context=2048, options={})
engine = SupervisedEngine(hello, owner=owner, idle_seconds=float(sys.argv[2]))
requests = (Request(id=n, stage="chunk", text="", token_ids=[0, 5], max_tokens=64) for n in range(int(sys.argv[3])))
for completion in engine.stream(requests):
    print("answered", flush=True)
engine.close()
print("closed", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["killed", "idle"])
def test_no_process_is_left_when_the_owner_is_killed_or_the_engine_idles(model: Path, how: str) -> None:
    command = [sys.executable, "-c", OWNER, str(model), "1.0", "100000" if how == "killed" else "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "answered\n"
        started = start_time(process.pid)
        assert started is not None
        where = place(Owner(process.pid, started), "cpu")
        pid = server(where.owner)
        assert pid is not None
        group = os.getpgid(pid)
        if how == "killed":
            process.kill()
        wait_for(lambda: not members(group), "every process of the engine ends")
        wait_for(lambda: not where.socket.exists(), "its socket goes")
        process.kill()
    wait_for(lambda: how == "idle" or not where.log.exists(), "its files go with the owner")


def check_a_prompt_beyond_the_context(model: Path, backend: str, **options: Any) -> None:
    """It fails alone, with the reason; the engine and its other requests go on."""
    engine = SupervisedEngine(hello(model, backend, **options))
    long = Request(id=2, stage="chunk", text="", token_ids=[0, *[7] * 4000], max_tokens=4)
    asked = [request if request.id != 2 else long for request in requests(5)]
    answers = {answer.id: answer for answer in engine.stream(iter(asked))}
    assert sorted(answers) == list(range(5))
    assert [number for number, answer in answers.items() if answer.finish == "error"] == [2]
    assert "2048" in (answers[2].error or "")
    assert engine.usage().restarts == 0
    engine.close()


def test_a_prompt_beyond_the_context_fails_alone(model: Path) -> None:
    check_a_prompt_beyond_the_context(model, "transformers")


# vLLM; it finds the transformers engine of the first test's model in its place


def test_vllm_takes_over_and_decides_as_transformers_does(model: Path) -> None:
    texts = [TEXT * n for n in range(1, 12)]
    transformers = run("document", TransformersSettings(kind="transformers", model=str(model)), texts)
    vllm = run("document", VllmSettings(kind="vllm", model=str(model), options={"dtype": "float32"}), texts)
    assert transformers.keys() == vllm.keys()
    for key, row in vllm.items():
        assert row["status"] == "ok"
        assert row["keep_score"] == pytest.approx(transformers[key]["keep_score"], abs=1e-3)
        assert row["prompt_tokens"] == transformers[key]["prompt_tokens"] > 0


def test_a_grammar_keeps_a_random_models_programs_valid(model: Path) -> None:
    engine = VllmSettings(kind="vllm", model=str(model), options={"dtype": "float32"})
    texts = [TEXT * n for n in (1, 5, 60)]
    rows = run("chunk", engine, texts)
    assert {document for document, _ in rows} == {"d0", "d1", "d2"}
    assert sum(document == "d2" for document, _ in rows) > 1
    for row in rows.values():
        assert row["status"] in ("ok", "truncated")
        assert 0 < row["output_tokens"] <= 48
        calls = parse(row["output"]).calls
        # A grammar does not outlive the token limit: only a cut-off program may end badly, in its last call.
        assert all(call.outcome == "ok" for call in (calls[:-1] if row["status"] == "truncated" else calls))


@pytest.mark.slow
def test_a_prompt_beyond_the_context_of_vllm_fails_alone(model: Path) -> None:
    check_a_prompt_beyond_the_context(model, "vllm", dtype="float32")


@pytest.mark.slow
def test_a_killed_engine_core_is_replaced_in_mid_run(model: Path) -> None:
    engine = SupervisedEngine(hello(model, "vllm", dtype="float32"))
    stream = engine.stream(requests(2000, max_tokens=16))
    answered = [next(stream).id]
    pid = server(find_owner())
    assert pid is not None
    children = [p for p in members(os.getpgid(pid)) if p != pid]
    assert children
    for child in children:
        os.kill(child, signal.SIGKILL)
    answered += [completion.id for completion in stream]
    assert sorted(answered) == list(range(2000))
    assert not [p for p in children if start_time(p) is not None]
    engine.close()
