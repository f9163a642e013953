"""Parquet: what is read, and what is quarantined instead."""

import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora_helpers import errors, read, texts


def write(folder: Path, table: pa.Table, **options: object) -> Path:
    path = folder / "part.parquet"
    pq.write_table(table, path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()],
    ids=str,
)
def test_texts_of_every_string_type_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    values = ["é", "", None, "a\0b"]
    encoded = [None if one is None else one.encode() for one in values]
    column = pa.array(encoded, pa.binary()).cast(pa.string()).cast(kind)
    rows = read(write(tmp_path, pa.table({"text": column})), "parquet")
    assert texts(rows) == ["é", "", "a\0b"]
    assert errors(rows) == [(2, "NullText")]


def test_dictionary_coded_texts_are_read(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array(["a", "b", "a", None]).dictionary_encode()})
    assert texts(read(write(tmp_path, table), "parquet")) == ["a", "b", "a"]


def test_text_that_is_not_utf8_is_quarantined_alone(tmp_path: Path) -> None:
    raw = pa.array([b"a", b"caf\xe9", b"b"], pa.binary())
    broken = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    rows = read(write(tmp_path, pa.table({"text": broken, "id": ["1", "2", "3"]})), "fineweb")
    assert errors(rows) == [(1, "NotUtf8")]
    assert [row["doc_id"] for row in rows] == ["1", "2", "3"]


def test_other_columns_become_metadata(tmp_path: Path) -> None:
    when = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "text": ["a"],
            "id": ["1"],
            "url": ["u"],
            "score": [0.5],
            "n": [3],
            "ok": [True],
            "none": pa.array([None], pa.string()),
            "when": [when],
            "day": [when.date()],
            "price": [Decimal("1.50")],
            "nested": [{"a": [1, None], "t": when.date()}],
        }
    )
    (row,) = read(write(tmp_path, table), "fineweb-edu")
    assert (row["doc_id"], row["url"], row["source"]) == ("1", "u", "fineweb-edu")
    assert row["metadata"] == {
        "score": "0.5",
        "n": "3",
        "ok": "true",
        "when": "2024-01-02T03:04:05+00:00",
        "day": "2024-01-02",
        "price": "1.50",
        "nested": '{"a": [1, null], "t": "2024-01-02"}',
    }


def test_columns_are_mapped_to_columns_and_to_fields_of_structs(tmp_path: Path) -> None:
    table = pa.table({"body": ["a"], "meta": [{"key": 7, "link": "u"}]})
    columns = {"text": "body", "doc_id": "meta.key", "url": "meta.link"}
    (row,) = read(write(tmp_path, table), "parquet", columns=columns)
    assert (row["text"], row["doc_id"], row["url"]) == ("a", "7", "u")


def test_positions_count_over_row_groups(tmp_path: Path) -> None:
    path = write(tmp_path, pa.table({"text": [str(n) for n in range(2_500)]}), row_group_size=700)
    rows = read(path, "parquet")
    assert [row["position"] for row in rows] == list(range(2_500))
    assert texts(rows) == [str(n) for n in range(2_500)]


@pytest.mark.parametrize("damage", ["footer", "cut", "empty", "other"])
def test_a_broken_footer_is_one_row_of_quarantine(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path, pa.table({"text": ["a"] * 100}))
    data = path.read_bytes()
    broken = {
        "footer": data[:-40] + b"\0" * 36 + b"PAR1",
        "cut": data[: len(data) // 2],
        "empty": b"",
        "other": b'{"text": "a"}\n',
    }
    path.write_bytes(broken[damage])
    assert errors(read(path, "parquet")) == [(None, "BrokenFile")]


def test_a_broken_row_group_costs_its_own_rows(tmp_path: Path) -> None:
    path = write(tmp_path, pa.table({"text": [f"{n:0100}" for n in range(300)]}), row_group_size=100)
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).dictionary_page_offset
    data = bytearray(path.read_bytes())
    assert start is not None
    data[start : start + 60] = b"\xff" * 60
    path.write_bytes(bytes(data))
    rows = read(path, "parquet")
    assert errors(rows) == [(100, "BrokenFile")]
    assert [row["position"] for row in rows if row["text"] is not None] == [*range(100), *range(200, 300)]


def test_a_file_without_the_text_column_is_one_row_of_quarantine(tmp_path: Path) -> None:
    assert errors(read(write(tmp_path, pa.table({"body": ["a"]})), "fineweb")) == [(None, "MissingColumn")]


def test_a_text_column_of_numbers_is_quarantined_row_by_row(tmp_path: Path) -> None:
    rows = read(write(tmp_path, pa.table({"text": [1, 2]})), "parquet")
    assert errors(rows) == [(0, "WrongType"), (1, "WrongType")]
