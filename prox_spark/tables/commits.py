"""Writes that count once: each carries its lease's transaction version, and what it belongs to in ``userMetadata``."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Literal

from pyspark.sql import DataFrame

from prox_spark.tables.leases import Lease, lost
from prox_spark.tables.store import Store, spark_schema


@dataclass(frozen=True)
class Purpose:
    """What a commit belongs to; stands as JSON in the table's history."""

    verb: str
    refinement: str | None = None
    version: int | None = None


@dataclass(frozen=True)
class Commit:
    """A Delta commit: the table's version that it made, and how many rows it wrote."""

    version: int
    rows: int


def fence(store: Store, lease: Lease, tables: Iterable[str]) -> None:
    """Commit the lease's token to every table it will write, so that an earlier holder's late write is skipped."""

    def one(table: str) -> None:
        commit(store, lease, table, store.read(table).where("false"), Purpose("fence"))

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(one, tables))


def commit(
    store: Store,
    lease: Lease,
    table: str,
    rows: DataFrame,
    purpose: Purpose,
    *,
    mode: Literal["append", "overwrite"] = "append",
) -> Commit:
    """Write ``rows`` as one Delta commit.

    Raises ``LeaseError`` when the write was skipped because another job holds the lease by now.
    """
    transaction = lease.next_version(table)
    metadata = json.dumps({**asdict(purpose), "holder": lease.holder, "transaction": transaction}, sort_keys=True)
    columns = [rows[field.name].cast(field.dataType).alias(field.name) for field in spark_schema(table)]
    writer = (
        rows.select(*columns)
        .write.format("delta")
        .mode(mode)
        .option("txnAppId", lease.key)
        .option("txnVersion", transaction)
        .option("userMetadata", metadata)
    )
    store.save(writer, table)
    return _committed(store, lease, table, metadata)


def _committed(store: Store, lease: Lease, table: str, metadata: str) -> Commit:
    """The commit that carries ``metadata``; it is the newest or, where others wrote since, near it."""
    for limit in (1, 1000):
        history = store.spark.sql(f"DESCRIBE HISTORY {store.table(table)} LIMIT {limit}")
        for row in history.select("version", "userMetadata", "operationMetrics").collect():
            if row["userMetadata"] == metadata:
                return Commit(int(row["version"]), int((row["operationMetrics"] or {}).get("numOutputRows", 0)))
    raise lost(lease.key)


def restore(store: Store, table: str, version: int) -> int:
    """Put the table back to one of its versions, as a new version (metadata only), and return that."""
    store.spark.sql(f"RESTORE TABLE {store.table(table)} TO VERSION AS OF {version}")
    return store.version(table)


def commits_since(store: Store, table: str, version: int) -> list[str | None]:
    """The verb of every commit after ``version``; None for one that this package did not make."""
    history = store.spark.sql(f"DESCRIBE HISTORY {store.table(table)}").where(f"version > {version}")
    rows = history.select("userMetadata").collect()
    return [json.loads(row[0]).get("verb") if row[0] and row[0].startswith("{") else None for row in rows]
