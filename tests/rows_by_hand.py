"""Rows of a table that a test writes and reads without a verb."""

from typing import Any

from prox_spark.tables.store import Store, spark_schema


def row(store: Store, table: str, doc_id: str) -> Any:
    """A DataFrame with one row of unit 0; its other columns are null."""
    schema = spark_schema(table)
    values = {"doc_id": doc_id, "unit": 0}
    return store.spark.createDataFrame([tuple(values.get(name) for name in schema.names)], schema)


def ids(store: Store, table: str, version: int | None = None) -> set[str]:
    """The ids in a version of the table, by default its newest."""
    return {found["doc_id"] for found in store.read(table, version).collect()}
