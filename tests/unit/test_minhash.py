"""Signatures of texts: equal for equal words, and as alike as the texts' shingles."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prox_spark.duplicates.minhash import sign
from prox_spark.duplicates.task import SIGNED, sign_documents
from prox_spark.limits import DocumentLimits

FINEWEB = {"words": 5, "buckets": 14, "hashes": 8}


def batch(*texts: str | None) -> pa.RecordBatch:
    count = len(texts)
    columns = {"doc_id": [f"d{n}" for n in range(count)], "content_hash": ["h"] * count}
    return pa.RecordBatch.from_pydict(
        {**columns, "unit": pa.array([0] * count, pa.int64()), "text": pa.array(texts, pa.string())}
    )


def rows(*texts: str | None, limits: DocumentLimits | None = None) -> list[dict[str, object]]:
    made = sign_documents(iter([batch(*texts)]), "m", limits or DocumentLimits(), **FINEWEB)
    table = pa.Table.from_batches(made, SIGNED)
    table.validate(full=True)
    return table.to_pylist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("To be, or not to be!", "to  be\nOR (not) to be"),
        ("Übermut", "u\u0308bermut"),
        ("汉字 学习", "汉字学习"),
        ("हिन्दी में", "हिन्दी, में"),
        ("a_b 1.5", "A_B 1 5"),
    ],
)
def test_case_punctuation_and_white_space_make_no_difference(one: str, other: str) -> None:
    hashes, buckets, counts = sign([one, other], **FINEWEB)
    assert hashes[0] == hashes[1]
    assert (buckets[0] == buckets[1]).all()
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [("ab c", "a bc"), ("a b", "b a"), ("a", "a a"), ("resume", "résumé"), ("汉字", "字汉"), ("1", "2")],
)
def test_other_words_or_another_order_have_another_hash(one: str, other: str) -> None:
    hashes, _, _ = sign([one, other], **FINEWEB)
    assert hashes[0] != hashes[1]


@given(st.lists(st.text(max_size=40), max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_text_has_the_same_hashes_alone_and_among_others(texts: list[str]) -> None:
    together = sign(texts, words=3, buckets=4, hashes=2)
    alone = [sign([text], words=3, buckets=4, hashes=2) for text in texts]
    for number, one in enumerate(alone):
        assert all((found[number] == part[0]).all() for found, part in zip(together, one, strict=True))


@pytest.mark.parametrize("similarity", [0.5, 0.72, 0.8, 0.9])
def test_as_many_pairs_have_a_bucket_in_common_as_their_similarity_says(similarity: float) -> None:
    # Given pairs of texts whose shingles (of one word, all different) have this Jaccard similarity,
    pairs, size = 1000, 200
    shared = round(2 * similarity / (1 + similarity) * size)
    texts = []
    for pair in range(pairs):
        common = [f"p{pair}w{n}" for n in range(shared)]
        texts += [" ".join([*common, *(f"p{pair}{side}{n}" for n in range(size - shared))]) for side in "ab"]
    exact = shared / (2 * size - shared)
    # when both are signed,
    _, buckets, _ = sign(texts, words=1, buckets=14, hashes=8)
    # then the share of pairs with an equal bucket is that of the theory, within four standard deviations.
    found = (buckets[::2] == buckets[1::2]).any(axis=1).mean()
    expected = 1 - (1 - exact**8) ** 14
    assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / pairs) + 1e-3


def test_texts_that_share_no_shingle_share_no_hash() -> None:
    texts = [" ".join(f"t{text}w{n}" for n in range(30)) for text in range(2000)]
    hashes, buckets, _ = sign(texts, **FINEWEB)
    assert len(np.unique(hashes)) == 2000
    assert len(np.unique(buckets)) == 14 * 2000


@pytest.mark.parametrize("texts", [("0090012", "0209070"), ("0111665", "0299296")])
def test_short_texts_have_all_bits_of_their_one_shingle(texts: tuple[str, str]) -> None:
    _, buckets, _ = sign(texts, **FINEWEB)
    assert not set(buckets[0]) & set(buckets[1])


def test_without_buckets_only_equal_words_have_something_in_common() -> None:
    hashes, buckets, _ = sign(["a b c", "A b, c"], words=5, buckets=0, hashes=8)
    assert buckets.shape == (2, 0)
    assert hashes[0] == hashes[1]


def test_blank_texts_have_no_hashes_and_those_without_words_are_compared_as_they_are() -> None:
    found = rows("", " \n\u3000", "***", "* * *", " *** ", "word")
    assert [row["text_hash"] is None for row in found] == [True, True, False, False, False, False]
    assert found[2]["text_hash"] == found[4]["text_hash"] != found[3]["text_hash"]
    assert [len(row["buckets"]) for row in found] == [0, 0, 0, 0, 0, 14]  # type: ignore[arg-type]
    assert [row["n_characters"] for row in found] == [0, 3, 3, 5, 5, 4]


def test_null_and_too_large_texts_say_why_they_cannot_be_compared() -> None:
    found = rows(None, "long enough to be too large", "ok", limits=DocumentLimits(max_bytes=10))
    assert found[0]["error"] == "text is null"
    assert "limits.max_bytes" in str(found[1]["error"])
    assert [row["n_characters"] for row in found] == [None, None, 2]
    assert [row["error"] is None for row in found] == [False, False, True]
