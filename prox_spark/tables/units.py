"""How much each unit of a table holds, from its narrow columns and the sizes of its files: no text is read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

_RANGES = 200
"""Ranges of units in one condition; of more, the nearest are joined."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some units, in order; ``documents`` and ``bytes`` (as stored) are those of its units."""

    units: tuple[int, ...]
    documents: int
    bytes: int

    @property
    def first(self) -> int:
        """The smallest unit; 0 without any."""
        return self.units[0] if self.units else 0

    @property
    def last(self) -> int:
        """The largest unit; -1 without any."""
        return self.units[-1] if self.units else -1


def in_units(units: Iterable[int]) -> Column:
    """A condition for rows of these units, by which files of other units are not read.

    Ranges, as of a list Delta uses only the smallest and the largest number to choose files.
    """
    return F.expr(units_sql(units, "unit"))


def units_sql(units: Iterable[int], column: str) -> str:
    """``in_units`` in SQL.

    >>> units_sql([5, 3, 4, 9], "unit")
    '(unit BETWEEN 3 AND 5 OR unit BETWEEN 9 AND 9)'
    """
    numbers = sorted(set(units))
    if not numbers:
        return "false"
    gaps = sorted(((b - a, i) for i, (a, b) in enumerate(pairwise(numbers), 1) if b - a > 1), reverse=True)
    cuts = [0, *sorted(i for _, i in gaps[: _RANGES - 1]), len(numbers)]
    ranges = [f"{column} BETWEEN {numbers[start]} AND {numbers[end - 1]}" for start, end in pairwise(cuts)]
    exact = f" AND {column} IN ({', '.join(map(str, numbers))})" if len(gaps) >= _RANGES else ""
    return f"({' OR '.join(ranges)}){exact}"


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
    [Batch(units=(0, 1), documents=10, bytes=20), Batch(units=(7,), documents=1, bytes=30)]
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
    return Batch(tuple(one[0] for one in run), sum(one[1] for one in run), sum(one[2] for one in run))
