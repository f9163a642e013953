"""``history``: every refinement version of a store, oldest first."""

import json
from typing import Any

from pyspark.sql import SparkSession

from prox_spark.tables.store import open_store


def history(spark: SparkSession, location: str) -> list[dict[str, Any]]:
    """The rows of ``refinements`` in order of creation, configuration and identity as objects."""
    rows = open_store(spark, location).read("refinements").orderBy("created_at", "version").collect()
    return [_plain(row.asDict(recursive=True)) for row in rows]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("configuration", "identity"):
        row[name] = json.loads(row[name])
    return row
