"""Parquet files as other tools write them: what only metadata needs costs no document, and nothing is lost in silence."""

import datetime
import decimal
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpora_helpers import errors, read, texts

from prox_spark.corpora.columns import check_columns, check_files
from prox_spark.corpora.files import list_files
from prox_spark.corpora.records import Tally
from prox_spark.errors import InputError


def write(folder: Path, table: pa.Table, name: str = "part.parquet", **options: Any) -> Path:
    path = folder / name
    pq.write_table(table, path, **options)
    return path


def overwrite(path: Path, column: int, group: int = 0) -> None:
    """Change bytes in the middle of a column's pages."""
    chunk = pq.ParquetFile(path).metadata.row_group(group).column(column)
    data = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    middle = start + chunk.total_compressed_size // 2
    data[middle : middle + 8] = bytes(byte ^ 0xFF for byte in data[middle : middle + 8])
    path.write_bytes(bytes(data))


def times(zone: str | None, unit: str = "us") -> Any:
    return pa.array([0, 1, 2], pa.int64()).cast(pa.timestamp(unit, zone))


@pytest.mark.parametrize("zone", ["Z", "tzutc()", "Nowhere/Town"])
def test_a_time_zone_that_is_none_costs_that_column_and_is_counted(tmp_path: Path, zone: str) -> None:
    table = pa.table({"id": ["a", "b", "c"], "text": ["x", "y", "z"], "crawled": times(zone), "n": [1, 2, 3]})
    tally = Tally()
    rows = read(write(tmp_path, table), "parquet", tally=tally)
    assert texts(rows) == ["x", "y", "z"]
    assert [row["metadata"] for row in rows] == [{"n": "1"}, {"n": "2"}, {"n": "3"}]
    assert list(tally.left_out) == ["crawled"]
    assert "cannot be shown" in tally.left_out["crawled"]


def test_columns_of_many_types_cost_no_document(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ["x"],
            "ns": pa.array([10**18 + 1], pa.timestamp("ns")),
            "huge": pa.array([2**62], pa.timestamp("us")),
            "price": pa.array([decimal.Decimal("1.5")], pa.decimal256(50, 2)),
            "bytes": pa.array([b"\xff\xfe"], pa.binary(2)),
            "ascii": pa.array([b"ab"], pa.binary(2)),
            "nested": pa.array([[{"when": datetime.datetime(2024, 1, 2), "raw": b"\xff"}]]),
            "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
            "span": pa.array([5], pa.duration("s")),
            "view": pa.array(["v"], pa.string_view()),
            "coded": pa.array([7]).dictionary_encode(),
        }
    )
    tally = Tally()
    (row,) = read(write(tmp_path, table), "parquet", tally=tally)
    assert row["text"] == "x"
    assert list(tally.left_out) == ["huge"]
    expected = {"bytes": "fffe", "ascii": "ab", "view": "v", "coded": "7", "price": "1.50"}
    assert {name: row["metadata"][name] for name in expected} == expected
    assert row["metadata"]["nested"] == '[{"when": "2024-01-02T00:00:00", "raw": "ff"}]'


@pytest.mark.parametrize("checksum", [True, False])
def test_a_damaged_column_of_metadata_costs_no_document(tmp_path: Path, checksum: bool) -> None:
    values = [f"{n:0200}" for n in range(3_000)]
    table = pa.table({"text": values, "note": values[::-1], "n": list(range(3_000))})
    path = write(tmp_path, table, write_page_checksum=checksum, use_dictionary=False)
    overwrite(path, 1)
    tally = Tally()
    rows = read(path, "parquet", tally=tally)
    assert texts(rows) == values
    assert [row["position"] for row in rows] == list(range(3_000))
    assert list(tally.left_out) == ["note"]
    assert rows[-1]["metadata"] == {"n": "2999"}


def test_a_checksum_that_does_not_match_is_a_row(tmp_path: Path) -> None:
    table = pa.table({"text": [f"page {n}" for n in range(2_000)]})
    path = write(
        tmp_path, table, write_page_checksum=True, compression="none", use_dictionary=False, row_group_size=1_000
    )
    data = path.read_bytes()
    path.write_bytes(data.replace(b"page 1500", b"pagf 1500", 1))
    rows = read(path, "parquet")
    assert texts(rows) == [f"page {n}" for n in range(1_000)]
    assert errors(rows) == [(1_000, "BrokenFile")]


