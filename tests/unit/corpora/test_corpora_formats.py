"""Formats, column mappings, and what is refused before any work."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prox_spark.corpora.columns import check_columns
from prox_spark.corpora.formats import FORMATS, get_format
from prox_spark.errors import InputError


def parquet(folder: Path, **columns: list[object]) -> str:
    path = folder / "part.parquet"
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_an_unknown_format_is_refused_with_the_nearest_known_name() -> None:
    with pytest.raises(InputError, match="did you mean 'fineweb-edu'"):
        get_format("fineweb_edu")
    with pytest.raises(InputError, match="did you mean 'delta'"):
        get_format("delte")


def test_a_spark_format_is_refused_as_a_file_format() -> None:
    with pytest.raises(InputError, match="read by Spark"):
        get_format("delta")


def test_a_mapping_replaces_the_formats_own_column() -> None:
    assert get_format("c4", {"doc_id": "id"}).doc_id == ("id",)
    assert FORMATS["c4"].doc_id == ()


def test_a_mapping_of_an_unknown_column_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'doc_id'"):
        get_format("c4", {"docid": "id"})


@pytest.mark.parametrize("name", ["warc", "wet", "text"])
def test_a_mapping_for_a_format_without_columns_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no columns to map"):
        get_format(name, {"text": "body"})


def test_a_parquet_file_without_the_text_column_is_refused_before_work(tmp_path: Path) -> None:
    path = parquet(tmp_path, content=["a"], texts=["b"])
    with pytest.raises(InputError, match=r"no column 'text' for text \(did you mean 'texts'\?\)"):
        check_columns(path, "fineweb")
    check_columns(path, "fineweb", {"text": "content"})


def test_a_parquet_file_without_a_mapped_column_is_refused_before_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"input\.columns\.doc_id"):
        check_columns(parquet(tmp_path, text=["a"], id=["1"]), "parquet", {"doc_id": "uid"})


def test_a_parquet_text_column_of_numbers_is_refused_before_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contains int64"):
        check_columns(parquet(tmp_path, text=[1]), "parquet")


def test_a_parquet_file_that_cannot_be_read_is_left_to_the_quarantine(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nonsense PAR1")
    check_columns(str(tmp_path / "x.parquet"), "parquet", {"doc_id": "id"})


def test_json_lines_that_all_lack_a_mapped_column_are_refused_before_work(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"text": "a", "ident": "1"}\n{broken\n{"text": "b", "ident": "2"}\n')
    with pytest.raises(InputError, match=r"no column 'id' for doc_id.*did you mean 'ident'"):
        check_columns(str(path), "json", {"doc_id": "id"})
    check_columns(str(path), "json", {"doc_id": "ident"})


def test_json_lines_where_some_have_the_mapped_column_pass(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("\n".join(json.dumps(one) for one in ({"text": "a"}, {"text": "b", "meta": {"id": "1"}})))
    check_columns(str(path), "json", {"doc_id": "meta.id"})
