"""``history``: every refinement version of a store, oldest first."""

import json
from typing import Any

from pyspark.sql import SparkSession

from prox_spark.credentials import stripped
from prox_spark.tables.refinements import ORDER
from prox_spark.tables.store import open_store


def history(spark: SparkSession, store: str) -> list[dict[str, Any]]:
    """Every refinement version of a store, oldest first: the rows of ``refinements``.

    ``store``: a path or a catalog's ``schema``.

    Returns one object a version with all columns of the table: name, version, counts, timings, the version of each table;
    ``configuration`` and ``identity`` are objects, too. All rows are returned. Secrets that an older package let into a
    configuration are hidden.
    Raises ``StoreError`` where there is no store.

    >>> [(row["refinement"], row["version"]) for row in prox_spark.history(spark, "my-store")]
    [('rules', 0), ('documents', 0)]
    """
    rows = open_store(spark, store).read("refinements").orderBy(*ORDER).collect()
    return [_plain(row.asDict(recursive=True)) for row in rows]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("configuration", "identity"):
        row[name] = stripped(json.loads(row[name]))
    return row
