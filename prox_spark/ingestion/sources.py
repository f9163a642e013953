"""Corpora in Spark tables: any Delta table or catalog table, with a column mapping."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import BooleanType, NumericType, StringType

from prox_spark.config.models import InputConfig
from prox_spark.corpora.files import FileInfo
from prox_spark.corpora.formats import COLUMNS, FORMATS
from prox_spark.corpora.records import content_hash
from prox_spark.errors import ConfigError, InputError
from prox_spark.ingestion.task import READ, Task, refuse_large
from prox_spark.ingestion.units import batches
from prox_spark.limits import DocumentLimits
from prox_spark.spark_api import condition
from prox_spark.tables.store import analyzed

# Partitions have their own numbers of units, so that tasks need not know of each other.
_UNITS_PER_PARTITION = 2**20

_UNKNOWN = datetime.fromtimestamp(0, UTC)


def source_batches(spark: SparkSession, source: InputConfig, batch_bytes: int) -> list[DataFrame]:
    """The source's rows as they are, about ``batch_bytes`` of text at a time by the sizes of its files.

    A view without files, and a source with a limit, is one batch. Raises as ``open_source`` does.
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
    """Rows of ``open_source`` in the columns of ``READ``. A row without an id column is known by a hash of its text."""
    mapping = _mapping(rows, source)
    others = [field for field in rows.schema.fields if field.name not in mapping.values()]

    def ours(name: str) -> Column:
        return (
            F.col(f"`{mapping[name]}`").cast("string") if mapping[name] in rows.columns else F.lit(None).cast("string")
        )

    pairs = [
        (
            F.lit(field.name),
            # Numbers as they stand in the metadata of files.
            F.col(f"`{field.name}`").cast("string")
            if isinstance(field.dataType, StringType | NumericType | BooleanType)
            else F.to_json(F.struct(f"`{field.name}`")),
        )
        for field in others
    ]
    metadata = F.create_map(*(item for pair in pairs for item in pair)) if pairs else F.lit(None)
    selected = rows.select(
        ours("doc_id").alias("doc_id"),
        F.coalesce(ours("source"), F.lit(source.source or source.path)).alias("source"),
        ours("url").alias("url"),
        metadata.cast("map<string,string>").alias("metadata"),
        ours("text").alias("text"),
    )
    return selected.mapInArrow(_task(str(source.path), first_unit, unit_bytes, limits), from_arrow_schema(READ))


def open_source(spark: SparkSession, source: InputConfig) -> tuple[DataFrame, dict[str, str]]:
    """The source's rows as they are, up to its limit, and the source's column for each of ours.

    Raises ``InputError`` where the table or a mapped column does not exist.
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
    """The source's column for each of ours. Raises ``InputError`` where one does not exist."""
    found = FORMATS[source.format]
    mapping = {ours: source.columns.get(ours, getattr(found, ours)[0]) for ours in COLUMNS}
    for name, column in mapping.items():
        if column not in rows.columns and (name == "text" or name in source.columns):
            raise InputError(
                f"input.columns.{name}: {source.path} has no column {column!r}; it has {', '.join(rows.columns)}"
            )
    return mapping


def _task(path: str, first_unit: int, unit_bytes: int, limits: DocumentLimits) -> Task:
    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        base = first_unit + _UNITS_PER_PARTITION * (context.partitionId() if context else 0)
        text_read = 0
        for batch in batches:
            n = batch.num_rows
            text = batch.column("text").cast(pa.string())
            unit = base + min(text_read // unit_bytes, _UNITS_PER_PARTITION - 1)
            text_read += text.nbytes
            hashes = pa.array(
                [None if value is None else content_hash(value.encode()) for value in text.to_pylist()], pa.string()
            )
            missing = text.is_null()
            ids = batch.column("doc_id").cast(pa.string())
            columns = {
                "kind": pa.compute.if_else(missing, "unreadable", "document"),
                "file": pa.repeat(path, n),
                "unit": pa.repeat(pa.scalar(unit, pa.int64()), n),
                "position": pa.nulls(n, pa.int64()),
                "doc_id": pa.compute.coalesce(ids, hashes),
                "content_hash": hashes,
                "source": batch.column("source"),
                "url": batch.column("url"),
                "metadata": batch.column("metadata"),
                "text": text,
                "error_class": pa.compute.if_else(missing, "NullText", pa.scalar(None, pa.string())),
                "message": pa.compute.if_else(missing, "the text is null", pa.scalar(None, pa.string())),
            }
            read = pa.RecordBatch.from_arrays(
                [columns[name].cast(READ.field(name).type) for name in READ.names], schema=READ
            )
            yield refuse_large(read, limits)

    return task
