"""``forget``: deletes documents from every table of a store and, with ``history``, from older versions.

Hashes of their ids are kept, so that they are not ingested again. Every step can be repeated: the next run completes one that
died. The documents themselves are deleted last, so that the same condition finds them until then.
"""

import logging
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from prox_spark.errors import StoreError, UsageError
from prox_spark.schemas import COUNTS, PROGRAM_COUNTS, RESULT_TABLES, TABLES
from prox_spark.tables.cache import cached
from prox_spark.tables.commits import commit, delete, vacuum
from prox_spark.tables.counts import program_counts, totals
from prox_spark.tables.forgotten import id_hash, unfinished
from prox_spark.tables.leases import FORGET, Lease, keys
from prox_spark.tables.purpose import Purpose, check_transactions
from prox_spark.tables.refinements import (
    append_refinement,
    check_chain,
    check_conservation,
    last_version,
    renewed,
    settle,
    settle_quarantine,
)
from prox_spark.tables.store import Store, analyzed, open_store, spark_schema
from prox_spark.tables.views import publish
from prox_spark.versions.names import Version, own_rows
from prox_spark.versions.optimize import hold_all
from prox_spark.versions.pin import begun_tables, pinned_tables

_log = logging.getLogger(__name__)

_OWN = tuple(name for name, schema in TABLES.items() if "doc_id" in schema.names and name != "documents")
"""Tables with rows of documents, without ``documents`` itself, which comes last."""

_PURPOSE = Purpose("forget")


@dataclass(frozen=True)
class Forgotten:
    """The result of one ``forget``; ``receipt`` is null if there was nothing to do.

    ``documents``: number of deleted documents; ``unknown``: ids that are not in the store; ``rows``: deleted rows by table.
    """

    receipt: str | None
    documents: int
    unknown: int
    rows: dict[str, int]
    history: bool


def forget(
    spark: SparkSession,
    location: str,
    ids: Sequence[str] = (),
    *,
    where: str | None = None,
    history: bool = False,
) -> Forgotten:
    """Remove the documents with these ids, and those of which the SQL condition ``where`` over ``documents`` is true.

    The newest refinement gets a version without them. Other refinements still have them in older versions of the tables,
    until ``history`` takes all older versions of all tables; either way they cannot be rolled back to, and ``execute``
    makes them again. With ``history`` alone, what was forgotten before is taken from the past.
    Raises ``UsageError`` for a condition that is none, ``LeaseError`` while any job writes to the store.
    """
    if not ids and where is None and not history:
        raise UsageError("nothing to forget: give ids, --ids FILE or --where SQL")
    store = open_store(spark, location)
    chosen = _chosen(store, ids, where)
    _log.info("forget: looking for the documents", extra={"store": store.location})
    n = chosen.count()
    unknown = _unknown(store, ids)
    if not n and unfinished(store) is None and not (history and _has_past(store)):
        return Forgotten(None, 0, unknown, {}, history)
    check_transactions(spark, erase=history)
    with ExitStack() as stack:
        # The first of them: a job that begins from now on sees it and stops, one that began before has its own lease.
        held = hold_all(store, [FORGET], stack, forgetting=True)
        others = ["execute", "ingest", "annotate", *(key for key in keys(store) if key.startswith("generate/"))]
        held |= hold_all(store, others, stack, forgetting=True)
        lease = held["execute"]
        newest = last_version(store, None)
        if newest is not None:
            _check_executed(Version(store, newest))
        receipt = unfinished(store) or uuid.uuid4().hex
        found = chosen.select(id_hash("doc_id").alias("id_hash"), F.lit(receipt).alias("receipt"))
        # Kept: a condition over the text would be evaluated for every table.
        hashes = stack.enter_context(cached(found))
        counts, heads = None, {}
        # What may fail comes before the hashes: from them on no other job may write until this one has ended.
        if newest is not None:
            counts = _left(Version(store, newest), hashes.select("id_hash"))
            heads = {table: settle(store, lease, table, newest[f"{table}_version"]) for table in RESULT_TABLES}
            settle_quarantine(store, lease, newest["refinement"], newest["quarantine_version"], _PURPOSE)
        new = hashes.join(store.read("forgotten").select("id_hash"), "id_hash", "left_anti")
        if not new.isEmpty():
            commit(store, held[FORGET], "forgotten", new, _PURPOSE)
        _log.info("forget: deleting %d documents from all tables", n, extra={"store": store.location})
        rows = {table: _delete(store, lease, table) for table in _OWN}
        for name, table in begun_tables(store).items():
            # Whoever made them may live after all, and has read what is forgotten now.
            commit(store, lease, name, store.nothing(table), _PURPOSE, kind=table)
        rows |= {table: _delete(store, lease, table) for table in pinned_tables(store)}
        rows["documents"] = _delete(store, held["ingest"], "documents")
        if history and not rows["documents"]:
            # A version of its own: what stands on the one before is gone afterwards.
            commit(store, held["ingest"], "documents", store.nothing("documents"), _PURPOSE)
        now = {table: store.version(table) for table in heads}
        check_chain(store, heads, now, {table: int(rows[table] > 0) for table in heads})
        _renew(store, lease, newest, counts)
        # Before VACUUM, which commits, too: what stands on these documents is what is free of them.
        documents_version = store.version("documents")
        if history:
            _log.info("forget: deleting the files of older versions", extra={"store": store.location})
            vacuum(store, held[FORGET], ["documents", *_OWN, *pinned_tables(store)])
        gone = {table: count for table, count in rows.items() if count}
        _write_receipt(store, held[FORGET], receipt, gone, history, documents_version)
    return Forgotten(receipt, rows["documents"], unknown, gone, history)


