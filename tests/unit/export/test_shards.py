"""One shard: what is in its file, that the bytes follow from the rows alone, and that token ids give the exact text."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard
from export_helpers import HOSTILE, TEXTS, batches, content, rows, train_tokenizer, write

from prox_spark.errors import ProxSparkError, RefinerError, UsageError
from prox_spark.exporting import shards
from prox_spark.exporting.export import make_request
from prox_spark.exporting.shards import ShardPlan, grouped, shard_task
from prox_spark.exporting.tokens import DocumentTokenizer, cut, read_tokenizer
from prox_spark.generation.tokens import SLAB


def test_parquet_and_json_lines_hold_every_document_as_it_is(tmp_path: Path) -> None:
    values = rows(TEXTS)
    expected = [
        {**value, "metadata": None if value["metadata"] is None else dict(value["metadata"])} for value in values
    ]
    for one in expected:
        del one["shard"]

    for format in ("parquet", "huggingface", "jsonl"):
        written = write(tmp_path, format, values)
        raw = content(tmp_path, written["file"]["name"])
        assert written["file"]["sha256"] == hashlib.sha256(raw).hexdigest()
        assert written["file"]["bytes"] == len(raw)
        assert (written["shard"], written["documents"]) == (0, len(TEXTS))
        assert written["characters"] == sum(map(len, TEXTS))
        if format == "jsonl":
            text = zstandard.ZstdDecompressor().stream_reader(raw).read().decode()
            found = [json.loads(line) for line in text.split("\n")[:-1]]
        else:
            found = pq.read_table(io.BytesIO(raw)).to_pylist()
            read: Any = json.loads if format == "huggingface" else dict
            found = [{**one, "metadata": None if one["metadata"] is None else read(one["metadata"])} for one in found]
        assert found == expected


@pytest.mark.parametrize("format", ["parquet", "huggingface", "jsonl", "tokens"])
def test_the_bytes_of_a_shard_do_not_depend_on_how_its_rows_come(
    tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "grouped", lambda batches: grouped(batches, rows=7, size=5000))
    tokenizer = read_tokenizer(str(train_tokenizer(tmp_path / "tokenizer", TEXTS))).tokenizing
    values = rows([f"{text} {number}" for number in range(9) for text in TEXTS])
    digests = set()
    for size in (1, 4, 1000):
        written = write(tmp_path / "out", format, values, size, tokenizer)
        digests.add((written["file"]["sha256"], (written["places"] or {}).get("sha256")))
    assert len(digests) == 1


def test_groups_end_by_rows_and_by_bytes_and_hold_every_row_in_order() -> None:
    values = rows(["x" * 10] * 10 + ["y" * 100] + ["z"] * 5)
    for size in (1, 3, 100):
        groups = list(grouped(batches(values, size), rows=4, size=50))
        assert [group.num_rows for group in groups] == [4, 4, 3, 4, 1]
        assert [name for group in groups for name in group.column("doc_id").to_pylist()] == [f"d{n}" for n in range(16)]


def test_a_partition_without_rows_writes_nothing_and_rows_of_two_shards_are_refused(tmp_path: Path) -> None:
    task = shard_task(ShardPlan(str(tmp_path / "out"), "parquet"))
    assert list(task(iter(()))) == []
    assert list(task(batches(rows([])))) == []
    assert not (tmp_path / "out").exists()
    with pytest.raises(ProxSparkError, match="other shards"):
        list(task(batches([*rows(["a"]), *rows(["b"], 1, shard=1)])))


def read_tokens(folder: Path, written: Any) -> tuple[np.ndarray, list[dict[str, Any]]]:
    ids = np.load(io.BytesIO(content(folder, written["file"]["name"])), allow_pickle=False)
    return ids, pq.read_table(io.BytesIO(content(folder, written["places"]["name"]))).to_pylist()


def check_round_trip(folder: Path, written: Any, tokenizer: Any, texts: list[str]) -> list[str]:
    """The ids are the documents in order, an end token behind each; the texts that they decode to."""
    ids, places = read_tokens(folder, written)
    assert (ids.ndim, ids.dtype.name, len(ids)) == (1, tokenizer.dtype, written["tokens"])
    assert [place["doc_id"] for place in places] == [f"d{number}" for number in range(len(texts))]
    decoder, at, found = DocumentTokenizer(tokenizer.tokenizing), 0, []
    for place in places:
        assert place["start"] == at
        end = at + place["tokens"]
        assert ids[end] == tokenizer.end_id
        assert tokenizer.end_id not in ids[at:end]
        found.append(decoder.decode(ids[at:end]))
        at = end + 1
    assert at == len(ids)
    return found


def test_ids_of_a_byte_level_tokenizer_decode_to_the_exact_texts_long_ones_too(tmp_path: Path) -> None:
    tokenizer = read_tokenizer(str(train_tokenizer(tmp_path / "tokenizer", TEXTS)))
    assert tokenizer.dtype == "uint16"
    long = f"{HOSTILE} words of a line\n" * (2 * SLAB // 40)
    assert len(long) > 2 * SLAB
    texts = [*TEXTS, long, "after the long one", long[: SLAB + 1].replace("\n", " ")]

    written = write(tmp_path / "out", "tokens", rows(texts), tokenizing=tokenizer.tokenizing)

    assert check_round_trip(tmp_path / "out", written, tokenizer, texts) == texts
    assert (written["verified"], written["inexact"]) == (len(texts) - 2, 0)


def test_llama_2_gives_the_exact_text_but_for_its_own_letter_for_a_space(tmp_path: Path, shared: Path) -> None:
    tokenizer = read_tokenizer(str(shared / "tokenizers" / "llama-2"))
    assert (tokenizer.name, tokenizer.vocabulary, tokenizer.end_token, tokenizer.end_id) == (
        "llama-2",
        32000,
        "</s>",
        2,
    )
    texts = [*TEXTS, "a\u2581b"]

    written = write(tmp_path, "tokens", rows(texts), tokenizing=tokenizer.tokenizing)

    assert check_round_trip(tmp_path, written, tokenizer, texts) == [*TEXTS, "a b"]
    assert (written["verified"], written["inexact"]) == (len(texts), 1)


def test_a_long_text_in_pieces_has_the_ids_of_the_whole(tmp_path: Path, shared: Path) -> None:
    text = "".join(
        f"Line {n} of a long page, with some words in it.\n{'  indented' if n % 5 == 0 else ''}" for n in range(400)
    )
    pieces = list(cut(text, 1000))
    assert "".join(pieces) == text
    assert all(len(piece) <= 1000 for piece in pieces)
    assert len(pieces) > 10
    for folder in (shared / "tokenizers" / "llama-2", train_tokenizer(tmp_path, [text])):
        tokenizer = DocumentTokenizer(read_tokenizer(str(folder)).tokenizing)
        whole = [int(n) for _, ids in tokenizer.pieces([text]) for n in ids]
        first, following = tokenizer._first, tokenizer._next
        parts = [(following if n else first).encode(p, add_special_tokens=False).ids for n, p in enumerate(pieces)]
        assert [number for part in parts for number in part] == whole


def test_a_text_without_line_ends_is_cut_anywhere_and_loses_nothing() -> None:
    for text in ("x" * 25, "\n" * 25, "ab\n\n" * 7, ""):
        pieces = list(cut(text, 8))
        assert "".join(pieces) == text
        assert all(len(piece) <= 8 for piece in pieces)


def test_a_tokenizer_that_does_not_serve_is_refused_before_spark(tmp_path: Path) -> None:
    folder = train_tokenizer(tmp_path / "endless", ["words"], end=None)
    target = str(tmp_path / "out")
    for name in (str(folder), "web-programs-1"):
        with pytest.raises(UsageError, match="names no eos_token"):
            make_request(target, "tokens", tokenizer=name)
    with pytest.raises(UsageError, match=r"names '<end>' as eos_token, which is not in its vocabulary"):
        make_request(target, "tokens", tokenizer=str(train_tokenizer(folder, ["words"], end="<end>")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RefinerError, match="has no tokenizer"):
        make_request(target, "tokens", tokenizer=str(tmp_path / "empty"))
    with pytest.raises(RefinerError, match="is not a folder"):
        make_request(target, "tokens", tokenizer=str(tmp_path / "nowhere"))


def test_a_request_that_does_not_hold_together_is_refused(tmp_path: Path) -> None:
    target = str(tmp_path / "out")
    with pytest.raises(UsageError, match=r"unknown format 'csv' \(known: parquet, jsonl"):
        make_request(target, "csv")
    with pytest.raises(UsageError, match="needs a tokenizer"):
        make_request(target, "tokens")
    with pytest.raises(UsageError, match="takes no tokenizer"):
        make_request(target, "jsonl", tokenizer="web-programs-1")
    with pytest.raises(UsageError, match="seed -1"):
        make_request(target, "jsonl", seed=-1)
    with pytest.raises(UsageError, match="name the folder"):
        make_request(" ", "jsonl")
    with pytest.raises(UsageError, match="name a folder inside it"):
        make_request("memory://bucket", "jsonl")
    (tmp_path / "out").mkdir()
    make_request(target, "jsonl")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="contains files that are not a finished export"):
        make_request(target, "jsonl")
    with pytest.raises(UsageError, match="contains files"):
        make_request(str(tmp_path / "out" / "notes.txt"), "jsonl")


def test_a_page_that_tells_of_the_end_token_does_not_end_there(tmp_path: Path) -> None:
    folder = train_tokenizer(tmp_path / "tokenizer", TEXTS)
    whole = json.loads((folder / "tokenizer.json").read_text())
    for token in whole["added_tokens"]:
        token["special"] = False
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    chosen = read_tokenizer(str(folder))
    ids = [int(n) for _, some in DocumentTokenizer(chosen.tokenizing).pieces([f"a{chosen.end_token}b"]) for n in some]
    assert chosen.end_id not in ids
