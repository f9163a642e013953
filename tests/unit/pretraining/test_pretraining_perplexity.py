"""Perplexity against transformers' own loss, token by token where windows overlap; how text is read."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretraining_helpers import prose, texts

from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import InputError, TrainingError
from prox_spark.pretraining import perplexity
from prox_spark.pretraining.perplexity import begin_token, encode, measure
from prox_spark.pretraining.prose import Prose, digest, read_prose


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Path]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = build_tiny_model(tmp_path_factory.mktemp("model"), texts(200))
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder), folder


def nats(model: Any, ids: list[int], first: int) -> float:
    """Of the tokens from place ``first`` on, as transformers computes its loss."""
    import torch

    labels = torch.tensor([[-100] * first + ids[first:]])
    with torch.no_grad():
        return float(model(input_ids=torch.tensor([ids]), labels=labels).loss) * (len(ids) - first)


def test_short_documents_have_transformers_own_loss_each_in_its_own_context(loaded: Any) -> None:
    model, tokenizer, folder = loaded
    documents = [
        Prose(text, f"s{number % 2}") for number, text in enumerate(["the sea", "a house, ünwetter", *texts(4)])
    ]
    begin = begin_token(folder, tokenizer)
    encoded = encode(tokenizer, documents, begin)
    found = measure(model, encoded, documents, 512)

    alone = [nats(model, ids.tolist(), 1) for ids in encoded]
    size = sum(len(one.text.encode()) for one in documents)
    assert begin == tokenizer.bos_token_id
    assert found["tokens"] == sum(len(ids) - 1 for ids in encoded)
    assert found["bytes"] == size
    assert found["nats_per_token"] == pytest.approx(sum(alone) / found["tokens"], rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(found["nats_per_token"]))
    assert found["bits_per_byte"] == pytest.approx(sum(alone) / math.log(2) / size, rel=1e-5)
    odd = found["sources"]["s1"]
    assert odd["nats_per_token"] == pytest.approx(sum(alone[1::2]) / odd["tokens"], rel=1e-5)


def test_long_documents_are_read_in_windows_that_overlap_by_half(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer, folder = loaded
    documents = [Prose(" ".join(texts(9)), "long"), Prose("the sea", "short")]
    encoded = encode(tokenizer, documents, begin_token(folder, tokenizer))
    ids = encoded[0].tolist()
    assert len(ids) > 5 * 24
    # Windows of 24 tokens: the first predicts 23, each later one what follows the end of the one before.
    expected, stop = nats(model, ids[:24], 1), 24
    while stop < len(ids):
        start = stop - 12
        part = ids[start : start + 24]
        expected, stop = expected + nats(model, part, 12), start + len(part)

    # One window at a time, and all at once, padded.
    for logits in (1, perplexity._LOGITS):
        monkeypatch.setattr(perplexity, "_LOGITS", logits)
        found = measure(model, encoded, documents, 24)
        assert found["sources"]["long"]["tokens"] == len(ids) - 1
        assert found["sources"]["long"]["nats_per_token"] == pytest.approx(expected / (len(ids) - 1), rel=1e-5)


def test_a_model_of_pretrain_begins_documents_with_the_end_token_and_one_without_any_is_refused(
    loaded: Any, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    (tmp_path / "pretraining.json").write_text(json.dumps({"data": {"end_token_id": 77}}))
    assert begin_token(tmp_path, loaded[1]) == 77
    (loaded[2] / "tokenizer_config.json").read_text()
    plain = AutoTokenizer.from_pretrained(loaded[2])
    plain.bos_token = plain.eos_token = None
    with pytest.raises(TrainingError, match="has no end token"):
        begin_token(loaded[2], plain)


def test_text_is_read_from_all_forms_up_to_a_limit(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import zstandard

    lines = Path(prose(tmp_path / "p.jsonl", ["aé", "b", ""])).read_bytes()
    (tmp_path / "p.jsonl.zst").write_bytes(zstandard.compress(lines))
    pq.write_table(pa.table({"body": ["aé", "b"]}), tmp_path / "p.parquet")
    (tmp_path / "p.txt").write_text("aé\nb")
    both = [Prose("aé", "s0"), Prose("b", "s1")]

    assert read_prose(str(tmp_path / "p.jsonl")) == read_prose(str(tmp_path / "p.jsonl.zst")) == both
    assert read_prose(str(tmp_path / "p.parquet"), "body") == [Prose("aé", "p.parquet"), Prose("b", "p.parquet")]
    assert read_prose(str(tmp_path / "p.txt")) == [Prose("aé\nb", "p.txt")]
    # Three bytes are the first document alone; two cut it inside a character, which is left out.
    assert read_prose(str(tmp_path / "p.jsonl"), limit=3) == both[:1]
    assert read_prose(str(tmp_path / "p.jsonl"), limit=2) == [Prose("a", "s0")]
    assert digest(both) != digest([Prose("aéb", "s0")])


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [
        ("gone.jsonl", "text", "gone.jsonl: cannot be read"),
        ("gone.txt", "text", "gone.txt: cannot be read"),
        ("p.jsonl", "body", "record 0: no text under 'body'; it has text, source"),
        ("empty.jsonl", "text", "no text to measure perplexity on"),
    ],
)
def test_files_without_text_are_named(tmp_path: Path, name: str, key: str, message: str) -> None:
    prose(tmp_path / "p.jsonl", ["a"])
    prose(tmp_path / "empty.jsonl", [""])
    with pytest.raises(InputError, match=message):
        read_prose(str(tmp_path / name), key)


def test_ids_begin_with_the_token_between_documents_and_no_other_special_one(loaded: Any) -> None:
    (ids,) = encode(loaded[1], [Prose("the sea", "s")], 1)
    assert ids.tolist() == [1, *loaded[1].encode("the sea", add_special_tokens=False)]
    assert ids.dtype == np.int64
    (ids,) = encode(loaded[1], [Prose(f"the {loaded[1].eos_token} sea", "s")], 1)
    assert loaded[1].eos_token_id not in ids[1:], "token shards have it as text, too"
