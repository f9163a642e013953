"""Bad input from end to end: a damaged corpus costs its own rows, a wrong request one clear line.

One store holds everything: a folder of damaged JSON files, then damaged Parquet files under the same name.
"""

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from claims import PAGE, check_conservation, check_once, check_rederivation, versions

from prox_spark.cli import main
from prox_spark.config import Config, load_config
from prox_spark.schemas import OLDEST_STORE, STORE_VERSION
from prox_spark.tables.store import open_store
from prox_spark.versions.sql import query

LONG_LINE = "The tide went out over the flats, and nobody saw it go. " * 190_000
MANY_LINES = "\n".join(f"Line number {i} says that the harbour was quiet on that day." for i in range(100_000))

ODD = [
    (b'{"id": "null", "text": null}', "NullText"),
    (b'{"id": "empty", "text": ""}', None),
    (b'{"id": "blank", "text": "  \\n\\t\\u3000 "}', None),
    (json.dumps({"id": "nul", "text": f"{PAGE}\nA NUL byte \0 stands in this long line of words."}).encode(), None),
    (b'{"id": "surrogate", "text": "half a pair \\ud800 of surrogates"}', "LoneSurrogate"),
    (b'{"id": "latin", "text": "caf\xe9"}', "NotUtf8"),
    (b'{"id": "malformed", "text": "no end', "MalformedJson"),
    (b"[1, 2]", "NotAnObject"),
    (b'{"id": "no-text", "body": "elsewhere"}', "MissingColumn"),
    (b'{"id": "number", "text": 5}', "WrongType"),
    (json.dumps({"id": "good", "text": PAGE}).encode(), None),
    (json.dumps({"id": "good", "text": f"Another page.\n{PAGE}"}).encode(), "DuplicateId"),
]


@dataclass(frozen=True)
class Corpus:
    """A store into which a damaged corpus was refined, and what is known about that corpus."""

    folder: Path
    config: Config
    arguments: list[str]
    good: set[str]
    """Ids of the pages that can be read and hold prose."""
    unreadable: set[tuple[str, int | None, str]]
    """File name, position and error class of everything else."""


def pages(name: str, count: int) -> list[bytes]:
    random = Random(7)
    return [
        json.dumps(
            {"id": f"{name}-{i}", "text": f"{PAGE}\nThe harbour's log number {random.random()} ends here."}
        ).encode()
        for i in range(count)
    ]


