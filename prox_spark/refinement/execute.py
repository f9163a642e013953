"""``execute``: applies programs to documents and commits the result with a row of ``refinements``."""

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from prox_spark import __version__
from prox_spark.config.models import Config
from prox_spark.errors import RefinementConflictError
from prox_spark.generation.plan import Refiners, find_refiners
from prox_spark.generation.recorded import find_refiner
from prox_spark.progress import Progress, duration
from prox_spark.refinement.fingerprint import differences, fingerprint, identity, refinement_name
from prox_spark.refinement.fuse import check_fuse
from prox_spark.refinement.parts import PARTS, execute_part, of_all_lines
from prox_spark.refinement.work import METADATA, Extent, Work, execute_work, grouped, last_unit, measure, retried
from prox_spark.schemas import COUNTS, RESULT_TABLES, VERSIONED
from prox_spark.session import log_session, share_of_tasks
from prox_spark.tables.cache import cached
from prox_spark.tables.commits import NO_RIVALS, Commit, commit, commits_since, delete, fence
from prox_spark.tables.counts import summed, totals
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.refinements import (
    WRITTEN,
    append_refinement,
    check_chain,
    check_conservation,
    last_version,
    receipt_after,
    settle,
    settle_quarantine,
)
from prox_spark.tables.store import Store, open_store

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
    while (work := _prepare(store, config, refiners)) is not None:
        _log.info("execute: reading the programs of %s:%d", work.name, work.version, extra=_named(work))
        with cached(grouped(work)) as programs, ThreadPoolExecutor(max_workers=1) as pool:
            # Measured while the lease is taken: that waits for Delta's log most of its time.
            measuring = pool.submit(measure, work, programs)
            with hold(store, "execute") as lease:
                extent = measuring.result()
                since = commits_since(store, "refinements", work.refinements_version)
                if all(verb in NO_RIVALS for verb in since):
                    fence(store, lease, WRITTEN)
                    running = share_of_tasks(spark)
                    with Progress(
                        "execute", len(RESULT_TABLES), "tables", running=running, fields=_named(work)
                    ) as progress:
                        return _execute(work, programs, extent, lease, progress)
        _log.info("execute: another job wrote refinements before the lease was taken; looking at the store again")
    return _standing(store, config, refiners)


def _prepare(store: Store, config: Config, refiners: Refiners) -> Work | None:
    """What there is to do, or None when the refinement covers every document."""
    covered = identity(config, refiners)
    name = refinement_name(config, fingerprint(covered))
    # Before the row itself: a version that comes between the two is seen as one that came since.
    refinements_version = store.version("refinements")
    with ThreadPoolExecutor(max_workers=2) as pool:
        heads = pool.map(store.version, ("documents", "programs"))
        last = last_version(store, name)
        documents_version, programs_version = heads
    if last is not None and last["fingerprint"] != fingerprint(covered):
        listed = "; ".join(differences(json.loads(last["identity"]), covered))
        raise RefinementConflictError(
            f"refinement {name!r} exists with another configuration ({listed}); choose another name"
        )
    version = 0 if last is None else last["version"] + 1
    if last is not None and receipt_after(store, last) is not None:
        # Its tables contain documents that were forgotten since, or no longer exist: execute all others again.
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
    row = last_version(store, refinement_name(config, fingerprint(identity(config, refiners))))
    assert row is not None, "a version exists when nothing is pending"
    _log.info("execute: %s:%d covers every document; nothing to do", row["refinement"], row["version"])
    return Executed(row["refinement"], row["version"], False, row["counts"].asDict())


def _named(work: Work) -> dict[str, Any]:
    """What log collectors get with each line about this work."""
    return {"store": work.store.location, "refinement": work.name, "refinement_version": work.version}


