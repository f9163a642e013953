"""Exports of one small store in every format: what is in them, that they are the same again, and what is refused.

The killed export is slow: it takes a process with a JVM of its own, and the command again afterwards.
"""

import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import zstandard
from claims import PAGE, run, versions
from processes import COMMAND, started

from prox_spark.cli import main
from prox_spark.config import load_config
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import ConservationError, StoreError, UsageError
from prox_spark.exporting import export as job
from prox_spark.exporting.export import export, shuffle
from prox_spark.exporting.tokens import DocumentTokenizer, read_tokenizer
from prox_spark.pretraining.data import open_shards
from prox_spark.tables.store import open_store
from prox_spark.versions.forget import forget

HOSTILE = "\x1b[31m Red \u202e <s> 'quoted' \"twice\" \U0001f9ea"


def write_corpus(folder: Path, documents: int, pages: int) -> Path:
    rows = [
        {
            "id": f"d{number}",
            "text": "buy cheap"
            if number % 10 == 9
            else "\n".join([f"Head {HOSTILE}", f"Page {number}", *[PAGE] * pages]),
            "url": f"https://site.example/{number}",
            "source": "web|`odd`" if number % 2 else "books",
        }
        for number in range(documents)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pages.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "pages.json"


def settings(folder: Path, documents: int = 40, pages: int = 1) -> list[str]:
    return [
        f"store={folder / 'store'}",
        "refinement=first",
        f"input.path={write_corpus(folder, documents, pages)}",
        "input.format=json",
        "document.engine.kind=scripted",
        'document.engine.answers={"buy cheap": 0.0}',
        "chunk.engine.kind=scripted",
        "chunk.engine.default=remove_lines(start=0, end=0)",
    ]


@pytest.fixture(scope="module")
def store(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of forty documents, of which four are dropped and the first line of the others is removed."""
    folder = tmp_path_factory.mktemp("export")
    run(spark, load_config(None, settings(folder)))
    return str(folder / "store")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build_tiny_model(tmp_path_factory.mktemp("tokenizer"), [PAGE]))


@pytest.fixture
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three shards of the refined texts."""
    monkeypatch.setattr(job, "SHARD_CHARACTERS", 15_000)


def documents_of(spark: Any, store: str, table: str) -> dict[str, str]:
    return {
        row["doc_id"]: row["text"] for row in open_store(spark, store).read(table).select("doc_id", "text").collect()
    }


def digests(folder: Path) -> dict[str, str]:
    """Every file's SHA-256, hidden ones included."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def check_manifest(folder: Path) -> Any:
    """What the manifest says of each file is so."""
    manifest = json.loads((folder / "manifest.json").read_text())
    there = digests(folder)
    for file in manifest["files"]:
        for one in (file, *([file["places"]] if "places" in file else [])):
            assert there[one["name"]] == one["sha256"]
            assert (folder / one["name"]).stat().st_size == one["bytes"]
    assert manifest["documents"] == sum(file["documents"] for file in manifest["files"])
    return manifest


@pytest.mark.usefixtures("_small_shards")
def test_parquet_and_json_lines_hold_every_document_once_in_the_same_order_whatever_the_partitions(
    spark: Any, store: str, tmp_path: Path
) -> None:
    refined = documents_of(spark, store, "refined")
    before = versions(Path(store))

    done = export(spark, store, "first", str(tmp_path / "parquet"), "parquet", seed=3)

    assert (done.documents, done.characters) == (36, sum(map(len, refined.values())))
    assert (done.files, done.tokens, done.new) == (3, None, True)
    assert check_manifest(tmp_path / "parquet")["counts"]["dropped_documents"] == 4
    rows = [
        row for file in sorted((tmp_path / "parquet" / "data").iterdir()) for row in pq.read_table(file).to_pylist()
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["parquet"]
    assert {row["doc_id"]: row["text"] for row in rows} == refined
    assert len(rows) == 36
    assert rows[0]["url"] == f"https://site.example/{rows[0]['doc_id'][1:]}"
    order = [row["doc_id"] for row in rows]
    assert order != sorted(order)
    # What a user's own Spark reads, without the manifest getting in its way.
    assert spark.read.parquet(f"{tmp_path}/parquet/data").count() == 36

    done = export(spark, store, "first", str(tmp_path / "jsonl"), "jsonl", seed=3)
    lines = [
        json.loads(line)
        for file in sorted((tmp_path / "jsonl" / "data").iterdir())
        for line in zstandard.ZstdDecompressor().stream_reader(file.read_bytes()).read().decode().split("\n")[:-1]
    ]
    assert [line["doc_id"] for line in lines] == order
    assert lines == [{**row, "metadata": dict(row["metadata"])} for row in rows]
    check_manifest(tmp_path / "jsonl")

    # The same again from other partitions, and in other batches.
    rows = open_store(spark, store).read("refined")
    names = {}
    for partitions in (1, 7):
        found = shuffle(rows.repartition(partitions), 3, 3).select("shard", "doc_id").collect()
        names[partitions] = [row["doc_id"] for row in sorted(found, key=lambda row: row["shard"])]
        assert names[partitions] == order
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "5")
    spark.conf.set("spark.sql.shuffle.partitions", "7")
    try:
        export(spark, store, "first", str(tmp_path / "again"), "parquet", seed=3)
    finally:
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "1000")
        spark.conf.set("spark.sql.shuffle.partitions", "2")
    assert digests(tmp_path / "again") == digests(tmp_path / "parquet")

    other = export(spark, store, "first", str(tmp_path / "other"), "parquet", seed=4)
    assert other.documents == 36
    assert digests(tmp_path / "other").keys() == digests(tmp_path / "parquet").keys()
    assert digests(tmp_path / "other") != digests(tmp_path / "parquet")
    assert versions(Path(store)) == before


def test_tokens_decode_to_the_texts_and_the_same_export_again_does_nothing(
    spark: Any, store: str, tokenizer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refined = documents_of(spark, store, "refined")
    capsys.readouterr()
    target = tmp_path / "tokens"
    words = ["export", "first", "--store", store, "--to", str(target), "--format", "tokens", "--tokenizer", tokenizer]

    assert main([*words, "--output", "json"]) == 0

    done = json.loads(capsys.readouterr().out)
    assert (done["documents"], done["verified"], done["inexact"], done["new"]) == (36, 36, 0, True)
    manifest = check_manifest(target)
    chosen = read_tokenizer(tokenizer)
    assert manifest["tokenizer"]["end_token_id"] == chosen.end_id
    assert manifest["dtype"] == "uint16"
    assert set(digests(target)) == {
        "manifest.json",
        "tokens-00000.npy",
        "documents-00000.parquet",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
    }
    assert {f"tokenizer/{name}": value for name, value in manifest["tokenizer"]["sha256"].items()}.items() <= digests(
        target
    ).items()
    ids = np.load(target / "tokens-00000.npy", allow_pickle=False)
    assert (len(ids), str(ids.dtype)) == (manifest["tokens"], "uint16")
    # With what lies in the export itself.
    decoder = DocumentTokenizer(read_tokenizer(str(target / "tokenizer")).tokenizing)
    places = pq.read_table(target / "documents-00000.parquet").to_pylist()
    texts = {one["doc_id"]: decoder.decode(ids[one["start"] : one["start"] + one["tokens"]]) for one in places}
    assert texts == refined
    assert [ids[one["start"] + one["tokens"]] for one in places] == [chosen.end_id] * 36
    # What `pretrain` reads is the same stream.
    shards = open_shards(target)
    assert (shards.refinement, shards.end, shards.vocabulary) == ("first:0", chosen.end_id, chosen.vocabulary)
    assert shards.read(0, shards.tokens).tolist() == ids.tolist()

    before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    assert main([*words, "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {**done, "new": False}
    assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before
    for other in (["--seed", "1"], ["--raw"]):
        assert main([*words, *other]) == 2
        assert f"has another export (first:0 as tokens; different {other[0][2:]}" in capsys.readouterr().err
    (target / "tokens-00000.npy").write_bytes(b"")
    assert main(words) == 2
    assert "tokens-00000.npy does not match its manifest.json" in capsys.readouterr().err


@pytest.mark.usefixtures("_small_shards")
def test_a_hugging_face_folder_loads_as_it_is_and_its_card_holds_no_text_of_a_page(
    spark: Any, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = export(spark, store, "first:0", str(tmp_path / "hf"), "huggingface")

    assert asdict(done)["files"] == 3
    check_manifest(tmp_path / "hf")
    text = (tmp_path / "hf" / "README.md").read_text()
    assert "36 documents" in text
    assert "| `web¦'odd'` |" in text
    assert "| `document` | `keep_score` | 4 |" in text
    assert not any(line in text for line in (*PAGE.split("\n"), "Red", "buy cheap", "site.example"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(tmp_path / "hf"), split="train", cache_dir=str(tmp_path / "cache"))
    assert dict(zip(loaded["doc_id"], loaded["text"], strict=True)) == documents_of(spark, store, "refined")
    assert json.loads(loaded[0]["metadata"]) == {}


def test_raw_holds_the_original_documents_that_the_version_covers(spark: Any, store: str, tmp_path: Path) -> None:
    done = export(spark, store, "first", str(tmp_path / "raw"), "parquet", raw=True)
    table = pq.read_table(tmp_path / "raw" / "data" / "part-00000.parquet").to_pylist()
    assert (done.documents, done.raw) == (40, True)
    assert {row["doc_id"]: row["text"] for row in table} == documents_of(spark, store, "documents")
    # Refined and raw documents share their order, the dropped ones apart.
    export(spark, store, "first", str(tmp_path / "refined"), "parquet")
    kept = pq.read_table(tmp_path / "refined" / "data" / "part-00000.parquet").column("doc_id").to_pylist()
    assert [row["doc_id"] for row in table if row["doc_id"] in set(kept)] == kept


def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    spark: Any, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    words = ["export", "--store", store, "--to", str(target)]
    for arguments, reason in (
        (["frist", "--format", "jsonl"], "unknown refinement 'frist' (did you mean 'first'?)"),
        (["first:7", "--format", "jsonl"], "unknown refinement 'first:7'"),
        (["first", "--format", "csv"], "'csv' is not one of"),
        (["first", "--format", "tokens"], "needs a tokenizer"),
        (["first", "--format", "tokens", "--tokenizer", "web-programs-1"], "names no eos_token"),
    ):
        capsys.readouterr()
        assert main([*words, *arguments]) == 2
        assert reason in capsys.readouterr().err
    monkeypatch.setattr(job, "shuffle", lambda rows, seed, shards: shuffle(rows.limit(30), seed, shards))
    with pytest.raises(ConservationError, match="36 documents read, 30 written"):
        export(spark, store, "first", str(target), "jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_version_with_forgotten_documents_is_refused(spark: Any, tmp_path: Path) -> None:
    config = load_config(None, settings(tmp_path, 10))
    run(spark, config)
    forget(spark, config.store, ["d1"])
    with pytest.raises(StoreError, match="contains documents that were forgotten"):
        export(spark, config.store, "first:0", str(tmp_path / "old"), "jsonl")
    assert export(spark, config.store, "first", str(tmp_path / "new"), "jsonl").documents == 8
    forget(spark, config.store, [f"d{number}" for number in range(10)])
    with pytest.raises(UsageError, match="keeps no documents"):
        export(spark, config.store, "first", str(tmp_path / "none"), "jsonl")


@pytest.mark.slow
def test_a_killed_export_leaves_no_folder_and_the_next_run_makes_it_whole(
    spark: Any, tokenizer: str, tmp_path: Path
) -> None:
    # Enough text that a shard is seconds of work.
    config = load_config(None, settings(tmp_path, documents=300, pages=60))
    run(spark, config)
    target = tmp_path / "made" / "out"
    words = ["first", "--store", config.store, "--to", str(target), "--format", "tokens", "--tokenizer", tokenizer]
    deadline = time.monotonic() + 240
    with started([str(COMMAND), "export", *words], tmp_path / "log") as process:
        while not list(tmp_path.glob("made/.out.export-*/attempts/part-*")):
            assert process.is_running(), (tmp_path / "log").read_text()
            assert process.status() != psutil.STATUS_ZOMBIE, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.01)
    (left,) = (tmp_path / "made").iterdir()
    assert left.name.startswith(".out.export-"), "it was killed too late to show anything"

    done = export(spark, config.store, "first", str(target), "tokens", tokenizer=tokenizer)

    assert (done.documents, done.inexact, done.new) == (270, 0, True)
    check_manifest(target)
    assert list((tmp_path / "made").iterdir()) == [target]
