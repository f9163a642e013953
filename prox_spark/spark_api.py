"""Differences between the supported versions of Spark (``prox_spark.supported``): no other module checks the version.

Each function says which versions need it. When the last of them is no longer supported, remove the function.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyspark
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema


def spark_version() -> str:
    """Major and minor version of the installed PySpark: ``4.1``."""
    return ".".join(pyspark.__version__.split(".")[:2])


_SINCE_4 = not pyspark.__version__.startswith("3.")


def delta_packages(delta: str) -> list[str]:
    """Maven coordinates of Delta ``delta`` for the installed PySpark.

    The name of Delta's main package has Scala's version, and from 4.1 on Spark's, too. Spark 3.5 has Scala 2.12.
    """
    scala = "2.12" if spark_version() == "3.5" else "2.13"
    old = tuple(map(int, delta.split(".")[:2])) < (4, 1)
    name = f"delta-spark_{scala}" if old else f"delta-spark_{spark_version()}_{scala}"
    return [f"io.delta:{name}:{delta}", f"io.delta:delta-storage:{delta}"]


def condition(error: PySparkException) -> str:
    """The name of Spark's error condition. ``getCondition`` is new in 4.0; in 3.5 it is ``getErrorClass``."""
    found = error.getCondition() if hasattr(error, "getCondition") else error.getErrorClass()
    return str(found or type(error).__name__)


def all_settings(spark: SparkSession) -> dict[str, str]:
    """All Spark properties that are set. ``conf.getAll`` is new in 4.0; a classic session's context also has them."""
    found: Any = getattr(spark.conf, "getAll", None)
    return dict(spark.sparkContext.getConf().getAll() if found is None else found)


def quiet_queries() -> None:
    """Keep PySpark from logging a JSON stack trace whenever the message of a failed query is read (4.0 and later)."""
    try:
        from pyspark.logger import PySparkLogger
    except ImportError:  # 3.5 has no such logger.
        return
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)


def activate(spark: SparkSession) -> None:
    """Make the session the active one of this thread.

    In 3.5, a write to a catalog table from a thread without an active session is committed without its options: Delta's
    ``txnAppId`` and ``txnVersion``, which fence off other jobs, and ``userMetadata`` (measured with Delta 3.3.3). Later
    versions do it themselves.
    """
    if not _SINCE_4:
        spark._jvm.org.apache.spark.sql.SparkSession.setActiveSession(spark._jsparkSession)


def is_connect(spark: SparkSession) -> bool:
    """True for a Spark Connect session (``SPARK_REMOTE``, Databricks serverless)."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def add_tag(spark: SparkSession, tag: str) -> None:
    """Tag the jobs that this thread starts.

    Without Connect, the context has the tags: a session of 3.5 has none, and one of 4 finds only those of the same thread.
    """
    if is_connect(spark):
        spark.addTag(tag)
    else:
        spark.sparkContext.addJobTag(tag)


def stop_tagged(spark: SparkSession, tag: str) -> None:
    """Stop the jobs with this tag, of any thread. See ``add_tag``."""
    if is_connect(spark):
        spark.interruptTag(tag)
    else:
        spark.sparkContext.cancelJobsWithTag(tag)


def remove_tag(spark: SparkSession, tag: str) -> None:
    """Stop tagging the jobs that this thread starts. See ``add_tag``."""
    if is_connect(spark):
        spark.removeTag(tag)
    else:
        spark.sparkContext.removeJobTag(tag)


def tagged_pool(spark: SparkSession, workers: int) -> ThreadPoolExecutor:
    """Threads whose jobs have the tags of this one's: what stops its jobs stops theirs. See ``add_tag``."""
    tags = spark.getTags() if is_connect(spark) else spark.sparkContext.getJobTags()

    def begin() -> None:
        for tag in tags:
            add_tag(spark, tag)

    return ThreadPoolExecutor(max_workers=workers, initializer=begin)


