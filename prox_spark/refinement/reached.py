"""The progress of a refinement version, recorded by its last complete batch, so that an interrupted run can continue."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pyspark.sql import functions as F

from prox_spark.errors import StoreError
from prox_spark.refinement.fingerprint import fingerprint
from prox_spark.refinement.work import Work, retried
from prox_spark.schemas import COUNTS, RESULT_TABLES
from prox_spark.tables.leases import Lease
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.refinements import settle, settle_quarantine

_log = logging.getLogger(__name__)

LAST = "dropped_documents"
"""The table that each batch except a run's last commits to at its end: the commit's metadata applies to all tables."""

_COMMITS = 100
"""Number of commits of the table's history that are searched for a batch."""


@dataclass(frozen=True)
class Reached:
    """All units up to ``unit`` are executed: versions of the tables with the result, and the counts so far."""

    unit: int
    heads: Mapping[str, int]
    counts: Mapping[str, int]

    def plus(self, unit: int, heads: Mapping[str, int], counts: Mapping[str, int]) -> "Reached":
        """The state after one more batch, which ends at ``unit`` and adds ``heads`` and ``counts``."""
        added = {name: self.counts[name] + counts[name] for name in COUNTS}
        return Reached(max(unit, self.unit), {**self.heads, **heads}, added)


def purpose(work: Work, units: tuple[int, int] | None = None, reached: Reached | None = None) -> Purpose:
    """The metadata of this work's commits; ``units`` are a batch's first and last, ``reached`` the state at its end."""
    details: dict[str, Any] = {
        "fingerprint": fingerprint(work.identity),
        "documents_version": work.documents_version,
        "programs_version": work.programs_version,
    }
    if units is not None:
        details["units"] = list(units)
    if reached is not None:
        details["reached"] = asdict(reached)
    return Purpose("execute", work.name, work.version, details)


def interrupted(work: Work) -> tuple[Work, Reached] | None:
    """If a run of this work was interrupted: the work with that run's documents and programs, and its progress; else None.

    ``go_on`` resets the tables to that state.
    """
    if work.retried is not None:
        return None
    store = work.store
    for entry in store.entries(LAST, _COMMITS):
        said = json.loads(entry.metadata) if entry.metadata and entry.metadata.startswith("{") else {}
        if (said.get("verb"), said.get("refinement"), said.get("version")) != ("execute", work.name, work.version):
            continue
        if said.get("fingerprint") != fingerprint(work.identity) or "reached" not in said:
            continue
        versions = {name: said[name] for name in ("documents_version", "programs_version")}
        then = replace(work, **versions)
        if _was_forgotten(then) or retried(then) is not None:
            return None
        reached = Reached(**said["reached"])
        # The commit with this metadata is itself this table's version.
        return then, replace(reached, heads={**reached.heads, LAST: entry.version})
    return None


def _was_forgotten(work: Work) -> bool:
    later = work.store.read("receipts").where(F.col("documents_version") > work.documents_version)
    return not later.isEmpty()


def go_on(work: Work, lease: Lease, reached: Reached) -> Reached | None:
    """Reset the tables to their state at ``reached``; None if that is impossible because VACUUM removed their files."""
    try:
        heads = {table: settle(work.store, lease, table, reached.heads[table]) for table in RESULT_TABLES}
    except StoreError as error:
        _log.warning("execute: cannot continue after unit %d, starting over: %s", reached.unit, error)
        return None
    quarantine = reached.heads["quarantine"]
    heads["quarantine"] = settle_quarantine(work.store, lease, work.name, quarantine, purpose(work))
    return replace(reached, heads=heads)
