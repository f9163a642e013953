"""What a batch of the transformers engine that fails costs; no model is loaded."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from prox_spark.engines.supervised.backend import EngineDiedError
from prox_spark.engines.supervised.transformers_backend import TransformersBackend


class Failing(TransformersBackend):
    """Fails where one of its questions is ``bad``."""

    def __init__(self, reason: str) -> None:
        self._broken = None
        self.reason = reason
        self.batches: list[list[str]] = []

    def _run(self, batch: list[Any]) -> list[Any]:
        self.batches.append(batch)
        if "bad" in batch:
            raise RuntimeError(self.reason)
        return [f"answer to {asked}" for asked in batch]


def answers(backend: Failing, *asked: Any) -> list[Any]:
    # In a thread of its own: the browser's tests leave a loop running in this one.
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(lambda: asyncio.run(backend._answers(list(asked)))).result()


def test_the_question_that_fails_a_batch_fails_alone() -> None:
    backend = Failing("out of memory")
    first, bad, last = answers(backend, "a", "bad", "b")
    assert (first, last) == ("answer to a", "answer to b")
    with pytest.raises(RuntimeError, match="RuntimeError: out of memory"):
        raise bad
    assert (backend.batches, backend.dead()) == ([["a", "bad", "b"], ["a"], ["bad"], ["b"]], None)


def test_an_error_of_the_gpu_is_the_engines_end() -> None:
    backend = Failing("CUDA error: device-side assert triggered\nmore words")
    found = answers(backend, "a", "bad")
    assert [type(one) for one in found] == [EngineDiedError] * 2
    assert backend.dead() == "the engine died: RuntimeError: CUDA error: device-side assert triggered"
