"""Idempotent writes: each carries the transaction version of its lease, and its purpose in ``userMetadata``."""

import json
import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Literal

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from prox_spark.cleanup import afterwards
from prox_spark.errors import LeaseError, StoreError, first_line, is_conflict
from prox_spark.failpoints import around
from prox_spark.tables.leases import Lease, check_held, lost
from prox_spark.tables.migrations import PURPOSE as MIGRATION
from prox_spark.tables.migrations import add_columns
from prox_spark.tables.purpose import ERASING, TRANSACTION, Purpose, labelled, session_settings
from prox_spark.tables.retries import patiently, twice
from prox_spark.tables.store import Store, spark_schema
from prox_spark.tables.units import units_sql

_log = logging.getLogger(__name__)


_TIDY = 64
"""How often the lease of a key is taken until small tables are compacted."""

_SMALL = ("files", "metrics", "refinements", "refiners", "pins", "leases")
"""Tables that get a file of few rows from each job; joining files changes no row and hinders nobody."""


@dataclass(frozen=True)
class Commit:
    """A Delta commit: the table's version that it made, and how many rows it wrote."""

    version: int
    rows: int


def fence(store: Store, lease: Lease, tables: Iterable[str]) -> None:
    """Commit the lease's token to every table it will write, so that an earlier holder's late write is skipped.

    A holder that gave its lease back writes nothing any more, and had fenced off those before it: then nothing is done.
    Now and then the store's small tables are compacted on this occasion.
    """
    if lease.token % _TIDY == 0:
        for table in _SMALL:
            compact(store, table, None)
    if not lease.contested:
        return

    def one(table: str) -> None:
        commit(store, lease, table, store.nothing(table), Purpose("fence"))

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(one, tables))
    lease.contested = False


def commit(
    store: Store,
    lease: Lease,
    table: str,
    rows: DataFrame,
    purpose: Purpose,
    *,
    mode: Literal["append", "overwrite"] = "append",
    kind: str | None = None,
) -> Commit:
    """Write ``rows`` as one Delta commit; again where another job's commit of other rows came between.

    ``kind``: the table of ``schemas.TABLES`` that this one is a copy of, where its name is another.

    Rows that are read from the table itself are read from one of its versions: then the append is blind, and none does.
    Raises ``LeaseError`` when the write was skipped because another job holds the lease by now.
    """
    columns = [rows[field.name].cast(field.dataType).alias(field.name) for field in spark_schema(kind or table)]
    writer = rows.select(*columns).write.format("delta").mode(mode).option("txnAppId", lease.key)

    def write() -> Commit:
        transaction, metadata = _next(lease, table, purpose)
        with _answered(store, table, metadata):
            store.save(writer.option("txnVersion", transaction).option("userMetadata", metadata), table)
        return _committed(store, lease, table, metadata, purpose)

    return patiently(write)


@contextmanager
def _answered(store: Store, table: str, metadata: str, *, compaction: bool = False) -> Iterator[None]:
    """Let an error of a commit pass where its answer alone was lost, and one that means that another holder commits now.

    Delta, or the store's client, tries again where no answer comes, and meets the commit of its own first attempt: only
    the history tells. What is not there in the end, ``_committed`` finds.
    """
    try:
        yield
    except Exception as error:
        if is_conflict(error):
            return
        try:
            there = _find(store, table, metadata, compaction=compaction) is not None
        except Exception:  # noqa: BLE001 -- the store is out of reach: the first error says so
            there = False
        if not there:
            raise
        _log.warning("%s: the answer to a commit was lost; it is there: %s", table, first_line(error))


def _next(lease: Lease, table: str, purpose: Purpose) -> tuple[int, str]:
    """The next write's transaction version, and its ``userMetadata``."""
    transaction = lease.next_version(table)
    return transaction, purpose.metadata(holder=lease.holder, transaction=transaction)


