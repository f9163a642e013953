"""Parquet: FineWeb, FineWeb-Edu, OpenWebMath and anything else with one document per row."""

from collections.abc import Generator, Iterator
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from prox_spark.corpora.columns import Lacking, is_text
from prox_spark.corpora.files import WatchedFile
from prox_spark.corpora.formats import Format
from prox_spark.corpora.records import Found, LeftOut, Record, unreadable, utf8_or_error
from prox_spark.corpora.values import UNREADABLE, id_values, string_values, utf8_values

_ROWS, _BYTES = 256, 64 << 20
"""Maximum rows of a batch, and its approximate bytes: 256 of the largest documents would take gigabytes."""
_FIRST_ROWS, _GROWTH = 16, 4
"""Rows of the first batch, and the growth factor of later ones: the decoded size is known only after reading."""

_OURS = ("text", "doc_id", "url", "source")


def open_parquet(file: WatchedFile) -> pq.ParquetFile:
    """Open a Parquet file; its checksums are verified if it has any. Raises Arrow's errors."""
    options: dict[str, Any] = {"pre_buffer": False, "buffer_size": 1 << 20, "page_checksum_verification": True}
    return pq.ParquetFile(cast(IO[bytes], file), **options)


def read_parquet(file: WatchedFile, found: Format) -> Iterator[Found]:
    """The records of a Parquet file; ``position`` is the row. If a row group is damaged, the rest of its rows is lost.

    A damaged column that only metadata needs costs no record: if it cannot be read or shown, it is left out.
    """
    try:
        parquet = open_parquet(file)
        schema = parquet.schema_arrow
        names = schema.names
    except MemoryError:  # Arrow's is an ArrowException, too
        raise
    except (pa.ArrowException, OSError) as error:
        file.raise_failure()
        yield unreadable(None, "BrokenFile", f"not a readable Parquet file: {_first_line(error)}")
        return
    for ours in ("text", "doc_id"):
        wanted = getattr(found, ours)
        # A file without ids has hash ids, unless the caller has mapped a column: then it is of another kind.
        if (ours == "text" or ours in found.required) and not any(_has_column(schema, name) for name in wanted):
            yield unreadable(None, "MissingColumn", Lacking(wanted, ours, "file", tuple(names)).message())
            return
    needed = {column for ours in _OURS if (column := column_of(getattr(found, ours), names)) is not None}
    doubled = {name for name in names if names.count(name) > 1}
    for name in sorted(doubled & needed):
        yield unreadable(None, "AmbiguousColumn", f"two columns are called {name}")
        return
    for name in sorted(doubled):
        yield LeftOut(name, "another column has this name")
    start, batch_rows = 0, _FIRST_ROWS
    for group in range(parquet.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        batch_rows = yield from _read_group(file, parquet, group, start, rows, batch_rows, needed, found)
        start += rows


def _has_column(schema: pa.Schema, name: str) -> bool:
    """Whether a file has this column, or the field of a struct that a dotted name means."""
    if name in schema.names:
        return True
    top, *path = name.split(".")
    if not path or schema.names.count(top) != 1:
        return top in schema.names  # doubled: told later
    kind = schema.field(top).type
    for field in path:
        if not pa.types.is_struct(kind) or kind.get_field_index(field) < 0:
            return False
        kind = kind.field(field).type
    return True


def column_of(names: tuple[str, ...], have: list[str]) -> str | None:
    """The file's column for the first of ``names`` that it has: the column itself, or the struct with that field."""
    return next((top for name in names for top in (name, name.split(".")[0]) if top in have), None)


def _read_group(
    file: WatchedFile,
    parquet: pq.ParquetFile,
    group: int,
    start: int,
    rows: int,
    batch_rows: int,
    needed: set[str],
    found: Format,
) -> Generator[Found, None, int]:
    """The records of a row group. If it cannot be read, it is read again without the damaged columns.

    The first batches have ``batch_rows`` rows; returns the number for the next row group.
    """
    names: list[str] | None = None
    done = 0
    size = parquet.metadata.row_group(group).total_byte_size
    most = max(1, min(_ROWS, rows * _BYTES // max(size, 1)))
    batch_rows = min(batch_rows, most)
    while True:
        seen = 0
        again = False
        fitting = batch_rows
        try:
            for batch in parquet.iter_batches(batch_size=batch_rows, row_groups=[group], columns=names):
                fresh = batch.slice(max(0, done - seen), max(0, rows - max(done, seen)))
                seen += batch.num_rows
                if fresh.num_rows:
                    yield from _read_batch(start + done, fresh, found)
                    done += fresh.num_rows
                    fitting = _fitting_rows(fresh, batch_rows, most)
                    if fitting < batch_rows:
                        # Keep it for the rest of the row group: occasional large rows would make it go up and down.
                        most = fitting
                # A new batch size means reading the group from its start: worth it for more rows if most are still to come.
                again = seen < rows if fitting < batch_rows else fitting > batch_rows and 2 * seen < rows
                if again:
                    break
        except MemoryError:
            raise
        except UNREADABLE as error:
            file.raise_failure()
            problem = f"row group {group} is broken: {_first_line(error)}"
        else:
            if again:
                batch_rows = fitting
                continue
            if seen == rows:
                return fitting
            problem = f"row group {group} has {seen} rows where the footer says {rows}"
        have = names or list(dict.fromkeys(parquet.schema_arrow.names))
        broken = [name for name in have if name not in needed and not _is_whole(file, parquet, group, name, rows)]
        if not broken:
            yield unreadable(start + done, "BrokenFile", problem)
            return batch_rows
        yield from (LeftOut(name, problem) for name in broken)
        names = [name for name in have if name not in broken]


def _fitting_rows(batch: pa.RecordBatch, rows: int, most: int) -> int:
    """The number of rows for further batches, given one ``batch`` of at most ``rows``."""
    size, have = int(batch.nbytes), int(batch.num_rows)
    if size > _BYTES:
        return max(1, min(rows, have * _BYTES // size))
    small = size * rows * _GROWTH <= _BYTES * have
    return max(rows, min(most, rows * _GROWTH)) if small else rows


def _is_whole(file: WatchedFile, parquet: pq.ParquetFile, group: int, name: str, rows: int) -> bool:
    """Whether a column can be read and has as many rows as the footer says."""
    try:
        batches = parquet.iter_batches(batch_size=_FIRST_ROWS, row_groups=[group], columns=[name])
        return bool(sum(batch.num_rows for batch in batches) == rows)
    except MemoryError:
        raise
    except UNREADABLE:
        file.raise_failure()
        return False


def parquet_rows(file: WatchedFile) -> int | None:
    """The number of rows in a Parquet file's footer; ``None`` if it cannot be read or is 0."""
    try:
        return pq.ParquetFile(cast(IO[bytes], file)).metadata.num_rows or None
    except MemoryError:
        raise
    except (pa.ArrowException, OSError):
        file.raise_failure()
        return None


def _read_batch(start: int, batch: pa.RecordBatch, found: Format) -> Iterator[Found]:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    taken = {ours: _take(columns, getattr(found, ours)) for ours in _OURS}
    text_column = taken["text"]
    if text_column is None or not (is_text(text_column.type) or pa.types.is_null(text_column.type)):
        kind = None if text_column is None else text_column.type
        for row in range(batch.num_rows):
            yield unreadable(start + row, "WrongType", f"the text column contains {kind}, not strings")
        return
    texts, valid = utf8_values(text_column)
    values: dict[str, list[str | None]] = {}
    for name, column in [*((f"\0{ours}", taken[ours]) for ours in ("url", "source")), *columns.items()]:
        try:
            values[name] = string_values(column, batch.num_rows)
        except MemoryError:
            raise
        except UNREADABLE as error:
            # Invalid time zones, dates out of Python's range, nested broken strings: the page matters more.
            values[name] = [None] * batch.num_rows
            yield LeftOut(name.removeprefix("\0"), f"cannot be shown: {type(error).__name__} {_first_line(error)}")
    urls, sources = values.pop("\0url"), values.pop("\0source")
    try:
        ids = id_values(taken["doc_id"], batch.num_rows)
    except MemoryError:
        raise
    except UNREADABLE as error:
        ids = [None] * batch.num_rows
        column = column_of(found.doc_id, batch.schema.names) or ""
        yield LeftOut(column, f"is no id: cannot be shown: {type(error).__name__} {_first_line(error)}")
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
        metadata = {name: value for name, column in values.items() if (value := column[row]) is not None}
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


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