def _log_start(work: Work, extent: Extent) -> None:
    refiners = [
        f"{one.stage} refiner {one.name} ({one.refiner[:8]})"
        for one in (work.refiners.document, work.refiners.chunk)
        if one
    ]
    versions = {"documents_version": work.documents_version, "programs_version": work.programs_version}
    values = {**_named(work), **versions, "documents": extent.documents, "units": len(extent.units)}
    _log.info(
        "execute: refinement %s:%d (%s), %s; %d documents in %d units; store %s, documents version %d, programs version %d",
        *(work.name, work.version, fingerprint(work.identity)[:8], ", ".join(refiners)),
        *(extent.documents, len(extent.units), work.store.location, *versions.values()),
        extra=values,
    )


def _log_end(work: Work, counts: dict[str, int], seconds: float) -> None:
    names = ("documents", "refined", "dropped_documents", "quarantined", "lines_removed")
    told = "execute finished: %s:%d has %d documents: %d refined, %d dropped, %d quarantined; %d lines removed; in %s"
    values = {**_named(work), "counts": counts, "seconds": round(seconds, 1)}
    _log.info(told, work.name, work.version, *(counts[name] for name in names), duration(seconds), extra=values)


def _execute(work: Work, programs: DataFrame, extent: Extent, lease: Lease, progress: Progress) -> Executed:
    started = time.monotonic()
    _log_start(work, extent)
    store, purpose = work.store, Purpose("execute", work.name, work.version)
    mode: Literal["overwrite", "append"] = "overwrite" if work.last is None else "append"
    with ThreadPoolExecutor(max_workers=5) as pool:
        # Remove the rows of runs that died before their commit, possibly with other settings.
        stands = None if work.last is None else work.last["quarantine_version"]
        cleaning = pool.submit(settle_quarantine, store, lease, work.name, stands, purpose)
        # Only what is overwritten has rows that must go where none are dropped.
        must_go = None if mode == "append" else pool.submit(lambda: not store.read("dropped_documents").isEmpty())
        heads = dict(zip(RESULT_TABLES, pool.map(partial(_base, work), RESULT_TABLES), strict=True))
    quarantine_version = cleaning.result()
    if work.retried is not None:
        for table in RESULT_TABLES:
            heads[table] = delete(store, lease, table, work.retried, ["doc_id"], purpose).version
        gone = work.retried.withColumn("refinement", F.lit(work.name))
        quarantine_version = delete(store, lease, "quarantine", gone, ["doc_id", "refinement"], purpose).version

    def write(table: str) -> tuple[Commit, dict[str, int]]:
        rows = _part(work, programs, extent, table)
        seen = Observation()
        if table != "dropped_lines":
            # What the documents count is seen on the way to the table, without another look at them.
            rows = rows.observe(seen, *totals(table))
        written = commit(store, lease, table, rows, purpose, mode=mode)
        progress.advance(1, table=table, version=written.version, rows=written.rows)
        return written, {} if table == "dropped_lines" else seen.get

    # Side by side: a commit waits more than it works.
    progress.expect(2)
    with ThreadPoolExecutor(max_workers=2) as pool:
        refining, lines = pool.submit(write, "refined"), pool.submit(write, "dropped_lines")
        refined, counted = refining.result()
        left = extent.documents - counted["refined"]
        commits = {"refined": refined}
        counts = [counted]
        # Mostly none are dropped by a night's documents: then the table stands as it should.
        if left or (must_go is not None and must_go.result()):
            progress.expect(1)
            commits["dropped_documents"], counted = write("dropped_documents")
            counts.append(counted)
            left -= counted["dropped_documents"]
        else:
            progress.advance(1, "no document is dropped")
        commits["dropped_lines"], _ = lines.result()
    if left:
        quarantine_version, counted = _quarantine(work, programs, extent, lease, purpose)
        counts.append(counted)
    check_chain(heads, {table: written.version for table, written in commits.items()})
    versions = heads | {table: written.version for table, written in commits.items()}
    versions |= {
        "quarantine": quarantine_version,
        "documents": work.documents_version,
        "programs": work.programs_version,
    }
    rows = {table: commits[table].rows if table in commits else 0 for table in ("refined", "dropped_documents")}
    added = summed(*counts) | rows | extent.programs | {"documents": extent.documents}
    whole = _counts(work, added)
    check_conservation(work.name, whole)
    check_fuse(work.config.fuse, whole, work.name)
    row = _row(work, extent, versions, whole, {"execute": time.monotonic() - started})
    append_refinement(store, lease, row)
    _log_end(work, whole, time.monotonic() - started)
    return Executed(work.name, work.version, True, whole)


