"""The corpus formats: which container a file has, and which of its columns are ours."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import IO, Any, Literal, cast

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from prox_spark.corpora.files import WatchedFile
from prox_spark.corpora.streams import Damaged, decompressed, lines
from prox_spark.errors import InputError
from prox_spark.suggest import nearest, unknown

Container = Literal["json", "parquet", "text", "warc", "wet"]

COLUMNS = ("text", "doc_id", "url", "source")
"""Our columns that a corpus column can be mapped to; all its other columns become ``metadata``."""

_SAMPLE = 100


@dataclass(frozen=True, slots=True)
class Format:
    """A corpus format. Each column lists its names in the corpus, the first one that a record has counts.

    A name that no column has is looked up inside: ``metadata.url`` is the field ``url`` of the column ``metadata``. No
    name for ``doc_id``, or none that a record has, means an id from a hash. ``required`` are our columns that the
    caller has mapped.
    """

    name: str
    container: Container
    text: tuple[str, ...] = ("text",)
    doc_id: tuple[str, ...] = ()
    url: tuple[str, ...] = ("url",)
    source: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()


_ALL = (
    # C4, AllenAI's release: text, timestamp, url.
    Format("c4", "json"),
    # RedPajama-Data-V2, documents/*.json.gz; doc_id comes with the quality signals once both are joined.
    Format("redpajama-v2", "json", text=("raw_content",), doc_id=("doc_id",)),
    Format("fineweb", "parquet", doc_id=("id",)),
    Format("fineweb-edu", "parquet", doc_id=("id",)),
    # DCLM-baseline: the WARC headers of the page are in `metadata`.
    Format("dclm", "json", doc_id=("metadata.WARC-Record-ID",)),
    Format("openwebmath", "parquet"),
    # Dolma: id, text, source, added, created, metadata.
    Format("dolma", "json", doc_id=("id",), url=("url", "metadata.url"), source=("source",)),
    Format("text", "text", text=(), url=()),
    Format("warc", "warc", text=(), url=()),
    Format("wet", "wet", text=(), url=()),
    Format("parquet", "parquet", doc_id=("doc_id", "id"), source=("source",)),
    Format("json", "json", doc_id=("doc_id", "id"), source=("source",)),
)

FORMATS: dict[str, Format] = {one.name: one for one in _ALL}
"""Formats that are read from files."""

SPARK_FORMATS = ("delta", "table")
"""Formats that Spark reads itself."""


def get_format(name: str, columns: Mapping[str, str] | None = None) -> Format:
    """The file format ``name`` with the caller's mapping ``{our column: corpus column}`` in place of its own.

    Raises ``InputError`` for an unknown format or column (with the nearest known name), or a mapping for a format that
    has no columns.
    """
    if name not in FORMATS:
        if name in SPARK_FORMATS:
            raise InputError(f"format {name!r} is read by Spark, not from files")
        raise InputError(unknown("format", name, [*FORMATS, *SPARK_FORMATS]))
    found = FORMATS[name]
    if not columns:
        return found
    if found.container not in ("json", "parquet"):
        raise InputError(f"format {name!r} has no columns to map: leave input.columns out")
    for ours in columns:
        if ours not in COLUMNS:
            raise InputError(f"input.columns: {unknown('column', ours, COLUMNS)}")
    mapped: dict[str, Any] = {ours: (theirs,) for ours, theirs in columns.items()}
    return replace(found, **mapped, required=frozenset(columns))


def check_columns(path: str, format_name: str, columns: Mapping[str, str] | None = None) -> None:
    """Raise ``InputError`` before any work when ``path`` cannot have the columns that are asked for.

    Parquet: the schema lacks the text column, a column that the caller mapped, or the text is no string. JSON lines: a
    column that the caller mapped is in none of the first 100 readable records. A file that cannot be read passes:
    reading it quarantines it.
    """
    found = get_format(format_name, columns)
    if found.container == "parquet":
        _check_parquet(path, found)
    elif found.container == "json" and found.required:
        _check_json(path, found)


def _check_parquet(path: str, found: Format) -> None:
    with WatchedFile(path) as file:
        try:
            schema = pq.ParquetFile(cast(IO[bytes], file)).schema_arrow
        except (pa.ArrowException, OSError):
            file.raise_failure()
            return
    for ours in sorted(found.required | {"text"}):
        names: tuple[str, ...] = getattr(found, ours)
        have = [name for name in names if name in schema.names or name.split(".")[0] in schema.names]
        if not have:
            raise _missing(path, ours, names, schema.names)
        if ours == "text" and have[0] in schema.names and not is_text(schema.field(have[0]).type):
            kind = schema.field(have[0]).type
            raise InputError(f"{path}: column {have[0]!r} for text holds {kind}, not strings: map input.columns.text")


def _check_json(path: str, found: Format) -> None:
    seen: set[str] = set()
    records = 0
    lacking = set(found.required)
    with WatchedFile(path) as file:
        try:
            for line in lines(decompressed(file)):
                try:
                    record = orjson.loads(line or b"")
                except orjson.JSONDecodeError:
                    continue
                if isinstance(record, dict):
                    records += 1
                    seen.update(record)
                    lacking = {ours for ours in lacking if not has_column(record, getattr(found, ours)[0])}
                if not lacking or records == _SAMPLE:
                    break
        except Damaged:
            pass
        file.raise_failure()
    if records:
        for ours in sorted(lacking):
            raise _missing(path, ours, getattr(found, ours), sorted(seen))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold texts: strings or bytes of any layout, dictionary-coded too."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
    )
    return any(test(kind) for test in tests)


def has_column(record: dict[str, Any], name: str) -> bool:
    """Whether ``record`` has the column ``name``, or the field that a dotted name means."""
    if name in record:
        return True
    top, _, rest = name.partition(".")
    inner = record.get(top)
    return bool(rest) and isinstance(inner, dict) and has_column(inner, rest)


def take_column(record: dict[str, Any], names: tuple[str, ...]) -> tuple[bool, Any]:
    """Whether ``record`` has one of ``names``, and the first one's value. A column is taken out, a field stays."""
    for name in names:
        if name in record:
            return True, record.pop(name)
        if "." in name and has_column(record, name):
            return True, _inner(record, name)
    return False, None


def _inner(record: dict[str, Any], name: str) -> Any:
    if name in record:
        return record[name]
    top, _, rest = name.partition(".")
    return _inner(record[top], rest)


def _missing(path: str, ours: str, theirs: tuple[str, ...], have: list[str]) -> InputError:
    wanted = " or ".join(map(repr, theirs))
    near = nearest(theirs[0], have)
    meant = f" (did you mean {near!r}?)" if near else ""
    return InputError(
        f"{path}: no column {wanted} for {ours}{meant}; "
        f"it has {', '.join(have)}: set input.columns.{ours} or another input.format"
    )