def test_row_groups_that_have_fewer_rows_than_the_footer_says_are_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, pa.table({"text": ["a", "b", "c"]}))
    whole = pq.ParquetFile.iter_batches

    def shortened(self: pq.ParquetFile, **options: Any) -> Any:
        return (batch.slice(0, 2) for batch in whole(self, **options))

    # No writer makes such a file, and Arrow refuses most of them; a decoder's error would look so.
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", shortened)
    rows = read(path, "parquet")
    assert texts(rows) == ["a", "b"]
    assert errors(rows) == [(2, "BrokenFile")]


def test_a_column_of_metadata_that_is_shorter_than_the_footer_says_costs_no_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, pa.table({"text": ["a", "b", "c"], "note": ["x"] * 3, "n": [1, 2, 3]}))
    whole = pq.ParquetFile.iter_batches

    def shortened(self: pq.ParquetFile, **options: Any) -> Any:
        short = options["columns"] is None or "note" in options["columns"]
        return (batch.slice(0, 2 if short else None) for batch in whole(self, **options))

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", shortened)
    tally = Tally()
    rows = read(path, "parquet", tally=tally)
    assert [(row["position"], row["text"]) for row in rows] == [(0, "a"), (1, "b"), (2, "c")]
    assert rows[2]["metadata"] == {"n": "3"}
    assert list(tally.left_out) == ["note"]


def test_nan_and_infinity_are_no_ids_and_numbers_are(tmp_path: Path) -> None:
    ids = pa.array([1.0, float("nan"), float("nan"), float("-inf"), 0.1])
    rows = read(write(tmp_path, pa.table({"id": ids, "text": list("abcde")})), "parquet")
    assert [rows[0]["doc_id"], rows[4]["doc_id"]] == ["1.0", "0.1"]
    assert len({row["doc_id"] for row in rows}) == 5
    assert all(len(row["doc_id"]) == 32 for row in rows[1:4])


