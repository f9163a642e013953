"""Corpora in Spark tables: any Delta table or catalog table, with a column mapping."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    CharType,
    NullType,
    NumericType,
    StringType,
    StructType,
    VarcharType,
)

from prox_spark.config.models import InputConfig
from prox_spark.corpora.columns import likely_column
from prox_spark.corpora.files import FileInfo
from prox_spark.corpora.formats import COLUMNS, FORMATS
from prox_spark.corpora.records import Record, content_hash, utf8_or_error
from prox_spark.corpora.values import UNREADABLE, id_values, utf8_values
from prox_spark.errors import ConfigError, InputError
from prox_spark.ingestion.task import READ, Task, refuse_large
from prox_spark.ingestion.units import batches
from prox_spark.limits import DocumentLimits
from prox_spark.spark_api import condition
from prox_spark.tables.store import analyzed

# Each partition has its own range of unit numbers, so that tasks need no coordination.
_UNITS_PER_PARTITION = 2**20

_KEPT = (StringType, BinaryType, NumericType, BooleanType, StructType, ArrayType)
"""Types of ids that Python writes as it does for files. Dates and times stay as Spark writes them."""

_UNKNOWN = datetime.fromtimestamp(0, UTC)


def source_batches(spark: SparkSession, source: InputConfig, batch_bytes: int) -> list[DataFrame]:
    """The source's rows as they are, about ``batch_bytes`` of text at a time by the sizes of its files.

    A view without files, or a source with a limit, is one batch. Raises the errors of ``open_source``.
    """
    rows, _ = open_source(spark, source)
    if source.limit:
        return [rows]
    try:
        named = analyzed(
            rows.select(F.col("_metadata.file_path").alias("path"), F.col("_metadata.file_size").alias("size"))
        )
    except AnalysisException:
        return [rows]
    found = named.distinct().orderBy("path").collect()
    groups = list(batches((FileInfo(row["path"], row["size"], _UNKNOWN) for row in found), batch_bytes))
    if len(groups) < 2:
        return [rows]
    return [rows.where(F.col("_metadata.file_path").isin([file.path for file in group])) for group in groups]


def read_source(
    rows: DataFrame, source: InputConfig, first_unit: int, unit_bytes: int, limits: DocumentLimits
) -> DataFrame:
    """Rows of ``open_source`` in the columns of ``READ``. Without an id column, a row's id is a hash of its text."""
    mapping = _mapping(rows, source)
    others = [field for field in rows.schema.fields if field.name not in mapping.values()]

    def ours(name: str) -> Column:
        return quoted(mapping[name]) if mapping[name] in rows.columns else F.lit(None).cast("string")

    pairs = [
        (
            F.lit(field.name),
            # Numbers in the same format as in the metadata of files.
            quoted(field.name).cast("string")
            if isinstance(field.dataType, StringType | NumericType | BooleanType)
            else F.to_json(F.struct(quoted(field.name))),
        )
        for field in others
    ]
    metadata = F.create_map(*(item for pair in pairs for item in pair)) if pairs else F.lit(None)
    kinds = {field.name: field.dataType for field in rows.schema.fields}
    doc_id, text = ours("doc_id"), ours("text")
    # Ids and texts go to Python unconverted: Spark formats numbers differently from files, and hides invalid UTF-8.
    if not isinstance(kinds.get(mapping["doc_id"]), _KEPT):
        doc_id = doc_id.cast("string")
    if not isinstance(kinds[mapping["text"]], BinaryType):
        text = text.cast("string")
    selected = rows.select(
        doc_id.alias("doc_id"),
        F.coalesce(ours("source").cast("string"), F.lit(source.source or source.path)).alias("source"),
        ours("url").cast("string").alias("url"),
        metadata.cast("map<string,string>").alias("metadata"),
        text.alias("text"),
    )
    return selected.mapInArrow(_task(str(source.path), first_unit, unit_bytes, limits), from_arrow_schema(READ))


def quoted(name: str) -> Column:
    """The column with this name, which may contain any characters."""
    return F.col("`{}`".format(name.replace("`", "``")))


def open_source(spark: SparkSession, source: InputConfig) -> tuple[DataFrame, dict[str, str]]:
    """The source's rows as they are, up to its limit, and the source's column for each prox_spark column.

    Raises ``InputError`` if the table or a mapped column does not exist, or the text is not a string.
    """
    if not isinstance(source.path, str):
        raise ConfigError(f"input.path: one table at a time for format {source.format}")
    try:
        rows = analyzed(
            spark.table(source.path)
            if FORMATS[source.format].container == "catalog"
            else spark.read.format(source.format).load(source.path)
        )
    except AnalysisException as error:
        raise InputError(f"input.path: {source.path} cannot be read as {source.format} ({condition(error)})") from None
    if source.limit:
        rows = rows.limit(source.limit)
    return rows, _mapping(rows, source)