def write_json_files(folder: Path) -> tuple[set[str], set[tuple[str, int | None, str]]]:
    (folder / "odd.json").write_bytes(b"\n".join(line for line, _ in ODD) + b"\n")
    unreadable: set[tuple[str, int | None, str]] = {
        ("odd.json", position, error) for position, (_, error) in enumerate(ODD) if error
    }
    good = {"nul", "good"}
    large = [{"id": "long-line", "text": LONG_LINE}, {"id": "many-lines", "text": MANY_LINES}]
    (folder / "large.json").write_text("".join(json.dumps(row) + "\n" for row in large))

    data = gzip.compress(b"\n".join(pages("gzip", 400)))
    cut = data[: len(data) * 2 // 3]
    (folder / "cut.json.gz").write_bytes(cut)
    whole = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(cut).count(b"\n")
    assert 0 < whole < 400
    good |= {f"gzip-{i}" for i in range(whole)}
    unreadable.add(("cut.json.gz", whole, "TruncatedFile"))

    writer = zstandard.ZstdCompressor().compressobj()
    blocks = [
        writer.compress(page + b"\n") + writer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for page in pages("zstd", 40)
    ]
    (folder / "cut.jsonl.zst").write_bytes(b"".join(blocks[:30]) + blocks[30][: len(blocks[30]) // 2])
    good |= {f"zstd-{i}" for i in range(30)}
    unreadable.add(("cut.jsonl.zst", 30, "TruncatedFile"))

    (folder / "noise.json.gz").write_bytes(Random(1).randbytes(5000))
    unreadable.add(("noise.json.gz", 0, "BrokenFile"))
    return good, unreadable


def write_parquet_files(folder: Path) -> tuple[set[str], set[tuple[str, int | None, str]]]:
    table = pa.table({"id": [f"parquet-{i}" for i in range(3)], "text": [PAGE, None, f"{PAGE}\nAnd here it ends."]})
    pq.write_table(table, folder / "a.parquet")
    whole = (folder / "a.parquet").read_bytes()
    (folder / "broken.parquet").write_bytes(whole[:-30])
    pq.write_table(table.drop_columns(["text"]), folder / "no-text.parquet")
    unreadable = {
        ("a.parquet", 1, "NullText"),
        ("broken.parquet", None, "BrokenFile"),
        ("no-text.parquet", None, "MissingColumn"),
    }
    return {"parquet-0", "parquet-2"}, unreadable


@pytest.fixture(scope="module")
def corpus(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Refined by the command line: the JSON files first, the Parquet files as a second version."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "json").mkdir()
    (folder / "parquet").mkdir()
    good, unreadable = write_json_files(folder / "json")
    more = write_parquet_files(folder / "parquet")
    # What ended up where depends on no partitioning: small units spread the documents over many.
    common = [f"store={folder / 'store'}", "refinement=bad", "ingest.unit_bytes=200000", "generate.batch_units=1000"]
    common += ["document.engine.kind=rules", "chunk.engine.kind=rules"]
    arguments = [*common, f"input.path={folder / 'json'}", "input.format=json"]
    assert main(["refine", *arguments]) == 0
    last = [*common, f"input.path={folder / 'parquet'}", "input.format=parquet"]
    assert main(["refine", *last]) == 0
    return Corpus(folder, load_config(None, arguments), arguments, good | more[0], unreadable | more[1])


def test_every_document_of_a_damaged_corpus_has_one_fate(spark: Any, corpus: Corpus) -> None:
    n = check_conservation(spark, corpus.config)
    check_once(spark, corpus.config)
    # The odd ones that are documents: empty, blank, one of 10 MB in a line, one of 100,000 lines.
    assert n.documents == len(corpus.good) + 4


def test_every_record_of_every_file_is_a_document_or_a_quarantine_row(spark: Any, corpus: Corpus) -> None:
    by_file = """
        SELECT f.path, f.records,
               (SELECT count(*) FROM documents d WHERE d.file = f.path) +
               (SELECT count(*) FROM quarantine q WHERE q.file = f.path AND q.stage = 'ingest') AS rows
        FROM files f
    """
    found = query(spark, corpus.config.store, by_file).collect()
    assert len(found) == 8
    assert [(r.path, r.records) for r in found] == [(r.path, r.rows) for r in found]


def test_what_cannot_be_read_is_quarantined_with_file_position_and_reason(spark: Any, corpus: Corpus) -> None:
    rows = query(spark, corpus.config.store, "SELECT * FROM quarantine").collect()
    found = [(Path(r.file).name, r.position, r.error_class) for r in rows]
    assert sorted(found, key=str) == sorted(corpus.unreadable, key=str)
    assert all(r.message and r.stage == "ingest" for r in rows)


def test_every_readable_page_of_prose_comes_through(spark: Any, corpus: Corpus) -> None:
    kept = {r.doc_id for r in query(spark, corpus.config.store, "SELECT doc_id FROM refined").collect()}
    assert corpus.good <= kept
    assert kept - corpus.good <= {"long-line", "many-lines"}
    reasons = "SELECT doc_id, reason FROM dropped_documents WHERE doc_id IN ('empty', 'blank') ORDER BY 1"
    assert [tuple(r) for r in query(spark, corpus.config.store, reasons).collect()] == [
        ("blank", "empty"),
        ("empty", "empty"),
    ]


def test_odd_texts_arrive_unchanged_and_derive_again(spark: Any, corpus: Corpus) -> None:
    wanted = "SELECT doc_id, text FROM documents WHERE doc_id IN ('nul', 'long-line', 'many-lines')"
    texts = {r.doc_id: r.text for r in query(spark, corpus.config.store, wanted).collect()}
    assert texts == {"nul": json.loads(ODD[3][0])["text"], "long-line": LONG_LINE, "many-lines": MANY_LINES}
    assert check_rederivation(spark, corpus.config) >= len(corpus.good)


def test_a_damaged_corpus_again_adds_nothing(spark: Any, corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    before = versions(corpus.folder / "store")
    assert main(["refine", *corpus.arguments, "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["new"] is False
    assert versions(corpus.folder / "store") == before


def test_a_known_name_with_another_configuration_is_refused(
    spark: Any, corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    before = versions(corpus.folder / "store")
    assert main(["execute", *corpus.arguments, "execution.min_words=33"]) == 2
    reason = one_line(capsys)
    assert "'bad'" in reason
    assert "execution.min_words: was 10, now 33" in reason
    assert versions(corpus.folder / "store") == before


@pytest.fixture
def store_version(spark: Any, corpus: Corpus) -> Iterator[Callable[[int], None]]:
    """Gives the store another schema version, as another package would have written it."""
    table = open_store(spark, corpus.config.store).table("refinements")

    def write(number: int) -> None:
        spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('prox_spark.store_version' = '{number}')")

    yield write
    write(STORE_VERSION)


@pytest.mark.parametrize(
    ("number", "what_to_do"),
    [(STORE_VERSION + 1, "or newer"), (OLDEST_STORE - 1, "refine the corpus into a new store")],
)
def test_a_store_of_another_schema_version_is_refused_by_readers_and_writers(
    corpus: Corpus,
    store_version: Callable[[int], None],
    number: int,
    what_to_do: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store_version(number)
    before = versions(corpus.folder / "store")
    for arguments in (["history", "--store", corpus.config.store], ["refine", *corpus.arguments]):
        assert main(arguments) == 1
        reason = one_line(capsys)
        assert f"the store has layout {number}" in reason
        assert what_to_do in reason
    assert versions(corpus.folder / "store") == before


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The reason, one line at the end of standard error, behind the log; standard output is empty."""
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert [line.startswith("prox-spark: ") for line in lines] == [False] * (len(lines) - 1) + [True]
    return lines[-1] + "\n"


def refused(folder: Path, capsys: pytest.CaptureFixture[str], path: Path, *more: str) -> str:
    """The reason for which ``refine`` refuses an input, before it makes a store."""
    arguments = [f"store={folder / 'no-store'}", "chunk.engine.kind=rules", f"input.path={path}", *more]
    assert main(["refine", *arguments]) == 2
    assert not (folder / "no-store").exists()
    return one_line(capsys)


def test_a_path_that_matches_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reason = refused(tmp_path, capsys, tmp_path / "none" / "*.json", "input.format=json")
    assert "no file matches" in reason
    assert f"none{os.sep}*.json" in reason


def test_an_unknown_format_is_refused_with_the_nearest_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("{}\n")
    assert "did you mean 'fineweb'?" in refused(tmp_path, capsys, tmp_path / "a.json", "input.format=finewep")


def test_a_missing_column_is_refused_with_the_columns_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pa.table({"id": ["a"], "content": ["b"]}), tmp_path / "a.parquet")
    reason = refused(tmp_path, capsys, tmp_path / "a.parquet", "input.format=fineweb")
    assert "no column 'text' for text (known: id, content)" in reason
    (tmp_path / "a.json").write_text('{"text": "a", "key": "b"}\n')
    reason = refused(tmp_path, capsys, tmp_path / "a.json", "input.format=json", "input.columns.doc_id=keys")
    assert "no column 'keys' for doc_id (did you mean 'key'?)" in reason
