"""The rows of ``refinements``: find the newest of a name, check that its tables can be used, add one."""

import logging
from collections.abc import Mapping
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from prox_spark.errors import ConservationError, LeaseError, StoreError
from prox_spark.schemas import RESULT_TABLES
from prox_spark.tables.commits import changes, commit, delete, fence, restore
from prox_spark.tables.forgotten import unfinished
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.store import Store
from prox_spark.tables.times import utc
from prox_spark.tables.views import is_published, publish

_log = logging.getLogger(__name__)

WRITTEN = (*RESULT_TABLES, "quarantine", "pins", "refinements")
"""The tables that belong to the lease ``execute``."""

ORDER = ("refined_version", "version")
"""The order of the rows of ``refinements`` by their commits, which clocks of several hosts do not tell: no verb commits an
older version of ``refined`` than the row before, and of equal ones the refinement is the same."""


def last_version(store: Store, name: str | None) -> Row | None:
    """The newest row of ``refinements`` of that name; without a name the newest of all."""
    rows = store.read("refinements")
    if name is None:
        newest: Row | None = rows.orderBy(*map(F.desc, ORDER)).first()
        return newest
    row: Row | None = rows.where(F.col("refinement") == name).orderBy(F.desc("version")).first()
    return row


def receipt_after(store: Store, row: Row) -> Row | None:
    """The newest receipt of a ``forget`` that came after this row, one that took its history too first; else None.

    The row's tables still hold what was forgotten, or are gone: nothing may be built on them.
    """
    later = store.read("receipts").where(F.col("documents_version") > row["documents_version"])
    receipt: Row | None = later.orderBy(F.desc("history"), F.desc("forgotten_at")).first()
    return receipt


def check_unforgotten(store: Store, row: Row) -> None:
    """Raise ``StoreError`` where the tables of this row of ``refinements`` still hold what was forgotten since, or may."""
    # Before the receipts are read: a `forget` that ends in between has one by then.
    if unfinished(store) is not None:
        raise StoreError("a `forget` is not done; run it again if it ended early, then this command")
    receipt = receipt_after(store, row)
    if receipt is not None:
        raise StoreError(
            f"refinement {row['refinement']}:{row['version']} contains documents that were forgotten on "
            f"{utc(receipt['forgotten_at']):%Y-%m-%d %H:%M:%S} UTC; `execute` with its configuration "
            "rebuilds it without them"
        )


def settle(store: Store, lease: Lease, table: str, version: int) -> int:
    """Make the table's head hold what ``version`` holds, by RESTORE where it does not, and return the head's version."""
    head = store.version(table)
    since = changes(store, table, version)
    if not since:
        return head
    # Another refinement's rows, or those of a run that died before its commit. Up to there others may have compacted the
    # table, and removed the files of `version` itself: that is kept.
    same = since[-1].version - 1
    _log.info("%s: head version %d differs from version %d; restoring", table, head, same, extra={"table": table})
    return restore(store, lease, table, same)


def settle_quarantine(store: Store, lease: Lease, name: str, version: int | None, purpose: Purpose) -> int:
    """Take the rows of refinement ``name`` that ``version`` does not have (None: all of them) out of ``quarantine``.

    Those of ingest and of other refinements stay, so that RESTORE will not do. Returns the head's version.
    """
    head = store.version("quarantine")
    if version == head:
        return head
    own = F.col("refinement") == name
    extra = store.read("quarantine").where(own).select("doc_id", "refinement")
    if version is not None:
        then = store.read("quarantine", version).where(own)
        extra = extra.join(then.select("doc_id"), "doc_id", "left_anti")
    if extra.isEmpty():
        return head
    _log.info(
        "quarantine: deleting rows of %s that were left by an unfinished run", name, extra={"table": "quarantine"}
    )
    return delete(store, lease, "quarantine", extra.distinct(), ["doc_id", "refinement"], purpose).version


def check_chain(
    store: Store, before: Mapping[str, int], after: Mapping[str, int], own: Mapping[str, int] | None = None
) -> None:
    """Raise ``LeaseError`` if a table went from one version to the other by more commits of rows than this job's ``own``.

    ``own`` has their number by table; where it is not given, one each.

    RESTORE and OPTIMIZE check no transaction: only a chain without gaps shows that nobody else wrote into these tables.
    Commits that change no rows may come between: platforms compact tables and compute statistics on their own.
    """
    allowed = dict.fromkeys(after, 1) if own is None else own
    steps = {table: version for table, version in after.items() if version > before[table] + allowed[table]}
    broken = [
        table for table, version in steps.items() if len(changes(store, table, before[table], version)) > allowed[table]
    ]
    if broken:
        raise LeaseError(
            f"another job wrote to {', '.join(broken)} at the same time; nothing was committed, run the command again"
        )


def check_conservation(name: str, counts: Mapping[str, int]) -> None:
    """Raise ``ConservationError`` unless every document is refined, dropped or quarantined."""
    out = counts["refined"] + counts["dropped_documents"] + counts["quarantined"]
    if out != counts["documents"]:
        raise ConservationError(
            f"refinement {name!r}: {counts['documents']} documents in, {out} out ({counts['refined']} refined, "
            f"{counts['dropped_documents']} dropped, {counts['quarantined']} quarantined); nothing was committed"
        )


def append_refinement(store: Store, lease: Lease, row: dict[str, Any]) -> None:
    """Append a row of ``refinements`` (all columns but ``created_at``): it commits the versions that it names.

    A catalog's views follow; where a job dies in between they show the version before until a verb that commits
    refinements is run again (``publish_newest``).
    """
    schema = store.read("refinements").drop("created_at").schema
    rows = store.spark.createDataFrame([tuple(row[name] for name in schema.names)], schema)
    purpose = Purpose(row["verb"], row["refinement"], row["version"])
    commit(store, lease, "refinements", rows.withColumn("created_at", F.current_timestamp()), purpose)
    publish(store, row)


def publish_newest(store: Store) -> None:
    """Let a catalog's views read the newest refinement where a job died between its row and them."""
    newest = last_version(store, None) if store.is_catalog else None
    if newest is None or is_published(store, newest.asDict(recursive=True)):
        return
    try:
        with hold(store, "execute") as lease:
            fence(store, lease, WRITTEN)
            # Asked again, now that nobody else may change the answer.
            newest = last_version(store, None)
            assert newest is not None, "rows of refinements stay"
            publish(store, newest.asDict(recursive=True))
            _log.info("the views read %s:%d now", newest["refinement"], newest["version"])
    except LeaseError as error:
        # Whoever holds the lease publishes what it commits.
        _log.info("the views do not read the newest refinement yet: %s", error)


def renewed(store: Store, row: Row, verb: str, changed: dict[str, Any]) -> dict[str, Any]:
    """A row for the next version of a refinement that ``verb`` made from ``row``, with what it changed."""
    last = last_version(store, row["refinement"])
    assert last is not None, "the row that it is made from is there"
    values: dict[str, Any] = row.asDict(recursive=True)
    del values["created_at"]
    own = {"version": last["version"] + 1, "verb": verb, "from_version": row["version"], "timings": {}}
    return {**values, **own, **changed}
