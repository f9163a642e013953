"""The ``statistics`` engine: documents scored in the task itself, by weights on statistics of their text."""

from collections.abc import Iterator

from prox_spark.engines.protocol import Completion, Request, Usage
from prox_spark.statistics.scorer import Scorer


class StatisticsEngine:
    """Answers each document's ``keep_score``."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """Answer each request before the next is pulled."""
        for request in requests:
            yield Completion(id=request.id, keep_score=self._scorer.score(request.text))

    def usage(self) -> Usage:
        """Nothing is measured: it answers in the task itself."""
        return Usage()

    def close(self) -> None:
        """Nothing is held."""
