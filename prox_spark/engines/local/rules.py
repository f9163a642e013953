"""The ``rules`` engine: programs written by classic rules over the text alone, no model, many documents at a time."""

from collections.abc import Iterator

from prox_spark.engines.local.batches import batches
from prox_spark.engines.protocol import Completion, Request, Usage
from prox_spark.rules.programs import document_programs, line_programs


class RulesEngine:
    """Answers ``remove_lines`` calls or ``keep_chunk()`` for a chunk, ``drop_doc()`` or ``keep_doc()`` for a document."""

    def __init__(self, stage: str, rules: tuple[str, ...]) -> None:
        self._programs = document_programs if stage == "document" else line_programs
        self._rules = rules

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """Answer a bounded number of requests at once, in their order, before the next are pulled."""
        for batch in batches(requests):
            programs = self._programs([request.text for request in batch], self._rules)
            for request, program in zip(batch, programs, strict=True):
                yield Completion(id=request.id, output=program)

    def usage(self) -> Usage:
        """Nothing is measured: it answers in the task itself."""
        return Usage()

    def close(self) -> None:
        """Nothing is held."""