@contextmanager
def _transaction(store: Store, lease: Lease, table: str, purpose: Purpose) -> Iterator[str]:
    """Session settings that give one DML command a transaction version: MERGE and DELETE take no options.

    Every other write of this package names its own transaction, which goes before the session's.
    """
    transaction, metadata = _next(lease, table, purpose)
    settings = dict(zip(TRANSACTION, (lease.key, str(transaction), metadata), strict=True))
    with session_settings(store.spark, settings):
        yield metadata


def merge(
    store: Store,
    lease: Lease,
    table: str,
    rows: DataFrame,
    keys: Sequence[str],
    purpose: Purpose,
    units: Sequence[int] | None = None,
) -> Commit:
    """Replace the table's rows that have a key of ``rows`` by those, and add the others, as one Delta commit.

    ``rows`` must be cheap and deterministic to compute: Delta reads them twice. Where all are of some ``units``, files of
    others are not read. Raises ``LeaseError`` as ``commit``.
    """
    actions = "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    within = "" if units is None else f" AND {units_sql(units, 'there.unit')}"
    return _merge(store, lease, table, rows, keys, purpose, actions, within)


def delete(store: Store, lease: Lease, table: str, rows: DataFrame, keys: Sequence[str], purpose: Purpose) -> Commit:
    """Delete the table's rows that have a key of ``rows``, as one Delta commit. Raises ``LeaseError`` as ``commit``."""
    return _merge(store, lease, table, rows, keys, purpose, "WHEN MATCHED THEN DELETE")


def _merge(
    store: Store,
    lease: Lease,
    table: str,
    rows: DataFrame,
    keys: Sequence[str],
    purpose: Purpose,
    actions: str,
    within: str = "",
) -> Commit:
    view = f"prox_spark_merge_{uuid.uuid4().hex}"
    rows.createOrReplaceTempView(view)
    condition = " AND ".join(f"there.`{key}` <=> here.`{key}`" for key in keys) + within

    def write() -> Commit:
        with (
            _transaction(store, lease, table, purpose) as metadata,
            _answered(store, table, metadata),
            around("merge", table),
        ):
            store.spark.sql(f"MERGE INTO {store.table(table)} there USING {view} here ON {condition} {actions}")
        return _committed(store, lease, table, metadata, purpose)

    with afterwards(lambda: store.spark.catalog.dropTempView(view)):
        return patiently(write)


def _committed(store: Store, lease: Lease, table: str, metadata: str, purpose: Purpose) -> Commit:
    """The commit that carries ``metadata``. Raises ``LeaseError`` where it was skipped, as the lease is another's."""
    done = _find(store, table, metadata)
    if done is not None:
        _log_commit(store, table, done, purpose)
        return done
    raise LeaseError(lease.why_lost) if lease.lost.is_set() else lost(lease.key)


def _find(store: Store, table: str, metadata: str, *, compaction: bool = False) -> Commit | None:
    """The commit that carries ``metadata``; it is the newest or, where others wrote since, near it.

    A compaction that a platform lets follow a commit takes over what that says of itself: it is found only as ``compaction``.
    """
    for limit in (1, 1000):
        for entry in store.entries(table, limit):
            if entry.metadata == metadata and (compaction or entry.operation != "OPTIMIZE"):
                return Commit(entry.version, entry.rows)
    return None


def _log_commit(store: Store, table: str, done: Commit, purpose: Purpose) -> None:
    values = {"store": store.location, "table": table, "version": done.version, "rows": done.rows}
    values |= {"verb": purpose.verb, "refinement": purpose.refinement}
    # A fence writes nothing: it only shuts out an earlier holder.
    level = logging.DEBUG if purpose.verb == "fence" else logging.INFO
    _log.log(level, "%s: committed %s version %d, %d rows", purpose.verb, table, done.version, done.rows, extra=values)


