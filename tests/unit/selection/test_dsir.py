"""DSIR's features, weights and ranks, against a direct computation in plain Python and numpy."""

import itertools
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prox_spark.selection.chance import gumbel, uniform
from prox_spark.selection.dsir import QUANTILES, Dsir, bins, fit_log_ratio, fit_quantiles, noisy_weights
from prox_spark.selection.ngrams import BUCKETS, add_counts, weigh

RATIO = np.random.default_rng(5).normal(size=BUCKETS)


def bucket(ngram: str) -> int:
    value = 0xCBF29CE484222325
    for byte in ngram.encode("utf-8", "surrogatepass"):
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = ((value ^ value >> 33) * factor) % 2**64
    return (value ^ value >> 33) % BUCKETS


def direct_words(text: str) -> list[str]:
    """NLTK's WordPunctTokenizer is this expression."""
    return re.findall(r"\w+|[^\w\s]+", text.lower())


def direct_counts(text: str) -> np.ndarray:
    """As ``get_ngram_counts`` of DSIR's code, with another hash."""
    words = direct_words(text)
    counts = np.zeros(BUCKETS, np.int64)
    for ngram in [*words, *(" ".join(pair) for pair in itertools.pairwise(words))]:
        counts[bucket(ngram)] += 1
    return counts


def counted(*texts: str) -> np.ndarray:
    counts = np.zeros(BUCKETS, np.int64)
    add_counts(texts, counts)
    return counts


@settings(deadline=None)  # The first call loads compiled code.
@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "S", "Z", "C", "M"]), max_size=80), max_size=5))
def test_any_texts_have_the_ngrams_and_weights_of_a_direct_computation(texts: list[str]) -> None:
    direct = [direct_counts(text) for text in texts]
    weights, words = weigh(texts, RATIO)
    assert (counted(*texts) == sum(direct, np.zeros(BUCKETS, np.int64))).all()
    assert words.tolist() == [len(direct_words(text)) for text in texts]
    assert weights == pytest.approx([counts @ RATIO for counts in direct], abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t\u3000\x85\x1c",
        "İstanbul's STRASSE, ﬁn ΣΑΣ 12³ a_b --- …",
        "\ud800 half a pair",
        "中文没有空格。日本語も。",
        "🙂🙂 \U000e0100x",
        ("Prose, of words and marks; " * 20_000)[:400_000],
        "x" * 300_000,
    ],
    ids=range(8),
)
def test_odd_and_very_long_texts_too(text: str) -> None:
    assert (counted(text) == direct_counts(text)).all()


def test_words_spread_evenly_over_the_buckets() -> None:
    counts = counted("\n".join(f"word{number}" for number in range(200_000)))
    expected = counts.sum() / BUCKETS
    # Chi square with 9,999 degrees of freedom: five standard deviations.
    assert abs(((counts - expected) ** 2 / expected).sum() - BUCKETS) < 5 * np.sqrt(2 * BUCKETS)


def test_the_log_ratio_is_that_of_smoothed_bags() -> None:
    target, raw = counted("the tide rose over the flats"), counted("buy cheap shoes now, buy now")
    p = (target + 1) / (target.sum() + BUCKETS)
    q = (raw + 1) / (raw.sum() + BUCKETS)
    assert fit_log_ratio(target, raw) == pytest.approx(np.log(p / q), abs=1e-12)
    assert p.sum() == pytest.approx(1)
    assert weigh(["the tide", "buy now"], fit_log_ratio(target, raw))[0][0] > 0


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=50))
def test_bins_are_in_the_order_of_weights_and_narrow(weights: list[float]) -> None:
    ordered = np.sort(np.array(weights))
    numbers = bins(ordered)
    assert (np.diff(numbers) >= 0).all()
    table = fit_quantiles(*np.unique(numbers, return_counts=True))
    assert (np.diff(table) >= 0).all()
    ends = np.array([table[0], table[-1]])
    assert (np.abs(ends - ordered[[0, -1]]) <= np.abs(ordered[[0, -1]]) / 500 + 1e-30).all()


def documents(count: int, seed: int) -> list[str]:
    """Texts of 60 to 300 words."""
    chance = random.Random(seed)
    words = [f"w{number}" for number in range(500)]
    return [" ".join(chance.choices(words, k=chance.randint(60, 300))) for _ in range(count)]


