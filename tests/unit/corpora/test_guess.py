"""A look at the first file of a corpus finds its format and columns."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prox_spark.config.load import load_config
from prox_spark.corpora.guess import guess
from prox_spark.corpora.read import read_file
from prox_spark.demo.corpus import FILES, write_corpus
from prox_spark.errors import InputError


def write_lines(file: Path, records: list[Any]) -> str:
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(file)


def test_the_demos_files_are_what_they_are_called(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    assert {name: guess(str(tmp_path / file)).format for name, file in FILES.items()} == {name: name for name in FILES}


def test_columns_of_any_name_are_found_by_what_is_in_them(tmp_path: Path) -> None:
    records = [
        {"_id": number, "passage_html": "a few words " * 9, "lang": "en", "Link": f"https://example.org/{number}"}
        for number in range(3)
    ]
    found = guess(write_lines(tmp_path / "pages.jsonl", records))
    assert (found.format, found.columns["text"], found.columns["doc_id"]) == ("json", "passage_html", "_id")
    assert found.columns["url"] == "Link" or "url" not in found.columns
    (batch,) = read_file(str(tmp_path / "pages.jsonl"), found.format, columns=found.columns)
    assert batch.column("error_class").null_count == 3


@pytest.mark.parametrize(
    ("records", "format_name"),
    [
        ([{"raw_content": "words", "doc_id": "a"}], "redpajama-v2"),
        ([{"id": "a", "text": "words", "source": "x", "metadata": {"url": "https://example.org"}}], "dolma"),
        ([{"text": "words", "metadata": {"WARC-Record-ID": "<urn:uuid:1>"}}], "dclm"),
        ([{"text": "words"}], "json"),
    ],
)
def test_a_format_is_known_by_its_columns(tmp_path: Path, records: list[Any], format_name: str) -> None:
    found = guess(write_lines(tmp_path / "pages.json", records))
    assert (found.format, found.columns) == (format_name, {})


def test_ids_that_repeat_are_no_ids(tmp_path: Path) -> None:
    found = guess(write_lines(tmp_path / "pages.json", [{"content": "one", "uuid": 1}, {"content": "two", "uuid": 1}]))
    assert found.columns == {"text": "content"}


def test_archives_text_and_parquet_are_known_by_their_bytes(tmp_path: Path) -> None:
    record = "WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 5\r\n\r\nwords\r\n\r\n"
    (tmp_path / "a.gz").write_bytes(gzip.compress(record.encode()))
    (tmp_path / "b.gz").write_bytes(gzip.compress(record.replace("conversion", "response").encode()))
    (tmp_path / "c").write_text("Some words.\nMore words.\n")
    pq.write_table(pa.table({"body": ["words"], "n": [1]}), tmp_path / "d")
    found = [guess(str(tmp_path / name)) for name in ("a.gz", "b.gz", "c", "d")]
    assert [one.format for one in found] == ["wet", "warc", "text", "parquet"]
    assert found[-1].columns == {"text": "body"}


def test_what_cannot_be_guessed_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("")
    with pytest.raises(InputError, match=r"all 1 files of .* are empty"):
        guess(str(tmp_path / "empty.json"))
    with pytest.raises(InputError, match=r"no column of strings that can be the text \(columns: n\)"):
        guess(write_lines(tmp_path / "numbers.json", [{"n": 1}]))
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(InputError, match="ZIP"):
        guess(str(tmp_path / "a.zip"))
    (tmp_path / "table" / "_delta_log").mkdir(parents=True)
    pq.write_table(pa.table({"text": ["words"]}), tmp_path / "table" / "part.parquet")
    with pytest.raises(InputError, match=r"is a Delta table: set input\.format=delta"):
        guess(str(tmp_path / "table"))
    with pytest.raises(InputError, match="no file matches"):
        guess(str(tmp_path / "missing"))


def test_a_mapping_that_was_guessed_is_a_configuration(tmp_path: Path) -> None:
    found = guess(write_lines(tmp_path / "pages.json", [{"content": "words", "uri": "https://example.org"}]))
    config = load_config(
        "rules",
        [f"input.format={found.format}", *(f"input.columns.{ours}={name}" for ours, name in found.columns.items())],
    )
    assert config.input is not None
    assert config.input.columns == {"text": "content", "url": "uri"}