def _chosen(store: Store, ids: Sequence[str], where: str | None) -> DataFrame:
    """doc_id of the documents to forget, unreadable ones among them where they are named."""
    documents = store.read("documents")
    if where is not None:
        try:
            chosen = analyzed(documents.where(where).select("doc_id"))
        except (ParseException, AnalysisException) as error:
            # Without Spark's plan and stack.
            message = str(error).split("JVM stacktrace")[0].split(";\n")[0]
            raise UsageError(f"--where: {' '.join(message.split())}") from None
    else:
        chosen = documents.where("false").select("doc_id")
    return chosen.unionByName(_known(store).join(_listed(store, ids), "doc_id", "left_semi")).distinct()


def _known(store: Store) -> DataFrame:
    """doc_id of every record that was ever read, unreadable ones too where they had one."""
    return store.read("documents").select("doc_id").unionByName(store.read("quarantine").select("doc_id"))


def _listed(store: Store, ids: Sequence[str]) -> DataFrame:
    return store.spark.createDataFrame([(doc_id,) for doc_id in ids], "doc_id string")


def _unknown(store: Store, ids: Sequence[str]) -> int:
    """How many of the ids are neither in the store nor forgotten."""
    known = _known(store).select(id_hash("doc_id").alias("id_hash"))
    known = known.unionByName(store.read("forgotten").select("id_hash"))
    listed = _listed(store, ids).distinct().withColumn("id_hash", id_hash("doc_id"))
    unknown: int = listed.join(known, "id_hash", "left_anti").count() if ids else 0
    return unknown


def _has_past(store: Store) -> bool:
    """True where older versions may still hold what was forgotten."""
    newest = store.read("receipts").orderBy(F.desc("documents_version"), "history").first()
    return newest is not None and not newest["history"]


def _check_executed(version: Version) -> None:
    """Refuse while programs wait that were asked again since: the version to come could not tell that from its tables."""
    keys = ["doc_id", "content_hash", "stage", "chunk", "refiner"]
    forgotten = version.store.read("forgotten").select("id_hash")
    failed = own_rows(version, "programs").where("status = 'failed'").select(*keys)
    failed = failed.join(forgotten, id_hash("doc_id") == F.col("id_hash"), "left_anti")
    still = version.store.read("programs").where("status = 'failed'").select(*keys)
    if not failed.join(still, keys, "left_anti").isEmpty():
        raise StoreError(
            f"refinement {version.name}: failed requests were retried since; run `execute` with its configuration first"
        )


