"""Engines that select documents by a score, in the task itself: ``dsir``, ``random`` and ``column``."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from prox_spark.config.engines import ColumnSettings, DsirSettings, RandomSettings
from prox_spark.engines.local.batches import batches
from prox_spark.engines.models import local_folder
from prox_spark.engines.protocol import Completion, Request, Usage
from prox_spark.selection.chance import uniform
from prox_spark.selection.column import keep_score
from prox_spark.selection.dsir import Dsir
from prox_spark.selection.folder import load_dsir

Score = Callable[[Sequence[Request]], Sequence[float | str]]
"""A ``keep_score`` for each request, or the reason why there is none."""


class SelectionEngine:
    """Answers each document's ``keep_score``; a document without one fails; others are not affected."""

    def __init__(self, score: Score) -> None:
        self._score = score

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """Answer a bounded number of requests at once, in their order, before the next are pulled."""
        for batch in batches(requests):
            for request, score in zip(batch, self._score(batch), strict=True):
                if isinstance(score, str):
                    yield Completion(id=request.id, finish="error", error=score)
                else:
                    yield Completion(id=request.id, keep_score=score)

    def usage(self) -> Usage:
        """Nothing is measured: it answers in the task itself."""
        return Usage()

    def close(self) -> None:
        """Nothing is held."""


def open_selection(settings: ColumnSettings | DsirSettings | RandomSettings) -> SelectionEngine:
    """The engine of these settings. Raises ``RefinerError`` where a folder is no DSIR's."""
    if isinstance(settings, RandomSettings):
        return SelectionEngine(partial(_random, settings.seed))
    if isinstance(settings, ColumnSettings):
        return SelectionEngine(partial(_column, settings))
    return SelectionEngine(partial(_dsir, load_dsir(local_folder(settings.model))))


def _random(seed: int, requests: Sequence[Request]) -> Sequence[float | str]:
    scores: list[float | str] = uniform([request.doc_id for request in requests], seed, "random").tolist()
    return scores


def _dsir(dsir: Dsir, requests: Sequence[Request]) -> Sequence[float | str]:
    texts, ids = [request.text for request in requests], [request.doc_id for request in requests]
    scores: list[float | str] = dsir.keep_scores(texts, ids).tolist()
    return scores


def _column(settings: ColumnSettings, requests: Sequence[Request]) -> Sequence[float | str]:
    return [keep_score(request.score, settings.column, settings.scale) for request in requests]
