"""Whether a line scorer keeps its quality with 8-bit integers, measured on the validation pages with the real engine."""

import logging
from collections.abc import Mapping
from pathlib import Path

from prox_spark.adapt.scores import ScoreTask
from prox_spark.adapt.scoring import keep_f1
from prox_spark.engines.onnx.scorer import Scorer
from prox_spark.errors import EngineError, RefinerError
from prox_spark.generation.refiner import Refiner

_log = logging.getLogger(__name__)

TOLERANCE = 0.002
"""Maximum loss of F1 on any validation file; the noise of the labels is larger, about one point."""


def int8_f1(task: ScoreTask, folder: Path, refiner: Refiner, threshold: float) -> dict[str, float]:
    """F1 of kept words by validation file at ``threshold``, by the engine ``onnx`` in 8 bits; empty if that cannot run it."""
    assert refiner.label is not None
    try:
        scorer = Scorer(folder, context=refiner.context, label=refiner.label, int8=True)
    except (EngineError, RefinerError) as error:
        _log.info("adapt: not measured in int8: %s", error)
        return {}
    scored = task.score_with(lambda ids, ends: scorer.score(ids.tolist(), ends.tolist()))
    return {name: keep_f1(one, threshold) for name, one in scored.items()}


def keeps_f1(int8: Mapping[str, float], single: Mapping[str, float]) -> bool:
    """Whether no file loses more than ``TOLERANCE``; false if nothing was measured."""
    return bool(int8) and all(single[name] - f1 <= TOLERANCE for name, f1 in int8.items())