def restore(store: Store, lease: Lease, table: str, version: int) -> int:
    """Restore the table to one of its versions, as a new version (metadata only), and return that.

    Raises ``LeaseError`` where the lease was lost, ``StoreError`` where VACUUM removed the version's files.
    """
    command = f"RESTORE TABLE {store.table(table)} TO VERSION AS OF {version}"
    purpose = Purpose("restore", details={"command": uuid.uuid4().hex})

    def write() -> None:
        # RESTORE checks no transaction: a holder that was refused may have lost the lease since.
        check_held(store, lease)
        store.spark.sql(command)

    try:
        with (
            around("restore", table),
            labelled(store.spark, purpose),
            _answered(store, table, purpose.metadata()),
        ):
            patiently(write)
    except PySparkException as error:
        if "Not all files from version" not in str(error):
            raise
        raise StoreError(f"version {version} of {table} cannot be restored: VACUUM removed its files") from None
    # RESTORE brings back the columns of that version, too.
    add_columns(store, table)
    head = store.version(table)
    values = {"store": store.location, "table": table, "version": head, "from_version": version}
    _log.info("restored %s to version %d, which is version %d now", table, version, head, extra=values)
    return head


def compact(store: Store, table: str, order: str | None) -> int:
    """Write the table's small files into large ones, sorted by column ``order``, and return the version of its head."""
    sorted_by = "" if order is None else f" ZORDER BY ({order})"
    command = f"OPTIMIZE {store.table(table)}{sorted_by}"
    purpose = Purpose("optimize", details={"command": uuid.uuid4().hex})
    with (
        around("optimize", table),
        labelled(store.spark, purpose),
        _answered(store, table, purpose.metadata(), compaction=True),
    ):
        patiently(partial(store.spark.sql, command))
    head = store.version(table)
    values = {"store": store.location, "table": table, "version": head}
    _log.info("optimize: compacted %s, version %d", table, head, extra=values)
    return head


def vacuum(store: Store, lease: Lease, tables: Iterable[str]) -> None:
    """Delete every file that the newest versions of these tables do not need: no older version can be read any more.

    It deletes what another job has not committed yet, too: ``lease`` keeps others out. Raises ``LeaseError`` once it is lost.
    """

    def delete_files(table: str) -> None:
        check_held(store, lease)
        with around("vacuum", table):
            store.spark.sql(f"VACUUM {store.table(table)} RETAIN 0 HOURS")

    def one(table: str) -> None:
        twice(partial(delete_files, table))
        _log.info("removed the files of all older versions of %s", table, extra={"table": table})

    with session_settings(store.spark, ERASING), ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(one, tables))


@dataclass(frozen=True, slots=True)
class Change:
    """A commit in a table's history: the verb of this package that made it, None where another program did."""

    version: int
    verb: str | None
    operation: str


_QUIET_VERBS = ("fence", MIGRATION.verb)
_QUIET_OPERATIONS = (
    *("OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "UPGRADE PROTOCOL"),
    *("COMPUTE STATS", "ANALYZE TABLE", "ADD COLUMNS", "CLUSTER BY", "REORG"),
)


def changes(store: Store, table: str, after: int, until: int | None = None) -> list[Change]:
    """Every commit after version ``after``, up to ``until``, that may have changed rows, whoever made it; newest first.

    Commits that change none are no rivals: compaction, VACUUM, statistics, properties. Those of this package are known by
    their verbs, even where they wrote no row; those of other programs by their operation, else by what they did to files.
    A commit whose entry is gone may have changed any.
    """
    head = store.version(table)
    if head <= after:
        return []
    entries = takewhile(lambda one: one.version > after, store.entries(table, head - after + _MEANWHILE))
    found = {one.version: Change(one.version, _verb(one.metadata), one.operation) for one in entries}
    last = max(found, default=head) if until is None else until
    wanted = (found.get(version, Change(version, None, "")) for version in range(last, after, -1))
    return [one for one in wanted if _changed(store, table, one)]


def _changed(store: Store, table: str, one: Change) -> bool:
    if one.operation in _QUIET_OPERATIONS or one.verb in _QUIET_VERBS:
        return False
    return one.verb is not None or store.changes_rows(table, one.version)


_MEANWHILE = 20
"""Commits that others may add between two looks at a table."""


def _verb(metadata: str | None) -> str | None:
    verb: str | None = json.loads(metadata).get("verb") if metadata and metadata.startswith("{") else None
    return verb