def fitted(texts: list[str], ids: list[str], min_words: int) -> Dsir:
    weights = noisy_weights(texts, ids, RATIO, min_words, 3)
    there = weights[np.isfinite(weights)]
    table = fit_quantiles(*np.unique(bins(there), return_counts=True))
    return Dsir(RATIO, table, 1 - len(there) / len(texts), min_words, 3)


def test_a_keep_score_is_the_rank_of_the_noisy_weight_among_the_raw_documents() -> None:
    texts, ids = documents(2000, 1), [f"d{number}" for number in range(2000)]
    dsir = fitted(texts, ids, 1)

    scores = dsir.keep_scores(texts, ids)

    direct = np.array([direct_counts(text) @ RATIO for text in texts[:200]]) + gumbel(ids[:200], 3)
    assert (np.argsort(scores[:200]) == np.argsort(direct)).all()
    rank = np.argsort(np.argsort(noisy_weights(texts, ids, RATIO, 1, 3))) / 2000
    assert np.abs(scores - rank).max() < 0.01


def test_a_threshold_keeps_its_share_of_the_raw_documents_and_of_others_like_them() -> None:
    texts, ids = documents(3000, 1), [f"d{number}" for number in range(3000)]
    dsir = fitted(texts, ids, 100)
    others = dsir.keep_scores(documents(3000, 2), [f"other{number}" for number in range(3000)])
    scores = dsir.keep_scores(texts, ids)
    assert dsir.short == pytest.approx((scores == 0).mean(), abs=1e-9)
    assert 0.1 < dsir.short < 0.25
    for threshold in (0.3, 0.5, 0.9, 0.99):
        assert (scores >= threshold).mean() == pytest.approx(1 - threshold, abs=0.002)
        # Four standard errors of both samples.
        assert (others >= threshold).mean() == pytest.approx(1 - threshold, abs=4 * np.sqrt(0.5 / 3000))
    # Below the share of short documents a threshold drops them all, and none of the others.
    assert (scores >= dsir.short / 2).mean() == pytest.approx(1 - dsir.short)


def test_scores_depend_on_neither_the_batch_nor_what_lies_beyond_the_raw_corpus() -> None:
    texts, ids = documents(300, 1), [f"d{number}" for number in range(300)]
    dsir = fitted(texts, ids, 1)
    alone = [float(dsir.keep_scores([text], [name])[0]) for text, name in zip(texts, ids, strict=True)]
    assert alone == dsir.keep_scores(texts, ids).tolist()
    best, worst = (f"w{pick(range(500), key=lambda n: RATIO[bucket(f'w{n}')])} " for pick in (max, min))
    assert dsir.keep_scores([best * 5000, worst * 5000, ""], ["a", "b", "c"]).tolist() == [1.0, 0.0, 0.0]
    assert len(dsir.quantiles) == QUANTILES


def test_the_largest_noisy_weight_is_drawn_in_proportion_to_the_weights() -> None:
    weights = np.log([1.0, 2.0, 5.0])
    noise = gumbel([f"{draw}/{one}" for draw in range(20_000) for one in range(3)], 0).reshape(-1, 3)
    drawn = np.bincount((noise + weights).argmax(1), minlength=3) / 20_000
    assert drawn == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=0.015)


def test_chance_is_uniform_and_follows_from_id_seed_and_purpose_alone() -> None:
    ids = [f"https://site{number % 97}.example/{number}" for number in range(20_000)]
    one = uniform(ids, 0, "random")
    # Kolmogorov and Smirnov's distance, far beyond its usual bound.
    assert np.abs(np.sort(one) - np.arange(20_000) / 20_000).max() < 2.0 / np.sqrt(20_000)
    assert 0 < one.min() < one.max() < 1
    assert (uniform(ids[::-1], 0, "random")[::-1] == one).all()
    for other in (uniform(ids, 1, "random"), uniform(ids, -1, "random"), uniform(ids, 0, "dsir")):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.03
    # The same on every machine, and in every version.
    assert uniform(["a", "ä", "", "\ud800"], 7, "random").round(6).tolist() == [0.150771, 0.504991, 0.238845, 0.461126]
    assert len(uniform([], 0, "dsir")) == 0
