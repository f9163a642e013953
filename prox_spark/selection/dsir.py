"""DSIR: selection of documents that resemble a target corpus as bags of hashed n-grams (Xie et al. 2023).

A document's log weight is the sum over its n-grams of log p(target) - log p(raw). DSIR adds Gumbel noise and takes the k
largest, which draws k documents without replacement. Here ``keep_score`` is the rank of that sum in the raw
corpus, from a table of quantiles: ``drop_document_below: q`` keeps a share of 1 - q, and each document is scored independently.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prox_spark.programs.bytes_kernels import Floats, Integers
from prox_spark.selection.chance import gumbel
from prox_spark.selection.ngrams import BUCKETS, weigh

VERSION = 1
"""Increase it when words, hashes, noise, or the meaning of a folder's numbers change."""

QUANTILES = 10_001
"""Points of the table: it resolves a hundredth of a percent."""

PSEUDO_COUNT = 1
"""Added to each bucket's count in both corpora. DSIR's code optionally adds one for the target (Laplace), and replaces a
probability of zero by 1e-8; so a single n-gram that a small target lacks outweighs ten that it has."""

_BIN_BITS = 14
"""Low bits of a float32 that are dropped: a bin is about 1/500 of its value wide."""


@dataclass(frozen=True, slots=True, eq=False)
class Dsir:
    """A selection fitted by ``adapt``.

    ``log_ratio``: log p(target) - log p(raw) of each bucket. ``quantiles``: of the noisy log weights of the raw corpus's
    documents with at least ``min_words`` words, at ``QUANTILES`` even steps. ``short``: the share of documents with fewer.
    """

    log_ratio: Floats
    quantiles: Floats
    short: float
    min_words: int
    seed: int

    def keep_scores(self, texts: Sequence[str], ids: Sequence[str]) -> Floats:
        """A ``keep_score`` for each document, its rank in the raw corpus; 0 for one with fewer than ``min_words`` words."""
        weights = noisy_weights(texts, ids, self.log_ratio, self.min_words, self.seed)
        rank = np.interp(weights, self.quantiles, np.linspace(0.0, 1.0, QUANTILES))
        return np.where(np.isneginf(weights), 0.0, self.short + (1.0 - self.short) * rank)


def fit_log_ratio(target: Integers, raw: Integers) -> Floats:
    """The log ratio of each bucket's probability in the target to that in the raw corpus, from both counts (int64)."""
    smooth = [np.log((counts + PSEUDO_COUNT) / (counts.sum() + PSEUDO_COUNT * BUCKETS)) for counts in (target, raw)]
    return np.asarray(smooth[0] - smooth[1])


def noisy_weights(texts: Sequence[str], ids: Sequence[str], log_ratio: Floats, min_words: int, seed: int) -> Floats:
    """Log weight plus Gumbel noise of each document; minus infinity for those with fewer than ``min_words`` words."""
    weights, words = weigh(texts, log_ratio)
    return np.where(words < min_words, -np.inf, weights + gumbel(ids, seed))


def bins(weights: Floats) -> Integers:
    """The bin (int32) of each finite weight: in order of weight, and finer near zero.

    Counts in bins do not depend on the order of summing, so the table of quantiles does not either.
    """
    # Adding zero turns -0.0, which has other bits, into 0.0.
    bits = (weights.astype(np.float32) + np.float32(0.0)).view(np.int32)
    # Negative floats sort in reverse order of their bits.
    return np.asarray(np.where(bits < 0, -(bits & 0x7FFFFFFF) - 1, bits) >> _BIN_BITS)


def fit_quantiles(found: Integers, counts: Integers) -> Floats:
    """The table of quantiles, from the occupied bins, in order, and the number of weights in each."""
    edges = np.column_stack([_lower_edge(found), _lower_edge(found + 1)]).ravel()
    ends = np.cumsum(counts)
    cumulated = np.column_stack([ends - counts, ends]).ravel()
    return np.asarray(np.interp(np.linspace(0.0, float(ends[-1]), QUANTILES), cumulated, edges))


def _lower_edge(numbers: Integers) -> Floats:
    order = (numbers.astype(np.int64) << _BIN_BITS).astype(np.int32)
    return np.where(order < 0, -(~order).view(np.float32), order.view(np.float32)).astype(np.float64)
