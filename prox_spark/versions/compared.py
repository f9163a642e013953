"""``compare --table``: a comparison as rows of a Delta table, for SQL queries."""

import logging
import re
from dataclasses import dataclass

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from prox_spark.credentials import check_location
from prox_spark.errors import UsageError
from prox_spark.failpoints import around
from prox_spark.tables.store import analyzed, quoted, whole_path
from prox_spark.versions.compare import Comparison

_log = logging.getLogger(__name__)

_TABLE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){1,2}\Z", re.ASCII)

KEYS = ("store", "from", "to")
"""What tells the comparisons of a table apart."""


@dataclass(frozen=True)
class Compared:
    """Where a comparison's rows are; ``new`` is False when they were there before."""

    table: str
    documents: int
    new: bool


def save(comparison: Comparison, table: str) -> Compared:
    """Append the comparison to a Delta table, a path or ``catalog.schema.table``; made where it is absent.

    A row for each document of either version: ``store``, ``from`` and ``to`` (``NAME:VERSION``), the columns of
    ``Comparison.documents``, and ``lines``, the document's rows of ``Comparison.lines`` in their order (empty where its log
    is the same in both). A version never changes, so a comparison that the table has is not written again.
    Raises ``UsageError`` for a table of something else.
    """
    check_location("the table of compare", table)
    spark = comparison.before.store.spark
    is_catalog = _TABLE_NAME.match(table) is not None
    path = whole_path(table)
    name = table if is_catalog else "delta.`" + path.replace("`", "``") + "`"
    rows = _rows(comparison)
    keys = (comparison.before.store.location, comparison.before.name, comparison.after.name)
    own = " AND ".join(f"`{key}` = {quoted(value)}" for key, value in zip(KEYS, keys, strict=True))
    there = _read(spark, name)
    if there is not None:
        if there.columns != rows.columns:
            raise UsageError(
                f"{table}: not a table of compare (columns {', '.join(there.columns)}); choose another table"
            )
        if found := there.where(own).count():
            return Compared(table, found, new=False)
    writer = rows.write.format("delta")
    # Replacing what is not there: two runs at once do not double it.
    writer = writer.mode("overwrite").option("replaceWhere", own) if there is not None else writer.mode("error")
    with around("write", "compared"):
        if is_catalog:
            writer.saveAsTable(name)
        else:
            writer.save(path)
    done = Compared(table, spark.sql(f"SELECT * FROM {name}").where(own).count(), new=True)
    _log.info("compare: wrote %d rows to %s", done.documents, table, extra={"table": table, "rows": done.documents})
    return done


def _rows(comparison: Comparison) -> DataFrame:
    fields = [name for name in comparison.lines.columns if name not in ("doc_id", "unit")]
    # The line number comes first in a row's struct, so that sorting puts the lines in their order.
    lines = comparison.lines.groupBy("doc_id").agg(F.sort_array(F.collect_list(F.struct(*fields))).alias("lines"))
    keys = (comparison.before.store.location, comparison.before.name, comparison.after.name)
    joined = comparison.documents.join(lines, "doc_id", "left")
    return joined.select(
        *(F.lit(value).alias(key) for key, value in zip(KEYS, keys, strict=True)),
        *comparison.documents.columns,
        F.expr("coalesce(lines, array())").alias("lines"),
    )


def _read(spark: SparkSession, name: str) -> DataFrame | None:
    """The table, or None where there is none."""
    try:
        return analyzed(spark.sql(f"SELECT * FROM {name}"))
    except AnalysisException as error:
        if any(word in str(error) for word in ("TABLE_OR_VIEW_NOT_FOUND", "PATH_NOT_FOUND", "PATH_DOES_NOT_EXIST")):
            return None
        raise
