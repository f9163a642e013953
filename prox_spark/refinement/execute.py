"""``execute``: applies programs to documents and commits the result with a row of ``refinements``."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from prox_spark import __version__
from prox_spark.config.models import Config
from prox_spark.errors import RefinementConflictError
from prox_spark.generation.plan import Refiners, find_refiners
from prox_spark.generation.recorded import find_refiner
from prox_spark.progress import Progress, duration
from prox_spark.refinement.fingerprint import differences, fingerprint, identity, refinement_name
from prox_spark.refinement.fuse import check_fuse
from prox_spark.refinement.reached import Reached, go_on, interrupted, purpose
from prox_spark.refinement.standing import find_standing
from prox_spark.refinement.work import Work, batches, last_unit, measure, retried
from prox_spark.refinement.writing import count_documents, write_batch
from prox_spark.schemas import COUNTS, RESULT_TABLES, VERSIONED
from prox_spark.session import log_session, share_of_tasks
from prox_spark.tables.commits import changes, delete, fence
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.purpose import check_transactions
from prox_spark.tables.refinements import (
    WRITTEN,
    append_refinement,
    check_chain,
    check_conservation,
    publish_newest,
    receipt_after,
    settle,
    settle_quarantine,
)
from prox_spark.tables.store import Store, open_store
from prox_spark.tables.units import Batch

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Executed:
    """The refinement version after ``execute``; ``new`` is False if it existed before."""

    refinement: str
    version: int
    new: bool
    counts: dict[str, int]


def execute(spark: SparkSession, config: Config) -> Executed:
    """Update the refinement to the current documents of the store; no effect if it is up to date.

    Returns name and version of the refinement, whether the version is new, and its counts.
    Raises ``IncompleteError`` with a count when programs are missing, ``RefinementConflictError`` when the name belongs
    to another configuration, ``FuseError`` and ``ConservationError`` before anything is committed.

    >>> config = prox_spark.load_config("rules", ["store=my-store", "refinement=documents", "chunk=null"])
    >>> done = prox_spark.execute(spark, config)
    >>> done.refinement, done.version, done.new, done.counts["lines_removed"]
    ('documents', 0, True, 0)
    """
    store = open_store(spark, config.store)
    return _run(store, config, find_refiners(config, partial(find_refiner, store, config.refinement)))


def execute_refiners(spark: SparkSession, config: Config, refiners: Refiners) -> Executed:
    """``execute`` with the programs of these refiners."""
    return _run(open_store(spark, config.store), config, refiners)


def _run(store: Store, config: Config, refiners: Refiners) -> Executed:
    spark = store.spark
    log_session(spark, config.model_dump(mode="json", exclude_defaults=True))
    done: Executed | None = None
    while (work := _prepare(store, config, refiners)) is not None:
        found = interrupted(work)
        begun, reached = (work, None) if found is None else found
        _log.info(
            "execute: counting the documents and programs of %s:%d, by version %d of the rules",
            *(work.name, work.version, work.identity["semantics"]),
            extra=_named(work),
        )
        with ThreadPoolExecutor(max_workers=1) as pool:
            # Measure while taking the lease, which mostly waits for Delta's log.
            measuring = pool.submit(measure, begun)
            with hold(store, "execute") as lease:
                # Fence before reading changes: earlier holders' rows are then all visible, and none can follow.
                fence(store, lease, WRITTEN)
                units = measuring.result()
                # `forget` commits its receipt after its row.
                forgotten = work.last is not None and receipt_after(store, work.last) is not None
                if forgotten or changes(store, "refinements", work.refinements_version):
                    _log.info("execute: another job wrote refinements before the lease was taken; looking again")
                    continue
                done = _execute(begun, units, reached, lease)
        if (begun.documents_version, begun.programs_version) == (work.documents_version, work.programs_version):
            return done
        # A run that died is finished; what came since is the next version's.
    if done is not None:
        return done
    publish_newest(store)
    return _standing(store, config, refiners)


def _prepare(store: Store, config: Config, refiners: Refiners) -> Work | None:
    """The pending work, or None if the refinement covers every document."""
    # Read before the row itself: a version committed between the two then counts as later.
    refinements_version = store.version("refinements")
    with ThreadPoolExecutor(max_workers=2) as pool:
        heads = pool.map(store.version, ("documents", "programs"))
        config, last = find_standing(store, config, refiners)
        documents_version, programs_version = heads
    covered = identity(config, refiners)
    name = refinement_name(config, fingerprint(covered))
    if last is not None and last["fingerprint"] != fingerprint(covered):
        listed = "; ".join(differences(json.loads(last["identity"]), covered))
        raise RefinementConflictError(
            f"refinement {name!r} exists with another configuration ({listed}); choose another name"
        )
    version = 0 if last is None else last["version"] + 1
    if last is not None and receipt_after(store, last) is not None:
        # Its tables contain documents that were forgotten later, or no longer exist: execute all others again.
        _log.info("execute: documents were forgotten since %s:%d; all others are executed again", name, last["version"])
        last = None
    after = -1 if last is None else last["last_unit"]
    versions = (documents_version, programs_version, refinements_version)
    work = Work(store, config, refiners, name, version, covered, last, *versions, after)
    work = replace(work, retried=retried(work))
    if last is not None and work.retried is None and last_unit(store, documents_version) <= after:
        return None
    return work


def _standing(store: Store, config: Config, refiners: Refiners) -> Executed:
    _, row = find_standing(store, config, refiners)
    assert row is not None, "a version exists when nothing is pending"
    _log.info("execute: %s:%d covers every document; nothing to do", row["refinement"], row["version"])
    return Executed(row["refinement"], row["version"], False, row["counts"].asDict())


def _named(work: Work) -> dict[str, Any]:
    """The fields that log collectors get with each line about this work."""
    return {"store": work.store.location, "refinement": work.name, "refinement_version": work.version}


def _log_start(work: Work, parts: Sequence[Batch], reached: Reached | None) -> None:
    refiners = [
        f"{one.stage} refiner {one.name} ({one.refiner[:8]})"
        for one in (work.refiners.document, work.refiners.chunk)
        if one
    ]
    versions = {"documents_version": work.documents_version, "programs_version": work.programs_version}
    documents, units = sum(batch.documents for batch in parts), sum(len(batch.units) for batch in parts)
    values = {**_named(work), **versions, "documents": documents, "units": units, "batches": len(parts)}
    told = (
        "execute: refinement %s:%d (%s), %s; %d documents in %d units, %d batches; store %s, documents version %d, "
        "programs version %d"
    )
    named = (work.name, work.version, fingerprint(work.identity)[:8], ", ".join(refiners))
    _log.info(told, *named, documents, units, len(parts), work.store.location, *versions.values(), extra=values)
    if reached is not None:
        went_on = "execute: continuing after unit %d; an interrupted run had executed %d documents"
        _log.info(went_on, reached.unit, reached.counts["documents"], extra=values)


def _log_end(work: Work, counts: dict[str, int], seconds: float) -> None:
    names = ("documents", "refined", "dropped_documents", "quarantined", "lines_removed")
    told = "execute finished: %s:%d has %d documents: %d refined, %d dropped, %d quarantined; %d lines removed; in %s"
    values = {**_named(work), "counts": counts, "seconds": round(seconds, 1)}
    _log.info(told, work.name, work.version, *(counts[name] for name in names), duration(seconds), extra=values)


def _execute(work: Work, units: list[tuple[int, int, int]], before: Reached | None, lease: Lease) -> Executed:
    """Write all batches after ``before`` (None: all batches) and commit the version."""
    started = time.monotonic()
    reached = None if before is None else go_on(work, lease, before)
    parts = batches(work, [unit for unit in units if reached is None or unit[0] > reached.unit])
    _log_start(work, parts, reached)
    mode: Literal["overwrite", "append"] = "append" if reached is not None or work.last is not None else "overwrite"
    reached = reached or _begin(work, lease)
    # The previous version's counts of the documents that are executed again, found by executing that version again.
    old = work.replaced()
    gone = {} if old is None else count_documents(old)
    whole = _counts(work, reached, gone)
    check_fuse(work.config.fuse, whole, work.name)
    running = share_of_tasks(work.store.spark)
    total = sum(batch.documents for batch in parts)
    with Progress("execute", total, "documents", running=running, fields=_named(work)) as progress:
        # A version without documents is also written.
        for number, batch in enumerate(parts or ([] if before else [Batch((), 0, 0)]), 1):
            progress.expect(batch.documents)
            last = number >= len(parts)
            reached = write_batch(work, batch, lease, reached, mode=mode, last=last)
            whole = _counts(work, reached, gone)
            check_fuse(work.config.fuse, whole, work.name)
            mode = "append"
            note = f"{number} of {len(parts)} batches" if len(parts) > 1 else ""
            tables = {f"{table}_version": reached.heads[table] for table in RESULT_TABLES}
            progress.advance(batch.documents, note, units=len(batch.units), unit=batch.last, **tables)
    check_conservation(work.name, whole)
    versions = {**reached.heads, "documents": work.documents_version, "programs": work.programs_version}
    row = _row(work, reached.unit, versions, whole, {"execute": time.monotonic() - started})
    append_refinement(work.store, lease, row)
    _log_end(work, whole, time.monotonic() - started)
    return Executed(work.name, work.version, True, whole)


def _begin(work: Work, lease: Lease) -> Reached:
    """Reset the tables to the previous version, without rows of interrupted runs and of documents that are executed again."""
    store, own = work.store, purpose(work)
    if work.retried is not None:
        check_transactions(store.spark)
    with ThreadPoolExecutor(max_workers=4) as pool:
        # Remove the rows of runs that were interrupted before their commit, possibly with other settings.
        stands = None if work.last is None else work.last["quarantine_version"]
        cleaning = pool.submit(settle_quarantine, store, lease, work.name, stands, own)
        heads = dict(zip(RESULT_TABLES, pool.map(partial(_base, work, lease), RESULT_TABLES), strict=True))
    heads["quarantine"] = cleaning.result()
    if work.retried is not None:
        for table in RESULT_TABLES:
            gone = delete(store, lease, table, work.retried, ["doc_id"], own).version
            check_chain(store, {table: heads[table]}, {table: gone})
            heads[table] = gone
        failed = work.retried.withColumn("refinement", F.lit(work.name))
        heads["quarantine"] = delete(store, lease, "quarantine", failed, ["doc_id", "refinement"], own).version
    return Reached(work.after_unit, heads, dict.fromkeys(COUNTS, 0))


def _base(work: Work, lease: Lease, table: str) -> int:
    """Make the table's head the version to write on, and return its number."""
    if work.last is None:
        return work.store.version(table)
    return settle(work.store, lease, table, work.last[f"{table}_version"])


