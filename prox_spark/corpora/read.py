"""A file of a corpus as Arrow batches of records, with a row for each record that cannot be read."""

from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa

from prox_spark.corpora.extraction import DEFAULT
from prox_spark.corpora.files import WatchedFile
from prox_spark.corpora.folders import adding_columns, folder_columns
from prox_spark.corpora.formats import Container, Format, get_format
from prox_spark.corpora.json_lines import read_json_lines
from prox_spark.corpora.parquet import parquet_rows, read_parquet
from prox_spark.corpora.records import Found, Record, Tally, to_batches, unreadable, utf8_or_error
from prox_spark.corpora.streams import MAX_RECORD, Damaged, decompressed
from prox_spark.corpora.warc import read_warc, read_wet
from prox_spark.errors import InstallationError

_BOM = b"\xef\xbb\xbf"


def read_file(
    path: str,
    format_name: str,
    *,
    columns: Mapping[str, str] | None = None,
    extract: str = DEFAULT,
    source: str | None = None,
    tally: Tally | None = None,
) -> Iterator[pa.RecordBatch]:
    """The records of one file, in order, as batches of schema ``prox_spark.schemas.RECORDS``.

    Memory is bounded by a batch (1,000 records, 16 MiB of text) or the largest record, whatever the file's size.
    ``columns`` maps our columns to the corpus's; ``extract`` names the extractor for HTML; ``source`` names the corpus if
    records do not (default: the format). ``tally`` is filled in while the file is read: with records that are passed over,
    which have no row, and with columns that are left out of the metadata.
    Records = documents + rows with an error + records passed over.

    Bad data never raises. A record that cannot be read has a null text and an ``error_class``: ``NullText``,
    ``MissingColumn``, ``AmbiguousColumn``, ``WrongType``, ``NotUtf8``, ``LoneSurrogate``, ``MalformedJson``, ``NotAnObject``,
    ``TooLarge``, ``MalformedWarc``, ``MalformedHttp``, ``MalformedHtml``, ``TooComplex``; ``TruncatedFile`` and
    ``BrokenFile`` if the rest of a file, or of a row group, is lost; ``Unsupported`` and ``WrongFormat`` if the file is of
    another kind. ``position`` is null if the whole file is lost.

    Raises ``InputError`` for a format or column that does not exist, and for a file system that fails (so that Spark retries
    the task); ``InstallationError`` if the extractor is not installed.
    """
    found = get_format(format_name, columns, extract)
    with WatchedFile(path) as file:
        rows = (tally or Tally()).rows(_read(file, found))
        yield from to_batches(rows, path, source or found.name)


def read_start(
    path: str, format_name: str, size: int, *, columns: Mapping[str, str] | None = None, extract: str = DEFAULT
) -> Iterator[tuple[Record, float]]:
    """The records of one file of ``size`` bytes, in order, each with the share of the file, in (0, 1], read by then.

    For callers that stop early and need to know how much of the file they read. The share is of the compressed bytes, which
    a decoder reads a little ahead, or of a Parquet file's rows. Raises the errors of ``read_file``.
    """
    found = get_format(format_name, columns, extract)
    with WatchedFile(path) as file:
        rows = parquet_rows(file) if found.container == "parquet" else None
        for record in Tally().rows(_read(file, found)):
            if record.position is None or found.container == "text":
                yield record, 1.0
            elif rows is not None:
                yield record, (record.position + 1) / rows
            else:
                yield record, min(1.0, max(file.tell(), 1) / max(size, 1))


def _read(file: WatchedFile, found: Format) -> Iterator[Found]:
    columns = folder_columns(file.path)
    add = adding_columns(columns, found)
    try:
        for one in READERS[found.container](file, found):
            yield add(one) if columns and isinstance(one, Record) else one
    except (MemoryError, InstallationError):
        raise
    except Exception as error:  # noqa: BLE001 -- recorded: an unexpected error costs the rest of this file, never the job
        file.raise_failure()
        yield unreadable(None, "BrokenFile", f"{type(error).__name__} while reading the file")
    file.raise_failure()


def _read_text(file: WatchedFile) -> Record:
    """The record of a file that is a single document."""
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in decompressed(file):
            size += len(piece)
            if size > MAX_RECORD:
                return unreadable(0, "TooLarge", f"a text is longer than {MAX_RECORD} bytes")
            pieces.append(piece)
    except Damaged as damage:
        return unreadable(0, damage.error_class, str(damage))
    text = b"".join(pieces).removeprefix(_BOM)
    return utf8_or_error(0, text) or Record(0, text)


READERS: dict[Container, Callable[[WatchedFile, Format], Iterator[Found]]] = {
    "json": read_json_lines,
    "parquet": read_parquet,
    "text": lambda file, _: iter((_read_text(file),)),
    "warc": lambda file, found: read_warc(file, found.extract),
    "wet": lambda file, _: read_wet(file),
}
"""The reader for each container."""