def _part(work: Work, programs: DataFrame, extent: Extent, part: str) -> DataFrame:
    """The rows of one part of this version."""
    execute, schema = partial(execute_part, part=part), PARTS[part]
    rows = execute_work(work, programs, extent, execute, schema, METADATA if part == "refined" else ())
    if part != "dropped_lines":
        return rows
    # The same in every row: they need not cross from Python for each of a document's lines.
    chunk = work.refiners.chunk
    same = of_all_lines(chunk.refiner if chunk else None)
    return rows.withColumns({name: F.lit(value) for name, value in same.items()})


def _base(work: Work, table: str) -> int:
    """Make the table's head the one to write on, and return its version."""
    if work.last is None:
        return work.store.version(table)
    return settle(work.store, table, work.last[f"{table}_version"])


def _own_quarantine(work: Work) -> DataFrame:
    return work.store.read("quarantine").where(F.col("refinement") == work.name).select("doc_id")


def _quarantine(
    work: Work, programs: DataFrame, extent: Extent, lease: Lease, purpose: Purpose
) -> tuple[int, dict[str, int]]:
    """Append the documents that failed; the table's version, and what they count."""
    store = work.store
    seen = Observation()
    failed = _part(work, programs, extent, "quarantined").observe(seen, *totals("quarantined"))
    bad = failed.join(_own_quarantine(work), "doc_id", "left_anti")
    rows = bad.select(
        "doc_id",
        F.lit(None).alias("file"),
        F.lit(None).alias("position"),
        "stage",
        F.when(F.col("stage") == "execute", "CompatError").otherwise(F.col("reason")).alias("error_class"),
        F.col("reason").alias("message"),
        F.lit(work.name).alias("refinement"),
        F.current_timestamp().alias("quarantined_at"),
    )
    return commit(store, lease, "quarantine", rows, purpose).version, seen.get


def _counts(work: Work, added: dict[str, int]) -> dict[str, int]:
    """Counts over all documents of this version: what its new units add to the version before."""
    before = work.last["counts"].asDict() if work.last is not None else {}
    gone = _replaced_counts(work)
    return {name: before.get(name, 0) + added[name] - gone.get(name, 0) for name in COUNTS}


def _replaced_counts(work: Work) -> dict[str, int]:
    """What the documents that are executed again had added to the version before: its execution, once more."""
    old = work.replaced()
    if old is None:
        return {}
    programs = grouped(old)
    extent = measure(old, programs)
    rows = [_part(old, programs, extent, part).agg(*totals(part)).first() for part in PARTS if part != "dropped_lines"]
    return {**summed(*(row.asDict() for row in rows if row)), **extent.programs, "documents": extent.documents}


def _row(
    work: Work, extent: Extent, versions: dict[str, int], counts: dict[str, int], timings: dict[str, float]
) -> dict[str, Any]:
    """The row of ``refinements`` that commits this version."""
    return {
        "refinement": work.name,
        "version": work.version,
        "verb": "execute",
        "from_version": None,
        "last_unit": max([work.after_unit, *extent.units]),
        "fingerprint": fingerprint(work.identity),
        "document_refiner": work.refiners.document.refiner if work.refiners.document else None,
        "chunk_refiner": work.refiners.chunk.refiner if work.refiners.chunk else None,
        "identity": json.dumps(work.identity, sort_keys=True),
        # Not the session's own settings: a local one's may hold the keys of an object store.
        "configuration": json.dumps(work.config.model_dump(mode="json", exclude={"spark"}), sort_keys=True),
        **{f"{table}_version": versions[table] for table in VERSIONED},
        "counts": counts,
        "timings": timings,
        "package_version": __version__,
    }