def _counts(work: Work, reached: Reached, gone: Mapping[str, int]) -> dict[str, int]:
    """Counts over all documents of this version so far: those of the previous version plus those of its batches."""
    before = work.last["counts"].asDict() if work.last is not None else {}
    return {name: before.get(name, 0) + reached.counts[name] - gone.get(name, 0) for name in COUNTS}


def _row(
    work: Work, last_unit: int, versions: Mapping[str, int], counts: dict[str, int], timings: dict[str, float]
) -> dict[str, Any]:
    """The row of ``refinements`` that commits this version."""
    return {
        "refinement": work.name,
        "version": work.version,
        "verb": "execute",
        "from_version": None,
        "last_unit": last_unit,
        "fingerprint": fingerprint(work.identity),
        "document_refiner": work.refiners.document.refiner if work.refiners.document else None,
        "chunk_refiner": work.refiners.chunk.refiner if work.refiners.chunk else None,
        "identity": json.dumps(work.identity, sort_keys=True),
        # Without the session's settings: a local session's may contain the keys of an object store.
        "configuration": json.dumps(work.config.model_dump(mode="json", exclude={"spark"}), sort_keys=True),
        **{f"{table}_version": versions[table] for table in VERSIONED},
        "counts": counts,
        "timings": timings,
        "package_version": __version__,
    }