def _of(hashes: DataFrame, rows: DataFrame) -> DataFrame:
    """The rows of documents with these ``id_hash``."""
    return rows.join(hashes, id_hash("doc_id") == F.col("id_hash"), "left_semi")


def _delete(store: Store, lease: Lease, table: str) -> int:
    """Delete the rows of forgotten documents from a table; no version is written where there are none."""
    doomed = _of(store.read("forgotten").select("id_hash"), store.read(table))
    n: int = doomed.count()
    if n:
        delete(store, lease, table, doomed.select("doc_id").distinct(), ["doc_id"], _PURPOSE)
    return n


_COUNTED_FROM = ("fate", "n_lines", "n_lines_removed", "n_lines_rewritten", "n_characters", "n_characters_removed")


def _left(version: Version, hashes: DataFrame) -> dict[str, int]:
    """The version's counts without the forgotten documents and those with these ``id_hash``.

    Raises ``ConservationError`` where they do not add up.
    """
    store, name = version.store, version.row["refinement"]
    doomed = store.read("forgotten").select("id_hash").unionByName(hashes)
    documents = _of(doomed, version.read("documents"))
    failed = own_rows(version, "quarantine").select("doc_id").distinct()
    newlines = F.length("text") - F.length(F.replace("text", F.lit("\n")))
    quarantined = documents.join(failed, "doc_id", "left_semi").select(
        (newlines + 1).alias("n_lines"), F.length("text").alias("n_characters")
    )
    parts = {
        "refined": _of(doomed, version.read("refined")),
        "dropped": _of(doomed, version.read("dropped_documents")),
        "quarantined": quarantined,
    }
    fates = [rows.withColumn("fate", F.lit(fate)) for fate, rows in parts.items()]
    counted = [rows.select(*(name for name in _COUNTED_FROM if name in rows.columns)) for rows in fates]
    one = reduce(partial(DataFrame.unionByName, allowMissingColumns=True), counted)
    applied = own_rows(version, "programs").join(documents, ["doc_id", "content_hash"], "left_semi")
    programs = _first(applied.agg(*program_counts()))
    gone = {
        **_first(one.agg(*totals())),
        **{name: programs[f"n_{name}"] or 0 for name in PROGRAM_COUNTS},
        "documents": documents.count(),
    }
    left = {name: version.row["counts"][name] - gone[name] for name in COUNTS}
    check_conservation(name, left)
    return left


def _first(rows: DataFrame) -> dict[str, Any]:
    row = rows.first()
    assert row is not None, "an aggregate without groups has one row"
    found: dict[str, Any] = row.asDict()
    return found


def _renew(store: Store, lease: Lease, newest: Any, counts: dict[str, int] | None) -> None:
    """Commit the newest refinement over the tables as they are now; without one, a commit that tells ``execute``."""
    if newest is None or counts is None:
        commit(store, lease, "refinements", store.nothing("refinements"), _PURPOSE)
        return
    heads = {
        f"{table}_version": store.version(table) for table in (*RESULT_TABLES, "documents", "programs", "quarantine")
    }
    if newest["verb"] == "forget" and all(newest[name] == version for name, version in heads.items()):
        # A run before died behind this row, and perhaps before the views.
        publish(store, newest.asDict(recursive=True))
        return
    append_refinement(store, lease, renewed(store, newest, "forget", {**heads, "counts": counts}))


def _write_receipt(
    store: Store, lease: Lease, receipt: str, rows: dict[str, int], history: bool, documents_version: int
) -> None:
    n = store.read("forgotten").where(F.col("receipt") == receipt).count()
    schema = spark_schema("receipts")
    values = (receipt, n, rows, history, documents_version)
    row = store.spark.createDataFrame([values], schema[:5]).withColumn("forgotten_at", F.current_timestamp())
    commit(store, lease, "receipts", row, _PURPOSE)
