"""Parquet: FineWeb, FineWeb-Edu, OpenWebMath and anything else with one document a row."""

import json
from collections.abc import Iterator
from datetime import date, time
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from prox_spark.corpora.columns import is_text
from prox_spark.corpora.files import WatchedFile
from prox_spark.corpora.formats import Format
from prox_spark.corpora.records import Record, unreadable, utf8_or_error

_ROWS = 256


def read_parquet(file: WatchedFile, found: Format) -> Iterator[Record]:
    """The records of a Parquet file; ``position`` is the row. If a row group is damaged, the rest of its rows is lost."""
    try:
        parquet = pq.ParquetFile(cast(IO[bytes], file), pre_buffer=False, buffer_size=1 << 20)
        names = parquet.schema_arrow.names
    except (pa.ArrowException, OSError) as error:
        file.raise_failure()
        yield unreadable(None, "BrokenFile", f"not a readable Parquet file: {_first_line(error)}")
        return
    wanted = [name for name in found.text if name.split(".")[0] in names or name in names]
    if not wanted:
        yield unreadable(None, "MissingColumn", f"no column {' or '.join(found.text)} for text")
        return
    start = 0
    for group in range(parquet.num_row_groups):
        position = start
        try:
            for batch in parquet.iter_batches(batch_size=_ROWS, row_groups=[group]):
                yield from _read_batch(position, batch, found)
                position += batch.num_rows
        except (pa.ArrowException, OSError, ValueError) as error:
            file.raise_failure()
            yield unreadable(position, "BrokenFile", f"row group {group} is broken: {_first_line(error)}")
        start += parquet.metadata.row_group(group).num_rows


def parquet_rows(file: WatchedFile) -> int | None:
    """The number of rows that a Parquet file's footer tells; ``None`` where it cannot be read or tells of none."""
    try:
        return pq.ParquetFile(cast(IO[bytes], file)).metadata.num_rows or None
    except (pa.ArrowException, OSError):
        file.raise_failure()
        return None


def _read_batch(start: int, batch: pa.RecordBatch, found: Format) -> Iterator[Record]:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    taken = {ours: _take(columns, getattr(found, ours)) for ours in ("text", "doc_id", "url", "source")}
    text_column = taken["text"]
    if text_column is None or not (is_text(text_column.type) or pa.types.is_null(text_column.type)):
        kind = None if text_column is None else text_column.type
        for row in range(batch.num_rows):
            yield unreadable(start + row, "WrongType", f"the text column contains {kind}, not strings")
        return
    texts, valid = _utf8(text_column)
    ids, urls, sources = (_strings(taken[ours], batch.num_rows) for ours in ("doc_id", "url", "source"))
    others = [(name, _strings(column, batch.num_rows)) for name, column in columns.items()]
    for row, text in enumerate(texts):
        position = start + row
        doc_id = ids[row] or None
        if text is None:
            yield unreadable(position, "NullText", "the text is null", doc_id)
            continue
        wrong = None if valid else utf8_or_error(position, text)
        if wrong is not None:
            yield wrong._replace(doc_id=doc_id)
            continue
        metadata = {name: value for name, values in others if (value := values[row]) is not None}
        yield Record(position, text, doc_id, sources[row], urls[row], metadata)


def _take(columns: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The first of ``names`` that is a column (taken out) or a field of a struct column (left in)."""
    for name in names:
        if name in columns:
            return columns.pop(name)
        top, *path = name.split(".")
        column = columns.get(top)
        while column is not None and path and pa.types.is_struct(column.type):
            index = column.type.get_field_index(path.pop(0))
            column = column.flatten()[index] if index >= 0 else None
        if column is not None and not path:
            return column
    return None


def _utf8(column: Any) -> tuple[list[bytes | None], bool]:
    """The bytes of a column of strings, and whether all of them are UTF-8 (Parquet promises it, nothing checks it)."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    data = column.cast(pa.large_binary())
    try:
        data.cast(pa.large_string())
    except pa.ArrowInvalid:
        return data.to_pylist(), False
    return data.to_pylist(), True


def _strings(column: Any, rows: int) -> list[str | None]:
    """A column as metadata holds it: strings as they are (U+FFFD for what is not UTF-8), numbers and others as JSON."""
    if column is None:
        return [None] * rows
    if is_text(column.type):
        return [None if one is None else one.decode("utf-8", "replace") for one in _utf8(column)[0]]
    try:
        return [None if one is None else _plain(one) for one in column.to_pylist()]
    except (UnicodeDecodeError, OverflowError, ValueError):
        # Dates out of Python's range, or nested broken strings: keep the page and drop its metadata.
        return [None] * rows


def _plain(value: Any) -> str:
    if isinstance(value, bool | int | float | list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return str(value.isoformat() if isinstance(value, date | time) else value)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
