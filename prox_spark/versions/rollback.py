"""``rollback``: makes an earlier refinement version the newest again, as a new version."""

from dataclasses import dataclass

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from prox_spark.schemas import RESULT_TABLES
from prox_spark.tables.commits import commit, fence
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.refinements import (
    WRITTEN,
    append_refinement,
    check_chain,
    check_unforgotten,
    last_version,
    publish_newest,
    renewed,
    settle,
    settle_quarantine,
)
from prox_spark.tables.store import Store, open_store
from prox_spark.versions.names import find_refinement


@dataclass(frozen=True)
class RolledBack:
    """The refinement version after ``rollback``; ``new`` is False if it was the newest before."""

    refinement: str
    version: int
    from_version: int
    new: bool


def rollback(spark: SparkSession, location: str, name: str) -> RolledBack:
    """Make what ``name`` names (``NAME``, ``NAME:VERSION``, ``@N``) the newest refinement; without effect when it is.

    The result tables are restored to its versions (metadata only), and a new row of ``refinements`` commits them. Later
    ``execute`` runs of that name continue from there. Nothing is deleted; the versions in between stay readable.
    Raises ``UsageError`` for a name that does not exist, ``StoreError`` for one that ``forget`` came after.
    """
    store = open_store(spark, location)
    target = find_refinement(store, name)
    standing = _standing(store, target)
    if standing is not None:
        publish_newest(store)
        return RolledBack(target["refinement"], standing, target["version"], new=False)
    with hold(store, "execute") as lease:
        fence(store, lease, WRITTEN)
        # Asked again, now that nobody else may change the answer.
        check_unforgotten(store, target)
        standing = _standing(store, target)
        if standing is not None:
            return RolledBack(target["refinement"], standing, target["version"], new=False)
        before = {table: store.version(table) for table in RESULT_TABLES}
        after = {table: settle(store, lease, table, target[f"{table}_version"]) for table in RESULT_TABLES}
        check_chain(store, before, after)
        changed = {f"{table}_version": version for table, version in after.items()}
        changed["quarantine_version"] = _restore_quarantine(store, lease, target)
        row = renewed(store, target, "rollback", changed)
        append_refinement(store, lease, row)
    return RolledBack(target["refinement"], row["version"], target["version"], new=True)


def _standing(store: Store, target: Row) -> int | None:
    """The newest refinement's version where it holds what the target holds."""
    newest = last_version(store, None)
    if newest is None or newest["refinement"] != target["refinement"]:
        return None
    own = store.read("refinements").where(F.col("refinement") == target["refinement"])
    rows = {row["version"]: row for row in own.select("version", "verb", "from_version").collect()}

    def content(version: int) -> int:
        """The version that these rows were first written as."""
        while rows[version]["verb"] in ("rollback", "optimize"):
            version = rows[version]["from_version"]
        return version

    return newest["version"] if content(newest["version"]) == content(target["version"]) else None


def _restore_quarantine(store: Store, lease: Lease, target: Row) -> int:
    """Give ``quarantine`` this refinement's rows of then; those of ingest and of others stay. The table's version."""
    name, version = target["refinement"], target["quarantine_version"]
    purpose = Purpose("rollback", name, target["version"])
    head = settle_quarantine(store, lease, name, version, purpose)
    own = F.col("refinement") == name
    now = store.read("quarantine").where(own).select("doc_id")
    missing = store.read("quarantine", version).where(own).join(now, "doc_id", "left_anti")
    return head if missing.isEmpty() else commit(store, lease, "quarantine", missing, purpose).version