def takes_profiles() -> bool:
    """Whether a stage of a DataFrame can have a resource profile: since 4.0."""
    return _SINCE_4


def to_arrow(rows: DataFrame) -> pa.Table:
    """All rows as an Arrow table, on the driver. ``DataFrame.toArrow`` is new in 4.0."""
    if _SINCE_4:
        return rows.toArrow()
    batches: Any = rows._collect_as_arrow()
    schema = to_arrow_schema(rows.schema)
    # Spark gives timestamps the session's time zone; in UTC they are the same moments.
    return pa.Table.from_batches(batches).cast(schema) if batches else schema.empty_table()


def from_arrow(spark: SparkSession, table: pa.Table) -> DataFrame:
    """An Arrow table as rows. ``createDataFrame`` takes one since 4.0; before, its rows become Python objects (use few)."""
    if _SINCE_4:
        return spark.createDataFrame(table)
    maps = {field.name for field in table.schema if pa.types.is_map(field.type)}

    def plain(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(dict(value) if name in maps and value is not None else value for name, value in row.items())

    return spark.createDataFrame([plain(row) for row in table.to_pylist()], from_arrow_schema(table.schema))


def repartition_by_id(rows: DataFrame, count: int, column: str) -> DataFrame:
    """Put each row into the partition whose number is in ``column`` (0 to ``count`` - 1).

    ``DataFrame.repartitionById`` is new in 4.1. Before, Spark chooses a row's partition by the hash of a column:
    a number is looked up for each partition that hashes to it.
    """
    if hasattr(rows, "repartitionById"):
        return rows.repartitionById(count, column)
    return _repartition_by_salt(rows, count, column)


def _repartition_by_salt(rows: DataFrame, count: int, column: str) -> DataFrame:
    salts = F.array(*(F.lit(salt).cast("long") for salt in _salts(rows.sparkSession, count)))
    salted = rows.withColumn("_salt", F.element_at(salts, (F.col(column) + 1).cast("int")))
    return salted.repartition(count, "_salt").drop("_salt")


def _salts(spark: SparkSession, count: int) -> list[int]:
    """For each of ``count`` partitions, a number that Spark's hash partitioning assigns to it."""
    # Enough numbers that probably no partition is missing (coupon collector); if one is, try twice as many.
    size = count * 32 + 1024
    while True:
        place = F.pmod(F.hash("id"), F.lit(count)).alias("place")
        found = spark.range(0, size, 1, 1).groupBy(place).agg(F.min("id").alias("salt")).collect()
        if len(found) == count:
            salts = {row["place"]: int(row["salt"]) for row in found}
            return [salts[place] for place in range(count)]
        size *= 2


def arrow_udf(returns: str, function: Callable[..., pa.Array], takes: Sequence[pa.DataType]) -> Callable[..., Column]:
    """A function of Arrow arrays as one of columns: ``F.arrow_udf``, new in 4.1.

    ``takes`` are the types that the arrays have; before 4.1 they come as series of pandas and are made arrays of these. A
    column of strings is one whatever its type is said to be.
    """
    if hasattr(F, "arrow_udf"):

        def arrays(*columns: pa.Array) -> pa.Array:
            return function(*columns)

        return F.arrow_udf(arrays, returns)  # type: ignore[no-any-return,unused-ignore]

    import pandas as pd

    def series(*columns: pd.Series) -> pd.Series:
        given = [_array(column, kind) for column, kind in zip(columns, takes, strict=True)]
        return pd.Series(function(*given).to_pylist(), dtype=object)

    return F.pandas_udf(series, returns)  # type: ignore[no-any-return]


def _array(column: Any, kind: pa.DataType) -> pa.Array:
    values = [None if value is None else list(value) if not isinstance(value, str) else value for value in column]
    return pa.array(values, pa.string() if any(isinstance(value, str) for value in values) else kind)