@pytest.mark.parametrize("kind", [pa.binary(16), pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
def test_ids_of_bytes_are_text_or_hexadecimal(tmp_path: Path, kind: pa.DataType) -> None:
    values = [bytes(range(240, 256)), b"\xff" * 16, b"0123456789abcdef"]
    table = pa.table({"id": pa.array(values, pa.binary()).cast(kind), "text": list("abc")})
    rows = read(write(tmp_path, table), "parquet")
    assert [row["doc_id"] for row in rows] == [values[0].hex(), "ff" * 16, "0123456789abcdef"]


@pytest.mark.parametrize("kind", [pa.string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_an_empty_id_is_none_in_every_string_type(tmp_path: Path, kind: pa.DataType) -> None:
    ids = pa.array(["", "", None, "x"], pa.string())
    ids = ids.dictionary_encode() if pa.types.is_dictionary(kind) else ids.cast(kind)
    rows = read(write(tmp_path, pa.table({"id": ids, "text": list("abcd")})), "parquet")
    assert len({row["doc_id"] for row in rows}) == 4
    assert rows[3]["doc_id"] == "x"


def doubled(folder: Path, name: str) -> Path:
    columns = [pa.array(["1"]), pa.array(["a"]), pa.array(["b"]), pa.array(["c"])]
    names = {"text": ["id", "text", "text", "n"], "note": ["id", "text", "note", "note"]}[name]
    return write(folder, pa.Table.from_arrays(columns, names=names))


def test_a_doubled_text_column_is_refused_and_is_one_row(tmp_path: Path) -> None:
    path = doubled(tmp_path, "text")
    assert errors(read(path, "parquet")) == [(None, "AmbiguousColumn")]
    with pytest.raises(InputError, match="two columns are called 'text'"):
        check_columns(str(path), "parquet")


def test_a_doubled_column_of_metadata_is_counted(tmp_path: Path) -> None:
    tally = Tally()
    assert texts(read(doubled(tmp_path, "note"), "parquet", tally=tally)) == ["a"]
    assert list(tally.left_out) == ["note"]


def test_a_first_file_whose_texts_are_all_null_is_rows_of_null_text(tmp_path: Path) -> None:
    first = write(tmp_path, pa.table({"text": pa.nulls(2)}), "a.parquet")
    second = write(tmp_path, pa.table({"text": ["x"]}), "b.parquet")
    check_files([str(first), str(second)], "parquet")
    assert errors(read(first, "parquet")) == [(0, "NullText"), (1, "NullText")]


def test_one_odd_file_among_others_is_left_to_the_quarantine(tmp_path: Path) -> None:
    odd = write(tmp_path, pa.table({"body": ["x"]}), "a.parquet")
    good = write(tmp_path, pa.table({"text": ["x"]}), "b.parquet")
    check_files([str(odd), str(good)], "parquet")
    with pytest.raises(InputError, match="no column 'text'"):
        check_files([str(odd), str(odd)], "parquet")


@pytest.mark.parametrize("kind", ["list", "struct", "number"])
def test_a_text_column_that_holds_no_strings_is_refused(tmp_path: Path, kind: str) -> None:
    values: dict[str, list[Any]] = {"list": [["x"]], "struct": [{"x": "y"}], "number": [1]}
    path = write(tmp_path, pa.table({"text": values[kind]}))
    with pytest.raises(InputError, match="not strings"):
        check_files([str(path)], "parquet")


@pytest.mark.parametrize("part", ["x.parquet", "lang=en/day=1/x.parquet"])
def test_files_of_a_delta_table_are_refused(tmp_path: Path, part: str) -> None:
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / part)
    with pytest.raises(InputError, match=r"is a Delta table.*input\.format=delta"):
        check_files([str(tmp_path / part)], "parquet")
    (tmp_path / "other").mkdir()
    beside = write(tmp_path / "other", pa.table({"text": ["x"]}))
    check_files([str(beside)], "parquet")


def test_files_of_a_delta_table_elsewhere_are_refused(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    root = "/prox-spark-test-delta"
    try:
        memory.pipe(f"{root}/t/_delta_log/00000000000000000000.json", b"{}")
        memory.pipe(f"{root}/t/day=1/x.parquet", write(tmp_path, pa.table({"text": ["x"]})).read_bytes())
        memory.pipe(f"{root}/u/x.parquet", (tmp_path / "part.parquet").read_bytes())
        with pytest.raises(InputError, match=r"/t: is a Delta table"):
            check_files([file.path for file in list_files(f"memory:/{root}")], "parquet")
        check_files([file.path for file in list_files(f"memory:/{root}/u")], "parquet")
    finally:
        memory.rm(root, recursive=True)


@pytest.mark.parametrize("stored", [True, False])
def test_a_text_of_the_json_type_is_a_text(tmp_path: Path, stored: bool) -> None:
    values = pa.array(['{"a":1}', None], pa.json_())
    path = write(tmp_path, pa.table({"text": values, "id": values, "note": values}), store_schema=stored)
    check_files([str(path)], "parquet")
    rows = read(path, "parquet")
    assert (rows[0]["text"], rows[0]["doc_id"], rows[0]["metadata"]) == ('{"a":1}', '{"a":1}', {"note": '{"a":1}'})
    assert errors(rows) == [(1, "NullText")]


@pytest.mark.parametrize(
    "mapping", [{"text": "d.body"}, {"text": "d.text.x"}, {"text": "text.x"}, {"doc_id": "key"}, {"doc_id": "d.key"}]
)
def test_a_file_without_a_mapped_column_or_field_is_one_row(tmp_path: Path, mapping: dict[str, str]) -> None:
    path = write(tmp_path, pa.table({"d": [{"text": "a"}], "text": ["a"], "id": ["1"]}))
    (row,) = read(path, "parquet", columns=mapping)
    assert (row["position"], row["error_class"]) == (None, "MissingColumn")
    (column,) = mapping.values()
    assert f"no column {column} for" in row["message"]


def test_a_field_of_a_struct_is_a_text_or_an_id(tmp_path: Path) -> None:
    path = write(tmp_path, pa.table({"d": [{"e": {"text": "a", "key": "k"}}, None]}))
    rows = read(path, "parquet", columns={"text": "d.e.text", "doc_id": "d.e.key"})
    assert [(row["text"], row["doc_id"]) for row in rows] == [("a", "k"), (None, None)]
    assert errors(rows) == [(1, "NullText")]


def test_ids_that_cannot_be_shown_are_counted(tmp_path: Path) -> None:
    table = pa.table({"id": times("Nowhere/Town"), "text": ["x", "y", "z"]})
    tally = Tally()
    rows = read(write(tmp_path, table), "parquet", tally=tally)
    assert texts(rows) == ["x", "y", "z"]
    assert len({row["doc_id"] for row in rows}) == 3
    assert list(tally.left_out) == ["id"]
