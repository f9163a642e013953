"""``optimize``: compacts small files, sorted by unit; every refinement stays readable."""

import logging
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from pyspark.sql import SparkSession

from prox_spark.errors import LeaseError
from prox_spark.schemas import ADDED_TABLES, RESULT_TABLES, TABLES
from prox_spark.tables.commits import compact, fence
from prox_spark.tables.leases import FORGET, Lease, hold
from prox_spark.tables.refinements import (
    WRITTEN,
    append_refinement,
    check_chain,
    last_version,
    publish_newest,
    renewed,
    settle,
)
from prox_spark.tables.store import Store, check_writers, open_store

_log = logging.getLogger(__name__)

_SMALL = 64 * 2**20
"""Tables of two files or more that are smaller than this on average are compacted, which ends that."""

_FENCED = {
    "execute": WRITTEN,
    "ingest": ("documents", "quarantine", "files"),
    "annotate": ("annotations",),
    FORGET: ("forgotten", "receipts"),
}
"""What a new holder of a lease has to fence off; of generation it is ``programs``."""


@dataclass(frozen=True)
class Optimized:
    """What ``optimize`` did: numbers of ``files`` before and after by table, and ``busy`` tables that another job writes.

    ``refinement`` and ``version``: the newest refinement, in a new version where its tables changed; null where none is.
    """

    files: dict[str, dict[str, int]]
    busy: list[str]
    refinement: str | None
    version: int | None


def optimize(spark: SparkSession, location: str) -> Optimized:
    """Compact the tables that have many small files; those with units are sorted by them, which is what prunes files.

    A table is compacted under the leases of all jobs that may replace its rows (appends never get in the way); where
    another job holds one, the table is left as it is and named as busy. Result tables are compacted as the newest refinement
    has them, and a new version of that refinement commits the result.
    """
    store = open_store(spark, location)
    check_writers(store)
    # Programs are compacted while they are generated: appends do not notice, and a MERGE of those that were asked again is
    # repeated. The lease keeps `forget` out, whose rows would live on in the new files.
    held_for: tuple[tuple[list[str], tuple[str, ...]], ...] = (
        (["execute"], (*RESULT_TABLES, "quarantine", "refinements", "programs", "signatures")),
        (["ingest"], ("documents", "files")),
        (["annotate"], ("annotations",)),
        ([], ("metrics", "leases", "pins", "forgotten", "receipts", "refiners", "migrations")),
    )
    files: dict[str, dict[str, int]] = {}
    busy: list[str] = []
    for needed, tables in held_for:
        before = {table: n for table in tables if (n := _small_files(store, table)) > 1}
        if needed == ["execute"]:
            before |= {table: _files(store, table) for table in _unnamed(store) if table not in before}
        if not before:
            continue
        with ExitStack() as stack:
            try:
                leases = hold_all(store, needed, stack)
            except LeaseError:
                busy += before
                continue
            _log.info("optimize: compacting %s", ", ".join(before), extra={"store": store.location})
            if needed == ["execute"]:
                _compact_results(store, leases["execute"], before)
            for table in before:
                if table not in RESULT_TABLES:
                    compact(store, table, _order(table))
        files |= {table: {"before": n, "after": _files(store, table)} for table, n in before.items()}
    publish_newest(store)
    newest = last_version(store, None)
    name, version = (None, None) if newest is None else (newest["refinement"], newest["version"])
    return Optimized(files, busy, name, version)


def hold_all(store: Store, needed: Iterable[str], stack: ExitStack, *, forgetting: bool = False) -> dict[str, Lease]:
    """Hold several leases until the stack is closed, their earlier holders fenced off. Raises as ``hold``."""
    leases = {}
    for key in needed:
        leases[key] = stack.enter_context(hold(store, key, forgetting=forgetting))
        fence(store, leases[key], _FENCED.get(key, ("programs", "signatures")))
    return leases


def _compact_results(store: Store, lease: Lease, tables: Iterable[str]) -> None:
    """Compact result tables as the newest refinement has them, and commit that."""
    newest = last_version(store, None)
    chosen = [table for table in tables if table in RESULT_TABLES]
    if newest is None or not chosen:
        return
    before = {table: settle(store, lease, table, newest[f"{table}_version"]) for table in chosen}
    after = {table: compact(store, table, _order(table)) for table in chosen}
    # OPTIMIZE changes no rows.
    check_chain(store, before, after, dict.fromkeys(chosen, 0))
    changed = {f"{table}_version": version for table, version in after.items()}
    append_refinement(store, lease, renewed(store, newest, "optimize", changed))


def _unnamed(store: Store) -> list[str]:
    """Result tables that a run compacted which died before its row: readers still see the small files."""
    newest = last_version(store, None)
    if newest is None:
        return []
    found = []
    for table in RESULT_TABLES:
        named, head = newest[f"{table}_version"], store.version(table)
        since = [entry for entry in store.entries(table, head - named) if entry.version > named]
        if any(entry.operation == "OPTIMIZE" for entry in since):
            found.append(table)
    return found


def _order(table: str) -> str | None:
    return "unit" if "unit" in TABLES[table].names else None


def _small_files(store: Store, table: str) -> int:
    """How many files the table has, 0 where they are not small."""
    if table in ADDED_TABLES and not store.has(table):
        # An older package's store, which has not been written to since.
        return 0
    row = store.spark.sql(f"DESCRIBE DETAIL {store.table(table)}").select("numFiles", "sizeInBytes").first()
    assert row is not None, "a Delta table has details"
    return int(row["numFiles"]) if row["sizeInBytes"] < _SMALL * row["numFiles"] else 0


def _files(store: Store, table: str) -> int:
    row = store.spark.sql(f"DESCRIBE DETAIL {store.table(table)}").select("numFiles").first()
    assert row is not None, "a Delta table has details"
    return int(row[0])
