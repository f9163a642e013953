"""Equal requests of a task are asked once: sites repeat their menus, footers and whole pages."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b

import numpy as np

from prox_spark.engines.protocol import Completion, Engine, Request, Usage

_KEPT = 1 << 20
"""Numbers in the answers that are kept for later requests: tens of megabytes. The answer that was used longest ago goes first."""

_OVERHEAD = 32
"""What an answer takes besides its tokens or scores, in numbers."""

_WAITING = 256
"""Repeats that may wait until the engine answers its next request; a further one is asked, so that memory has a bound."""


class AskOnce:
    """An engine that sends each of a task's requests to another engine unless an equal one was sent before.

    Requests are equal if their token ids and positions are, without a tokenizer if their texts are. A repeat gets a copy of
    the answer. An error is copied only to repeats that wait for it: a later one is asked, as the cause may have passed.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._answers: dict[bytes, Completion] = {}
        self._kept = 0
        self._repeated = 0

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """See ``Engine``."""
        asked: dict[int, bytes] = {}
        waiting: dict[bytes, list[int]] = {}
        ready: list[Completion] = []
        n_waiting = 0

        def unlike() -> Iterator[Request]:
            nonlocal n_waiting
            for request in requests:
                key = _key(request)
                known = self._recall(key)
                if len(ready) + n_waiting >= _WAITING or (known is None and key not in waiting):
                    asked[request.id] = key
                    waiting.setdefault(key, [])
                    yield request
                    continue
                self._repeated += 1
                if known is None:
                    waiting[key].append(request.id)
                    n_waiting += 1
                else:
                    ready.append(replace(known, id=request.id))

        for completion in self._engine.stream(unlike()):
            key = asked.pop(completion.id)
            self._remember(key, completion)
            yield completion
            copies = waiting.pop(key, [])
            n_waiting -= len(copies)
            yield from ready
            ready.clear()
            yield from (replace(completion, id=number) for number in copies)
        yield from ready

    def usage(self) -> Usage:
        """See ``Engine``."""
        return replace(self._engine.usage(), repeated=self._repeated)

    def close(self) -> None:
        """See ``Engine``."""
        self._engine.close()

    def _recall(self, key: bytes) -> Completion | None:
        found = self._answers.pop(key, None)
        if found is not None:
            # Again the newest.
            self._answers[key] = found
        return found

    def _remember(self, key: bytes, completion: Completion) -> None:
        if key in self._answers or completion.finish == "error":
            return
        self._answers[key] = completion
        self._kept += _size(completion)
        while self._kept > _KEPT:
            self._kept -= _size(self._answers.pop(next(iter(self._answers))))


def _key(request: Request) -> bytes:
    """Equal for requests that must have equal answers from one refiner."""
    if request.token_ids is None:
        return blake2b(request.text.encode(), digest_size=16).digest()
    # Their number goes first: it says where the ids end.
    ids = [len(request.token_ids), *request.token_ids, *(request.positions or ())]
    return blake2b(np.array(ids, np.int64).tobytes(), digest_size=16).digest()


def _size(completion: Completion) -> int:
    """The answer's size in numbers; four characters count as one."""
    lists = (completion.token_ids, completion.token_logprobs, completion.scores)
    texts = (completion.output, completion.error)
    return _OVERHEAD + sum(len(one) for one in lists if one) + sum(len(one) // 4 for one in texts if one)
