"""Precision, recall and F1 of keeping and removing, by line and by word; areas, calibration, sweeps."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from prox_spark.adapt.scoring import Scored, calibration_error, roc_area
from prox_spark.evaluation.labels import Labelled, members

_BINS = 10

Array = Any
"""A one-dimensional float array."""


def rates(keep: Array, stays: Array, weight: Array) -> dict[str, float]:
    """Precision, recall and F1 of the ones in ``stays`` against ``keep``; 0 if a rate's denominator is 0."""
    right = float((weight * keep * stays).sum())
    said, true = float((weight * stays).sum()), float((weight * keep).sum())
    return {
        "precision": right / said if said else 0.0,
        "recall": right / true if true else 0.0,
        "f1": 2 * right / (said + true) if said + true else 0.0,
    }


def judge(labels: Sequence[Labelled], stays: Sequence[Array]) -> dict[str, Any]:
    """All rates of these pages, given their kept lines, and the rates of keeping everything."""
    if not labels:
        return {}
    keep, words = (np.concatenate([getattr(one, name) for one in labels]) for name in ("keep", "words"))
    kept = np.concatenate(list(stays))
    ones = np.ones(len(keep))
    return {
        "pages": len(labels),
        "lines": len(keep),
        "keep": {"lines": rates(keep, kept, ones), "words": rates(keep, kept, words)},
        "remove": {"lines": rates(1 - keep, 1 - kept, ones), "words": rates(1 - keep, 1 - kept, words)},
        "keep_everything": {"lines": rates(keep, ones, ones)["f1"], "words": rates(keep, ones, words)["f1"]},
        "kept_words": float((kept * words).sum() / max(words.sum(), 1.0)),
    }


def judge_groups(labels: Sequence[Labelled], stays: Sequence[Array]) -> dict[str, dict[str, Any]]:
    """``judge`` for each value of each grouping column."""
    return {
        key: {
            value: judge([labels[place] for place in places], [stays[place] for place in places])
            for value, places in sorted(values.items())
        }
        for key, values in members(labels).items()
    }


def sweep(keep: Array, scores: Array, weight: Array, thresholds: Iterable[float]) -> list[dict[str, float]]:
    """Rates of keeping, and the kept share, for each threshold; a score equal to the threshold is kept."""
    found = []
    for threshold in thresholds:
        stays = (scores >= threshold).astype(float)
        share = float((stays * weight).sum() / max(weight.sum(), 1.0))
        found.append({"threshold": threshold, **rates(keep, stays, weight), "kept": share})
    return found


def judge_scores(keep: Array, scores: Array) -> dict[str, Any]:
    """Area under the ROC curve (None if all labels are the same) and calibration: the expected error, and the kept share
    for each tenth of the score range."""
    p = np.clip(scores, 1e-9, 1 - 1e-9)
    scored = Scored(np.log(p / (1 - p)), keep.astype(np.float32), np.ones(len(keep), np.float32))
    place = np.minimum((p * _BINS).astype(int), _BINS - 1)
    bins = [
        {"from": number / _BINS, "n": int(at.sum()), "score": float(p[at].mean()), "kept": float(keep[at].mean())}
        for number in range(_BINS)
        if (at := place == number).any()
    ]
    both = 0 < keep.sum() < len(keep)
    return {
        "auc": roc_area(scored) if both else None,
        "calibration_error": calibration_error(scored, _BINS),
        "calibration": bins,
    }
