"""The cases of ../shared/cases/corpora: inputs that came out wrong once, each with its right value."""

import ast
import bz2
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from corpora_helpers import errors, read, texts

from prox_spark.corpora.columns import check_files
from prox_spark.corpora.files import FileInfo, list_files
from prox_spark.corpora.records import Tally
from prox_spark.errors import InputError
from prox_spark.ingestion.task import read_task
from prox_spark.ingestion.units import plan_units
from prox_spark.limits import DEFAULT


def run_task(files: list[FileInfo], format_name: str) -> list[dict[str, Any]]:
    """The rows that ``ingest`` reads of these files, in one task."""
    task = read_task([plan_units(files, 0, 1 << 28)], format_name, {}, "text", None, 1 << 28, None, DEFAULT)
    batches = task(iter([pa.RecordBatch.from_pydict({"id": pa.array([0], pa.int64())})]))
    return [row for batch in batches for row in batch.to_pylist()]


def pages(path: Path) -> list[str]:
    """The texts of an archive in which nothing may be unreadable."""
    rows = read(path, "warc")
    assert errors(rows) == []
    assert [row["position"] for row in rows] == list(range(len(rows)))
    return [text.strip() for text in texts(rows)]


def test_charset_labels_mean_what_the_encoding_standard_says(cases: Path) -> None:
    note = (cases / "warc-charset-labels/NOTE.md").read_text(encoding="utf-8")
    right = re.findall(r"^position \d+: charset=\S+: ('.*')$", note, re.MULTILINE)
    assert len(right) == 12
    assert pages(cases / "warc-charset-labels/in.warc.gz") == [ast.literal_eval(text) for text in right]


def test_codings_that_do_not_fit_leave_the_body(cases: Path) -> None:
    assert pages(cases / "warc-content-encoding/in.warc.gz") == ["hello body words"] * 10
    assert pages(cases / "warc-content-encoding/four-a-member.warc.gz") == [f"page {n}" for n in range(8)]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("warc-empty-gzip-member/first.warc.gz", 2),
        ("warc-empty-gzip-member/middle.warc.gz", 3),
        ("warc-lf-line-ends/http-lf.warc.gz", 2),
        ("warc-lf-line-ends/warc-lf.warc", 3),
        ("warc-lower-case-field-names/in.warc.gz", 3),
        ("warc-no-content-type/in.warc.gz", 4),
        ("warc-plain-first-record-bad/bom.warc", 4),
        ("warc-zst-dictionary/in.warc.zst", 3),
    ],
)
def test_every_page_is_read(cases: Path, name: str, count: int) -> None:
    assert pages(cases / name) == [f"page {n}" for n in range(count)]


def test_one_stray_byte_costs_one_character(cases: Path) -> None:
    rows = read(cases / "warc-one-stray-byte/in.warc.gz", "warc")
    assert errors(rows) == []
    for text in texts(rows):
        assert sum("\u4e00" <= letter <= "\u9fff" for letter in text) > 0.8 * len(text.strip())
        assert text.count("\ufffd") == 1
    assert all(float(row["metadata"]["broken_share"]) > 0 for row in rows)


def test_garbage_in_front_of_a_plain_archive_costs_no_page(cases: Path) -> None:
    rows = read(cases / "warc-plain-first-record-bad/garbage.warc", "warc")
    assert [text.strip() for text in texts(rows)] == ["page 0", "page 1", "page 2"]
    assert errors(rows) == [(0, "BrokenFile")]


def test_nan_is_no_id_and_16_bytes_are_hexadecimal(cases: Path) -> None:
    rows = read(cases / "parquet-nan-id/a.parquet", "parquet")
    assert texts(rows) == ["alpha", "beta", "gamma"]
    assert rows[0]["doc_id"] == "1.0"
    assert len({row["doc_id"] for row in rows}) == 3
    rows = read(cases / "parquet-nan-id/uuid16.parquet", "parquet")
    assert [row["doc_id"] for row in rows] == [f"{n:032x}" for n in range(3)]


def test_a_first_file_of_null_texts_is_not_refused(cases: Path) -> None:
    first, second = (cases / f"parquet-null-text-first/{name}.parquet" for name in "ab")
    check_files([str(first), str(second)], "parquet")
    assert errors(read(first, "parquet")) == [(0, "NullText")]
    assert texts(read(second, "parquet")) == ["alpha", "beta", "gamma"]


@pytest.mark.parametrize("name", ["Z", "tzutc"])
def test_a_time_zone_that_is_none_costs_no_document(cases: Path, name: str) -> None:
    tally = Tally()
    rows = read(cases / f"parquet-timezone/{name}.parquet", "parquet", tally=tally)
    assert len(texts(rows)) == 3
    assert list(tally.left_out) == ["crawled"]


def test_json_without_the_text_column_is_refused_before_work(cases: Path) -> None:
    path = str(cases / "files-done-with-wrong-format/x.jsonl")
    with pytest.raises(InputError, match=r"no column 'text' for text \(.*content.*\): set input\.columns\.text"):
        check_files([path], "json")
    check_files([path], "json", {"text": "content"})
    parquet = str(cases / "parquet-null-text-first/b.parquet")
    with pytest.raises(InputError, match=r"a Parquet file: set input\.format=parquet"):
        check_files([parquet], "json")


def test_a_bzip2_file_is_read(cases: Path) -> None:
    rows = read(cases / "json-bz2/in.jsonl.bz2")
    assert errors(rows) == []
    assert len(texts(rows)) == bz2.decompress((cases / "json-bz2/in.jsonl.bz2").read_bytes()).count(b"\n") > 0


def test_json_ids_and_numbers_keep_their_digits(cases: Path) -> None:
    rows = read(cases / "json-ids/in.jsonl")
    assert [row["doc_id"] for row in rows] == ["1.0", '{"$oid":"5a"}', "123456789012345678901234567890", "x"]
    assert rows[3]["metadata"] == {"n": "123456789012345678901234567890"}


def test_a_file_whose_name_is_not_utf8_is_read_beside_the_others(cases: Path, tmp_path: Path) -> None:
    shutil.copy(cases / "filename-not-utf8/good.jsonl", tmp_path)
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_text('{"text": "caf"}\n')
    files = list_files(str(tmp_path))
    check_files([file.path for file in files], "json")
    assert [file.name for file in files] == [f"{tmp_path}/caf\\xe9.jsonl", f"{tmp_path}/good.jsonl"]
    assert "caf" in {text for file in files for text in texts(read(file.path))}
    rows = run_task(files, "json")
    assert {row["file"] for row in rows} == {file.name for file in files}
    assert [row["kind"] for row in rows].count("end") == 2


def test_a_document_of_200_mb_is_a_row_beside_the_others(cases: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, cases / "json-200mb-document/make.py"], cwd=tmp_path, check=True)
    rows = run_task(list_files(str(tmp_path / "l.jsonl")), "json")
    assert [row["kind"] for row in rows] == ["document", "unreadable", "document", "end"]
    assert (rows[1]["doc_id"], rows[1]["error_class"], rows[1]["text"]) == ("long", "TooLarge", None)
