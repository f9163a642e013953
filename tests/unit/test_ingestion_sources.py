"""Rows of Spark tables follow the rules of files: what is refused before work, and what becomes of each row. No Spark runs."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    IntegerType,
    NullType,
    StringType,
    StructField,
    StructType,
)

from prox_spark.config.models import InputConfig
from prox_spark.corpora.read import read_file
from prox_spark.errors import InputError
from prox_spark.ingestion.sources import convert, map_columns
from prox_spark.ingestion.task import READ

SOURCE = InputConfig(path="/tables/t", format="delta")


def table(texts: Any, ids: Any = None, **others: Any) -> pa.RecordBatch:
    n = len(texts)
    columns = {
        "doc_id": pa.nulls(n, pa.string()) if ids is None else ids,
        "source": pa.array(["s"] * n),
        "url": pa.nulls(n, pa.string()),
        "metadata": pa.nulls(n, pa.map_(pa.string(), pa.string())),
        "text": texts,
    }
    return pa.RecordBatch.from_pydict(columns | others)


def rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    read = convert(batch, "/tables/t", 3)
    assert read.schema.equals(READ)
    read.validate(full=True)
    found = pa.Table.from_batches([read]).to_pylist(maps_as_pydicts="strict")
    assert all(
        (row["text"] is None) == (row["kind"] == "unreadable") == (row["error_class"] is not None) for row in found
    )
    return found


def as_strings(values: list[bytes | None], kind: pa.DataType) -> Any:
    """Strings that nobody has checked, as Spark hands them out."""
    data = pa.array(values, pa.binary())
    return (
        data
        if kind == pa.binary()
        else pa.StringArray.from_buffers(len(values), *data.buffers()[1:], data.buffers()[0])
    )


def read_case(folder: Path) -> pa.Table:
    return pa.concat_tables(pq.read_table(part) for part in sorted(folder.glob("*.parquet")))


def test_the_case_of_text_that_is_not_utf8_is_one_document_and_one_row(cases: Path) -> None:
    found = read_case(cases / "delta-invalid-utf8/d_badutf8").combine_chunks()
    read = rows(table(found["text"].chunk(0), found["doc_id"].chunk(0)))
    assert sorted(row["error_class"] or "" for row in read) == ["", "NotUtf8"]


@pytest.mark.parametrize("name", ["d_arr", "d_int"])
def test_the_cases_of_texts_that_are_no_strings_are_refused(cases: Path, name: str) -> None:
    log = (cases / f"delta-text-types/{name}/_delta_log/00000000000000000000.json").read_text().splitlines()
    (schema,) = (json.loads(line)["metaData"]["schemaString"] for line in log if "metaData" in line)
    with pytest.raises(InputError, match="not strings"):
        map_columns(StructType.fromJson(json.loads(schema)), SOURCE)


def test_the_case_of_empty_ids_is_three_documents(cases: Path) -> None:
    found = read_case(cases / "delta-text-types/d_emptyid").combine_chunks()
    read = rows(table(found["text"].chunk(0), found["doc_id"].chunk(0)))
    assert len({row["doc_id"] for row in read}) == 3
    assert all(len(row["doc_id"]) == 32 for row in read)


@pytest.mark.parametrize("kind", [pa.string(), pa.binary()], ids=str)
def test_text_that_is_null_or_not_utf8_is_a_row_and_the_rest_is_read(kind: pa.DataType) -> None:
    found = rows(table(as_strings([b"good", b"a\xffb", None, "é".encode(), b""], kind)))
    assert [row["text"] for row in found] == ["good", None, None, "é", ""]
    assert [row["error_class"] for row in found] == [None, "NotUtf8", "NullText", None, None]
    assert found[1]["message"].startswith("not UTF-8 at byte 1 of 3")
    assert {row["file"] for row in found} == {"/tables/t"}
    assert {row["unit"] for row in found} == {3}


def test_what_is_beside_the_text_costs_no_document() -> None:
    bad = as_strings([b"u\xff", b"fine", None], pa.string())
    offsets, keys = pa.array([0, 1, 2, 2], pa.int32()), as_strings([b"k\xff", b"k"], pa.string())
    metadata = pa.MapArray.from_arrays(offsets, keys, as_strings([b"v\xff", b"v"], pa.string()))
    batch = table(pa.array(["a", "b", "c"]), url=bad, source=bad, metadata=metadata)
    for found in (rows(batch), rows(batch.slice(0, 3))):
        assert [row["url"] for row in found] == ["u\ufffd", "fine", None]
        assert [row["metadata"] for row in found] == [{"k\ufffd": "v\ufffd"}, {"k": "v"}, {}]
    assert [row["metadata"] for row in rows(batch.slice(1))] == [{"k": "v"}, {}]


@pytest.mark.parametrize(
    "values",
    [["a", "", None], [1, 2**60, None], [1.0, 0.1, 12345678.0], [float("nan"), float("inf"), 2.0], [True, False, None],
     [{"$oid": "5a"}, {"$oid": "é"}, None], [[1, 2], [], None]],
)  # fmt: skip
def test_ids_are_those_that_parquet_files_of_the_same_values_have(tmp_path: Path, values: list[Any]) -> None:
    ids, texts = pa.array(values), pa.array(["x", "y", "z"])
    pq.write_table(pa.table({"doc_id": ids, "text": texts}), tmp_path / "x.parquet")
    (batch,) = read_file(str(tmp_path / "x.parquet"), "parquet")
    from_file, from_table = batch.column("doc_id").to_pylist(), [row["doc_id"] for row in rows(table(texts, ids))]
    for one, other in zip(from_file, from_table, strict=True):
        # Without an id a file's row is known by its place, too; a table's has none.
        assert one == other or (len(one) == len(other) == 32)


def test_a_row_without_id_keeps_the_hash_of_its_text() -> None:
    for row in rows(table(pa.array(["a", "b"]))):
        assert row["doc_id"] == row["content_hash"]


def schema(kind: DataType, name: str = "text") -> StructType:
    return StructType([StructField("id", StringType()), StructField(name, kind)])


@pytest.mark.parametrize("kind", [StringType(), BinaryType(), NullType()])
def test_texts_of_strings_bytes_and_nulls_alone_are_accepted(kind: DataType) -> None:
    assert map_columns(schema(kind), SOURCE)["text"] == "text"


@pytest.mark.parametrize("kind", [IntegerType(), ArrayType(StringType()), StructType([StructField("x", StringType())])])
@pytest.mark.parametrize("format_name", ["delta", "table"])
def test_texts_of_other_types_are_refused(kind: DataType, format_name: str) -> None:
    source = InputConfig(path="/tables/t", format=format_name, columns={"text": "body"})
    with pytest.raises(InputError, match=r"column 'body' for text contains .*, not strings: map input\.columns\.text"):
        map_columns(schema(kind, "body"), source)
