"""A document scorer: a weight for each statistic's buckets and an intercept, as the log-odds that a document is kept."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prox_spark.errors import RefinerError
from prox_spark.statistics.text import NAMES, VERSION, buckets

FILE = "statistics.json"


@dataclass(frozen=True, slots=True)
class Scorer:
    """``weights`` in the order of ``NAMES``, each step to a higher bucket adds the weight once."""

    weights: tuple[float, ...]
    intercept: float

    def score(self, text: str) -> float:
        """P(keep) of a document, in [0, 1]."""
        logit = self.intercept + sum(w * bucket for w, bucket in zip(self.weights, buckets(text), strict=True))
        return 1.0 / (1.0 + math.exp(-max(min(logit, 700.0), -700.0)))


def save_scorer(scorer: Scorer, folder: Path) -> None:
    """Write the scorer's file."""
    weights = dict(zip(NAMES, (round(weight, 5) for weight in scorer.weights), strict=True))
    whole = {"version": VERSION, "weights": weights, "intercept": round(scorer.intercept, 5)}
    (folder / FILE).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def load_scorer(folder: Path) -> Scorer:
    """Load the scorer from a folder. Raises ``RefinerError`` if it is not a scorer, or was fitted with other statistics."""
    file = folder / FILE
    try:
        read: Any = json.loads(file.read_bytes())
        version, weights = read["version"], read["weights"]
        if version != VERSION or set(weights) != set(NAMES):
            raise RefinerError(
                f"{file} was fitted with statistics version {version}, but this package has {VERSION}; run `adapt` again"
            )
        found, intercept = tuple(float(weights[name]) for name in NAMES), float(read["intercept"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RefinerError(f"{file} is not a document scorer: {type(error).__name__}: {error}") from None
    if not all(map(math.isfinite, (*found, intercept))):
        raise RefinerError(f"{file} has weights that are not numbers")
    return Scorer(found, intercept)
