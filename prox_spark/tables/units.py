"""How much each unit of a table holds, from its narrow columns and the sizes of its files: no text is read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F


@dataclass(frozen=True, slots=True)
class Batch:
    """Units from ``first`` to ``last``, both included; ``documents`` and ``bytes`` (as stored) are those of its units."""

    first: int
    last: int
    units: int
    documents: int
    bytes: int


def by_unit(rows: DataFrame, **counts: Column) -> list[Any]:
    """For every unit of a table's rows, in order: ``unit``, ``bytes`` and the aggregates ``counts``, sums over rows.

    ``rows`` is a table with conditions, neither joined nor united. ``bytes`` is the unit's share of its files, as they are
    stored; zero where the platform does not tell the sizes of files.
    """
    sums = [column.alias(name) for name, column in counts.items()]
    try:
        named = rows.withColumns({"_file": F.col("_metadata.file_path"), "_size": F.col("_metadata.file_size")})
        _ = named.schema
    except AnalysisException:
        named = rows.withColumns({"_file": F.lit(""), "_size": F.lit(0)})
    parts = named.groupBy("unit", "_file", "_size").agg(F.count("*").alias("_rows"), *sums)
    share = F.col("_size") * F.col("_rows") / F.sum("_rows").over(Window.partitionBy("_file"))
    totals = [F.sum(name).alias(name) for name in counts]
    units = parts.withColumn("_bytes", share).groupBy("unit").agg(F.sum("_bytes").cast("long").alias("bytes"), *totals)
    found: list[Any] = units.orderBy("unit").collect()
    return found


def in_batches(units: Iterable[tuple[int, int, int]], batch_bytes: int) -> Iterator[Batch]:
    """Runs of units (number, documents, bytes; in order) of at most ``batch_bytes``; a larger unit is a batch of its own.

    >>> list(in_batches([(0, 5, 10), (1, 5, 10), (7, 1, 30)], 20))
    [Batch(first=0, last=1, units=2, documents=10, bytes=20), Batch(first=7, last=7, units=1, documents=1, bytes=30)]
    """
    run: list[tuple[int, int, int]] = []
    filled = 0
    for one in units:
        if run and filled + one[2] > batch_bytes:
            yield _batch(run)
            run, filled = [], 0
        run.append(one)
        filled += one[2]
    if run:
        yield _batch(run)


def _batch(run: list[tuple[int, int, int]]) -> Batch:
    return Batch(run[0][0], run[-1][0], len(run), sum(one[1] for one in run), sum(one[2] for one in run))