def _mapping(rows: DataFrame, source: InputConfig) -> dict[str, str]:
    """The source's column for each prox_spark column. Raises the errors of ``map_columns``."""
    return map_columns(rows.schema, source)


def map_columns(schema: StructType, source: InputConfig) -> dict[str, str]:
    """The source's column for each prox_spark column, from its schema.

    Raises ``InputError`` if a required column does not exist, or the text is neither string nor binary.
    """
    found = FORMATS[source.format]
    mapping = {ours: source.columns.get(ours, getattr(found, ours)[0]) for ours in COLUMNS}
    for name, column in mapping.items():
        if column not in schema.names and (name == "text" or name in source.columns):
            likely = likely_column(name, column, schema.names)
            advice = f": set input.columns.{name}={likely}" if likely else ""
            raise InputError(
                f"input.columns.{name}: {source.path} has no column {column!r}; it has {', '.join(schema.names)}{advice}"
            )
    kind = schema[mapping["text"]].dataType
    # All texts may be null: a column of only nulls has the void type.
    if not isinstance(kind, StringType | CharType | VarcharType | BinaryType | NullType):
        raise InputError(
            f"{source.path}: column {mapping['text']!r} for text contains {kind.simpleString()}, not strings: "
            "map input.columns.text"
        )
    return mapping


def _task(path: str, first_unit: int, unit_bytes: int, limits: DocumentLimits) -> Task:
    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        base = first_unit + _UNITS_PER_PARTITION * (context.partitionId() if context else 0)
        text_read = 0
        for batch in batches:
            unit = base + min(text_read // unit_bytes, _UNITS_PER_PARTITION - 1)
            read = convert(batch, path, unit)
            text_read += read.column("text").nbytes
            yield refuse_large(read, limits)

    return task


def convert(batch: pa.RecordBatch, path: str, unit: int) -> pa.RecordBatch:
    """Rows of a table, with columns ``doc_id``, ``source``, ``url``, ``metadata`` and ``text``, in the columns of ``READ``.

    The rules are those of files: a text that is null or not UTF-8 is unreadable, '' and NaN are not valid ids, and in the
    other columns U+FFFD replaces invalid UTF-8. Rows of a table have no positions; without an id, a hash of the text is the
    id.
    """
    n = batch.num_rows
    texts, valid = utf8_values(batch.column("text"))
    wrong: list[Record | None] = [None] * n
    if not valid:
        wrong = [None if text is None else utf8_or_error(None, text) for text in texts]
        texts = [None if error is not None else text for text, error in zip(texts, wrong, strict=True)]
    hashes = [None if text is None else content_hash(text) for text in texts]
    try:
        ids = id_values(batch.column("doc_id"), n)
    except MemoryError:
        raise
    except UNREADABLE:  # values that Python cannot represent
        ids = [None] * n
    ids = [one or by_text for one, by_text in zip(ids, hashes, strict=True)]
    reasons = [
        ("NotUtf8", error.message) if error is not None else ("NullText", "the text is null") if text is None else None
        for text, error in zip(texts, wrong, strict=True)
    ]
    columns = {
        "kind": pa.array(["document" if reason is None else "unreadable" for reason in reasons]),
        "file": pa.repeat(path, n),
        "unit": pa.repeat(pa.scalar(unit, pa.int64()), n),
        "position": pa.nulls(n, pa.int64()),
        "doc_id": pa.array(ids, pa.string()),
        "content_hash": pa.array(hashes, pa.string()),
        "source": _sound(batch.column("source")),
        "url": _sound(batch.column("url")),
        "metadata": _sound_map(batch.column("metadata")),
        "text": pa.array(texts, pa.string()),
        "error_class": pa.array([None if reason is None else reason[0] for reason in reasons], pa.string()),
        "message": pa.array([None if reason is None else reason[1] for reason in reasons], pa.string()),
    }
    return pa.RecordBatch.from_arrays([columns[name].cast(READ.field(name).type) for name in READ.names], schema=READ)


def _sound(column: pa.Array) -> pa.Array:
    """A column of strings with U+FFFD in place of invalid UTF-8: neither Spark nor Parquet checks it."""
    values, valid = utf8_values(column)
    if valid:
        return column
    return pa.array([None if one is None else one.decode("utf-8", "replace") for one in values], pa.string())


def _sound_map(column: pa.Array) -> pa.Array:
    if pa.types.is_null(column.type) or (_is_sound(column.keys) and _is_sound(column.items)):
        return column
    column = column.take(pa.array(range(len(column))))  # copy the map: a slice cannot be reassembled
    keys, values = _sound(column.keys), _sound(column.items)
    return pa.MapArray.from_arrays(column.offsets, keys, values, mask=column.is_null() if column.null_count else None)


def _is_sound(column: pa.Array) -> bool:
    try:
        column.cast(pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True
