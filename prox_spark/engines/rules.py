"""The ``rules`` engine: programs written by classic rules over the text alone, no model, many documents at a time."""

from collections.abc import Iterator

from prox_spark.engines.protocol import Completion, Request, Usage
from prox_spark.rules.programs import document_programs, line_programs

_REQUESTS = 256
_CHARACTERS = 1 << 20
"""Pulled before the first is answered: enough for the kernels to be called seldom, and no burden on a task's memory."""


class RulesEngine:
    """Answers ``remove_lines`` calls or ``keep_chunk()`` for a chunk, ``drop_doc()`` or ``keep_doc()`` for a document."""

    def __init__(self, stage: str, rules: tuple[str, ...]) -> None:
        self._programs = document_programs if stage == "document" else line_programs
        self._rules = rules

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """Answer a bounded number of requests at once, in their order, before the next are pulled."""
        for batch in _batches(requests):
            programs = self._programs([request.text for request in batch], self._rules)
            for request, program in zip(batch, programs, strict=True):
                yield Completion(id=request.id, output=program)

    def usage(self) -> Usage:
        """Nothing is measured: it answers in the task itself."""
        return Usage()

    def close(self) -> None:
        """Nothing is held."""


def _batches(requests: Iterator[Request]) -> Iterator[list[Request]]:
    batch: list[Request] = []
    size = 0
    for request in requests:
        batch.append(request)
        size += len(request.text)
        if len(batch) >= _REQUESTS or size >= _CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
