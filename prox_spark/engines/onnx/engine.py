"""The ``onnx`` engine: a token classifier in the task itself, one chunk at a time, on the task's cores.

One for each task and none between tasks: a session for so small a model is small, every core computes while its own task waits
for nothing, and no answer crosses a process. onnxruntime answers within the call, so that
nothing of it outlives the task's process.
"""

import time
from collections.abc import Callable, Iterator, Sequence

from prox_spark.engines.protocol import Completion, Request, Usage


class OnnxEngine:
    """Answers each request from ``score``: (token ids, positions) to P(keep) at these."""

    def __init__(self, load: Callable[[], Callable[[Sequence[int], Sequence[int]], list[float]]]) -> None:
        """``load`` gives ``score``; it is called with the first request, so that a task without any loads nothing."""
        self._load = load
        self._usage = Usage()

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """Answer each request before the next is pulled. A request that cannot be answered fails alone."""
        score, ready, busy = None, 0.0, 0.0
        before = self._usage
        for request in requests:
            if score is None:
                score = self._load()
                ready = time.monotonic()
            began = time.monotonic()
            completion = _answer(score, request)
            now = time.monotonic()
            busy += now - began
            self._usage = Usage(before.seconds + now - ready, before.busy_seconds + busy)
            yield completion

    def usage(self) -> Usage:
        """See ``Engine``."""
        return self._usage

    def close(self) -> None:
        """The model stays loaded for the next task of this process."""


def _answer(score: Callable[[Sequence[int], Sequence[int]], list[float]], request: Request) -> Completion:
    try:
        if request.token_ids is None or request.positions is None:
            raise ValueError("this engine scores positions of token ids only")
        scores = score(request.token_ids, request.positions)
    except Exception as error:  # noqa: BLE001 -- the request's own outcome; the others go on
        return Completion(id=request.id, finish="error", error=f"{type(error).__name__}: {error}")
    return Completion(id=request.id, scores=scores)
