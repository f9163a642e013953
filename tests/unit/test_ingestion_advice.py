"""What ingest says where all that it found is in quarantine for the same reason."""

import json
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import prox_spark
from prox_spark.corpora.columns import Lacking, check_files
from prox_spark.corpora.read import read_file
from prox_spark.errors import InputError
from prox_spark.ingestion.advice import ADVICE, advice

PACKAGE = Path(prox_spark.__file__).parent


def advise(path: Path, format_name: str = "json", **options: dict[str, str]) -> str | None:
    """The advice after reading one file."""
    rows = [
        row for batch in read_file(str(path), format_name, columns=options.get("columns")) for row in batch.to_pylist()
    ]
    counts = Counter((row["error_class"], row["message"]) for row in rows if row["error_class"])
    return advice(counts, sum(counts.values()), sum(row["error_class"] is None for row in rows), format_name)


def lines(folder: Path, *rows: object) -> Path:
    path = folder / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_records_that_have_their_text_elsewhere_say_where(tmp_path: Path) -> None:
    path = lines(tmp_path, {"content": "a", "id": 1}, {"content": "b", "id": 2, "URL": "u"})
    assert advise(path) == "all 2 records lack `text`; the records have `content`: input.columns.text=content"
    with pytest.raises(InputError, match=r"set input\.columns\.text=content or another input\.format"):
        check_files([str(path)], "json")


def test_a_likely_column_is_found_among_many(tmp_path: Path) -> None:
    row = {**{f"column_{number:03}": number for number in range(100)}, "content": "a"}
    assert advise(lines(tmp_path, row, row)) == (
        "all 2 records lack `text`; the records have `content`: input.columns.text=content"
    )


def test_one_record_is_told_as_one(tmp_path: Path) -> None:
    assert (
        advise(lines(tmp_path, {"Body": "a"})) == "the only record lacks `text`; it has `Body`: input.columns.text=Body"
    )


def test_files_are_told_as_files(tmp_path: Path) -> None:
    pq.write_table(pa.table({"content": ["a", "b"], "n": [1, 2]}), tmp_path / "x.parquet")
    wanted = "the only file lacks `text`; it has `content`: input.columns.text=content"
    assert advise(tmp_path / "x.parquet", "parquet") == wanted


def test_a_name_that_a_shell_would_cut_is_quoted(tmp_path: Path) -> None:
    path = lines(tmp_path, {"the text": "a", "n": 1})
    assert advise(path) == "the only record lacks `text`; it has `the text`: 'input.columns.text=the text'"


def test_without_a_likely_column_all_that_the_records_have_in_common_are_named(tmp_path: Path) -> None:
    path = lines(tmp_path, {"a": 1, "b": 2, "c": 3}, {"b": 1, "a": 1})
    assert (
        advise(path)
        == "all 2 records lack `text`; the records have `a`, `b`: set input.columns.text, or check input.format"
    )
    path = lines(tmp_path, {}, {})
    assert advise(path) == "all 2 records lack `text`: set input.columns.text, or check input.format"


def test_a_column_that_was_mapped_is_named(tmp_path: Path) -> None:
    path = lines(tmp_path, {"text": "a", "keys": 1}, {"text": "b", "keys": 2})
    wanted = "all 2 records lack `key`; the records have `keys`: input.columns.doc_id=keys"
    assert advise(path, columns={"doc_id": "key"}) == wanted


def test_a_document_or_a_second_reason_needs_no_advice(tmp_path: Path) -> None:
    assert advise(lines(tmp_path, {"content": "a"}, {"text": "b"})) is None
    assert advise(lines(tmp_path, {"content": "a"}, {"text": None})) is None
    assert advice({}, 0, 0, "json") is None


def test_another_reason_is_told_with_an_example_and_what_to_do(tmp_path: Path) -> None:
    said = advise(lines(tmp_path, {"text": None}, {"text": None}))
    assert said == (
        "no document was read: all 2 rows of quarantine are NullText (the text is null); "
        "map another column with input.columns.text"
    )
    counts = {("NotUtf8", "at 1"): 1, ("NotUtf8", "at 2"): 2}
    assert advice(counts, sum(counts.values()), 0, "json") == (
        "no document was read: all 3 rows of quarantine are NotUtf8 (for example at 2); "
        "convert the files to UTF-8 (iconv), or check input.format"
    )
    assert advice({("Unsupported", "a tar archive: unpack it"): 1}, 1, 0, "json") == (
        "no document was read: the one row of quarantine is Unsupported (a tar archive: unpack it)"
    )


def test_formats_without_columns_get_no_advice_about_them() -> None:
    assert advice({("DuplicateId", "it exists"): 1}, 1, 0, "warc") == (
        "no document was read: the one row of quarantine is DuplicateId (it exists)"
    )


def test_every_error_class_of_ingest_has_its_advice() -> None:
    sources = [path.read_text() for path in [*PACKAGE.glob("corpora/*.py"), *PACKAGE.glob("ingestion/*.py")]]
    used = {
        name
        for text in sources
        for name in re.findall(
            r"(?:unreadable|Damaged)\((?:[\w.]+, )?\"([A-Z]\w+)\"|\(\"([A-Z]\w+)\", [\w.]+\.message", text
        )
        for name in name
        if name
    }
    assert len(used) > 10
    assert used <= ADVICE.keys()


@given(st.lists(st.text(), max_size=30, unique=True))
def test_messages_are_bounded_and_harmless_whatever_the_names(names: list[str]) -> None:
    message = Lacking(("text",), "text", "record", tuple(names)).message()
    assert len(message) <= 300
    assert message.isprintable()
    found = Lacking.of(message)
    assert found is not None
    assert (found.wanted, found.ours, found.what) == (("text",), "text", "record")
    short = [name for name in names if name.isprintable() and len(name) <= 30]
    if len(found.have) == len(names):
        assert set(short) <= set(found.have)
    said = advice({("MissingColumn", message): 2}, 2, 0, "json")
    assert said is not None
    assert said.isprintable()
