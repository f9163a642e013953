"""Engines that die of a request, at every start, or stand still: what each costs, and whom.

Slow: every fault costs the start of an engine process, and some a wait for a deadline.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_helpers import end_engine, server

from prox_spark.engines.protocol import Completion, Request
from prox_spark.engines.supervised import client as supervisor
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.client import SupervisedEngine
from prox_spark.engines.supervised.place import find_owner
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import EngineError
from prox_spark.processes import start_time

pytestmark = [pytest.mark.engine, pytest.mark.slow]

FATAL = 77
FATAL_REQUEST = f"""
import os
from prox_spark.engines.supervised import transformers_backend

answer = transformers_backend.TransformersBackend.answer

async def fatal(self, asked):
    from prox_spark.engines.supervised import wire
    if {FATAL} in wire.integers(asked.token_ids):
        os._exit(9)
    return await answer(self, asked)

transformers_backend.TransformersBackend.answer = fatal
"""
FATAL_START = """
import os
from prox_spark.engines.supervised import transformers_backend

def fatal(self, hello):
    print("no device can be found", flush=True)
    os._exit(9)

transformers_backend.TransformersBackend.__init__ = fatal
"""


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[wire.Hello]:
    """A model whose engine process reads this test's folder first, as ``sitecustomize``."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(supervisor, "WINDOW", 20)
    model = build_tiny_model(tmp_path / "tiny", ["page number one, page number two"])
    end_engine()
    yield wire.Hello(backend="transformers", model=str(model), context=2048, options={})
    end_engine()


def patch(hello: wire.Hello, text: str) -> None:
    """What the engine's process does before anything else."""
    (Path(hello.model).parent / "sitecustomize.py").write_text(text)


def requests(count: int, fatal: frozenset[int]) -> Iterator[Request]:
    for n in range(count):
        ids = [0, FATAL if n in fatal else 5]
        yield Request(id=n, stage="chunk", text="", token_ids=ids, max_tokens=4)


def test_a_request_that_kills_every_engine_fails_alone_and_another_stream_goes_on(hello: wire.Hello) -> None:
    patch(hello, FATAL_REQUEST)
    others: list[Completion] = []
    neighbour = SupervisedEngine(hello)
    thread = threading.Thread(target=lambda: others.extend(neighbour.stream(requests(400, frozenset()))))
    engine = SupervisedEngine(hello)
    thread.start()

    answers = {answer.id: answer for answer in engine.stream(requests(60, frozenset({30})))}

    thread.join(300)
    assert answers.keys() == set(range(60))
    assert [number for number, answer in answers.items() if answer.finish == "error"] == [30]
    assert "this request kills the engine" in (answers[30].error or "")
    assert sorted(answer.id for answer in others) == list(range(400))
    assert not [answer for answer in others if answer.finish == "error"]
    engine.close()
    neighbour.close()


def test_an_engine_that_dies_of_everything_ends_the_stream(hello: wire.Hello, monkeypatch: pytest.MonkeyPatch) -> None:
    patch(hello, FATAL_REQUEST)
    monkeypatch.setattr(supervisor, "MOST_FATAL", 1)
    engine = SupervisedEngine(hello)
    with pytest.raises(EngineError, match="2 single requests killed it"):
        list(engine.stream(requests(30, frozenset(range(30)))))


def test_an_engine_that_dies_at_every_start_is_given_up_with_its_last_words(hello: wire.Hello) -> None:
    patch(hello, FATAL_START)
    with pytest.raises(EngineError, match=f"died {supervisor.RESTARTS + 1} times") as raised:
        list(SupervisedEngine(hello).stream(requests(30, frozenset())))
    assert "no device can be found" in str(raised.value)


def test_an_engine_that_stands_still_is_replaced_after_the_deadline(
    hello: wire.Hello, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_SILENCE_SECONDS", 3.0)
    engine = SupervisedEngine(hello)
    stream = engine.stream(requests(60, frozenset()))
    answered = [next(stream).id]
    pid = server(find_owner())
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    answered += [answer.id for answer in stream]

    assert sorted(answered) == list(range(60))
    assert engine.usage().restarts == 1
    assert start_time(pid) is None
    engine.close()
