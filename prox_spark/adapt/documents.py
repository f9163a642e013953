"""Training of document scorers from a few hundred labels.

A network overfits to so few labels. A ridge regression over the buckets of a text's statistics does not, and its
probabilities are calibrated on documents that it has not seen.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from prox_spark.adapt.scoring import Scored
from prox_spark.corpora.labels import LabelledDocument
from prox_spark.statistics.scorer import Scorer
from prox_spark.statistics.text import buckets

_SURE, _UNSURE = 0.98, 0.67
"""Target probability if all annotators agreed, and if most of them did."""
_RIDGE = 20.0
"""Penalty of the standardised weights; values from 5 to 50 make no difference."""
_FOLDS, _ROUNDS = 10, 3

_Matrix = Any


def fit_documents(documents: Sequence[LabelledDocument], seed: int) -> tuple[Scorer, Scored]:
    """A scorer, and the cross-validated scores of these documents. Deterministic for a seed."""
    rows = np.array([buckets(document.text) for document in documents], np.float64)
    keep = np.array([document.keep for document in documents], np.float64)
    soft = np.array([_SURE if document.sure else _UNSURE for document in documents])
    soft = np.where(keep == 1, soft, 1 - soft)
    folds = min(_FOLDS, len(rows))
    logits = np.zeros((_ROUNDS, len(rows)))
    for number in range(_ROUNDS):
        fold = np.random.default_rng([seed, number]).permutation(len(rows)) % folds
        for left_out in range(folds):
            weights = _fit(rows[fold != left_out], soft[fold != left_out])
            logits[number, fold == left_out] = rows[fold == left_out] @ weights[:-1] + weights[-1]
    # Platt (1999), on the held-out documents.
    scale, shift = _ridge(logits.reshape(-1, 1), np.tile(keep, _ROUNDS), 1e-6)
    weights = _fit(rows, soft) * scale
    unseen = scored(logits.reshape(-1) * scale + shift, np.tile(keep, _ROUNDS))
    return Scorer(tuple(weights[:-1].tolist()), float(weights[-1] + shift)), unseen


def score_documents(scorer: Scorer, documents: Sequence[LabelledDocument]) -> Scored:
    """Scores of labelled documents."""
    p = np.clip([scorer.score(document.text) for document in documents], 1e-9, 1 - 1e-9)
    return scored(np.log(p / (1 - p)), np.array([document.keep for document in documents]))


def scored(logits: _Matrix, keep: _Matrix) -> Scored:
    """Documents with equal weight."""
    return Scored(logits, keep.astype(np.float32), np.ones(len(keep), np.float32))


def _fit(rows: _Matrix, soft: _Matrix) -> _Matrix:
    mean, deviation = rows.mean(0), rows.std(0) + 1e-9
    weights = _ridge((rows - mean) / deviation, soft, _RIDGE)
    own = weights[:-1] / deviation
    return np.append(own, weights[-1] - (own * mean).sum())


def _ridge(rows: _Matrix, target: _Matrix, penalty: float) -> _Matrix:
    """Logistic regression by Newton steps; the last weight, the intercept, is not penalised."""
    design = np.column_stack([rows, np.ones(len(rows))])
    ridge = np.eye(design.shape[1]) * penalty
    ridge[-1, -1] = 0.0
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        curvature = (design.T * (p * (1 - p))) @ design + ridge
        step = np.linalg.solve(curvature, design.T @ (p - target) + ridge @ weights)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return weights
