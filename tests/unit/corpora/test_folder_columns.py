"""Folders called key=value give their records columns, as they do in Hive, Spark and pyarrow."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from corpora_helpers import read
from warc_helpers import page

from prox_spark.corpora.columns import check_files
from prox_spark.corpora.files import list_files
from prox_spark.corpora.folders import folder_columns
from prox_spark.corpora.read import read_start
from prox_spark.corpora.records import document_ids
from prox_spark.errors import InputError


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        ("/d/lang=en/day=01/x.jsonl", {"lang": "en", "day": "01"}),
        ("/d/lang=en/part/x.jsonl", {"lang": "en"}),
        ("/run=1/d/lang=en/x.jsonl", {"lang": "en"}),
        ("/d/lang=en/lang=de/x.jsonl", {"lang": "de"}),
        ("/d/a%3Db=c%2Fd%25/x.jsonl", {"a=b": "c/d%"}),
        ("/d/a=b=c/x.jsonl", {"a": "b=c"}),
        ("/d/a=/x.jsonl", {"a": ""}),
        ("/d/=a/x.jsonl", {}),
        ("/d/lang=__HIVE_DEFAULT_PARTITION__/x.jsonl", {}),
        ("/d/lang=__HIVE_DEFAULT_PARTITION__/day=1/x.jsonl", {"day": "1"}),
        ("s3://bucket/lang=en/x.jsonl", {"lang": "en"}),
        ("/d/a=%FF/x.jsonl", {"a": "\ufffd"}),
        ("/d/a=caf\udce9/x.jsonl", {"a": r"caf\xe9"}),
        ("/d/x=1.jsonl", {}),
        ("x.jsonl", {}),
    ],
)
def test_the_nearest_run_of_folders_names_the_columns(path: str, columns: dict[str, str]) -> None:
    assert dict(folder_columns(path)) == columns


def test_what_pyarrow_writes_into_folders_comes_back(tmp_path: Path) -> None:
    values = ["en", "a/b", "50%", "ä ö", "x=y", "a #b", None]
    table = pa.table({"text": [f"page {n}" for n in range(len(values))], "kind": values, "n": range(len(values))})
    parts = ds.partitioning(pa.schema([("kind", pa.string()), ("n", pa.int64())]), flavor="hive")
    ds.write_dataset(table, tmp_path, format="parquet", partitioning=parts)
    rows = [row for file in list_files(str(tmp_path)) for row in read(file.path, "parquet")]
    found = {row["text"]: (row["metadata"].get("kind"), row["metadata"]["n"]) for row in rows}
    assert found == {f"page {n}": (value, str(n)) for n, value in enumerate(values)}


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet"])
def test_a_records_own_columns_win_and_ids_stay(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / "lang=en" / "url=u" / "text=t" / "source=web" / name,
        {"text": "one", "lang": "de", "url": "http://a", "n": "1"},
        {"text": "two", "lang": None, "url": None, "n": "2"},
    )
    format_name = "parquet" if name.endswith("parquet") else "json"
    first, second = read(path, format_name)
    assert (first["url"], first["source"]) == ("http://a", format_name)
    assert first["metadata"] == {"lang": "de", "n": "1", "source": "web"}
    assert (second["url"], second["metadata"]) == (None, {"lang": "en", "n": "2", "source": "web", "url": "u"})
    assert first["doc_id"] == document_ids(str(path))(format_name, 0, b"one")


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet"])
def test_a_folders_key_can_be_mapped(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "site=web" / name, {"text": "one"}, {"text": "two"})
    format_name, columns = ("parquet" if name.endswith("parquet") else "json"), {"source": "site"}
    check_files([str(path)], format_name, columns)
    assert [(row["source"], row["metadata"]) for row in read(path, format_name, columns=columns)] == [("web", {})] * 2
    with pytest.raises(InputError, match="no column 'site' for doc_id"):
        check_files([str(path)], format_name, {"doc_id": "site"})
    with pytest.raises(InputError, match="no column 'site' for text"):
        check_files([str(path)], format_name, {"text": "site"})


def test_every_format_has_the_columns_and_rows_of_quarantine_have_none(tmp_path: Path) -> None:
    folder = tmp_path / "lang=en"
    folder.mkdir()
    (folder / "a.txt").write_text("text")
    (folder / "b.warc").write_bytes(page(1))
    assert read(folder / "a.txt", "text")[0]["metadata"] == {"lang": "en"}
    assert read(folder / "b.warc", "warc")[0]["metadata"]["lang"] == "en"
    (row,) = read(write(folder / "c.jsonl", {"text": None}))
    assert (row["error_class"], row["metadata"]) == ("NullText", {})


def test_a_sample_has_the_columns_too(tmp_path: Path) -> None:
    path = write(tmp_path / "lang=en" / "x.jsonl", {"text": "one"})
    ((record, _),) = read_start(str(path), "json", path.stat().st_size)
    assert record.metadata == {"lang": "en"}
