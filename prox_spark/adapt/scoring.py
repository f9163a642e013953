"""Quality of line scores, measured like the scorer of the gold data: F1 of kept lines, weighted by words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 16))
"""Values of ``execution.drop_line_below`` that are compared."""


@dataclass(frozen=True, slots=True)
class Scored:
    """All lines of some pages: the model's logit for keep, the label, the words."""

    logits: "np.ndarray[tuple[int], np.dtype[np.float64]]"
    keep: "np.ndarray[tuple[int], np.dtype[np.float32]]"
    words: "np.ndarray[tuple[int], np.dtype[np.float32]]"

    def calibrated(self, scale: float, shift: float) -> "Scored":
        """The same lines with other logits (``calibration``)."""
        return replace(self, logits=scale * self.logits + shift)


def keep_f1(scored: Scored, threshold: float) -> float:
    """Word-weighted F1 of the lines whose probability is at least ``threshold``."""
    kept = scored.logits >= np.log(threshold / (1 - threshold))
    right = float((scored.words * scored.keep * kept).sum())
    whole = float((scored.words * scored.keep).sum() + (scored.words * kept).sum())
    return 2 * right / whole if whole else 0.0


def best_threshold(files: Sequence[Scored]) -> tuple[float, float]:
    """The threshold with the best mean F1 over several sets of pages, and that mean."""
    means = {threshold: float(np.mean([keep_f1(one, threshold) for one in files])) for threshold in THRESHOLDS}
    best = max(means, key=lambda threshold: (means[threshold], -threshold))
    return best, means[best]


def calibration(files: Sequence[Scored], steps: int = 200) -> tuple[float, float]:
    """Scale and shift that calibrate the logits (Platt, 1999), all lines with equal weight, by Newton steps."""
    z = np.concatenate([one.logits for one in files])
    y = np.concatenate([one.keep for one in files]).astype(np.float64)
    design = np.stack([z, np.ones_like(z)], axis=1)

    def loss(weights: Any) -> float:
        odds = design @ weights
        return float((np.logaddexp(0.0, odds) - y * odds).sum())

    weights: Any = np.zeros(2)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (p - y)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + np.eye(2) * 1e-6
        step = np.linalg.solve(curvature, gradient)
        # A full step overshoots if the model is confidently wrong about some lines, and the next steps then diverge.
        before = loss(weights)
        while loss(weights - step) > before and float(np.abs(step).max()) >= 1e-9:
            step = step / 2
        weights = weights - step
        if float(np.abs(step).max()) < 1e-9:
            break
    return float(weights[0]), float(weights[1])


def calibration_error(scored: Scored, bins: int = 15) -> float:
    """Expected calibration error: the mean gap between P(keep) and the kept share, over bins of equal width."""
    p = 1 / (1 + np.exp(-np.clip(scored.logits, -30, 30)))
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [
        abs(float(p[place == number].mean()) - float(scored.keep[place == number].mean()))
        * float((place == number).mean())
        for number in range(bins)
        if (place == number).any()
    ]
    return float(sum(gaps))


def roc_area(scored: Scored) -> float:
    """Area under the ROC curve, all lines with equal weight; ties count half (Mann-Whitney)."""
    values, place = np.unique(scored.logits, return_inverse=True)
    kept = np.bincount(place, scored.keep, len(values))
    others = np.bincount(place, 1 - scored.keep, len(values))
    below = np.cumsum(others) - others
    pairs = float(kept.sum() * others.sum())
    return float((kept * (below + others / 2)).sum()) / pairs if pairs else float("nan")
