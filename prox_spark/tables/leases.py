"""One writer at a time: a lease for each key, with heartbeat and expiry, won by Delta's optimistic concurrency.

The table is a short log: the newest row of a key is its lease. Taking it appends a row whose transaction version is the
next token; Delta commits one version of an id once, so of several jobs one wins. The token is the fencing token: every
write of the holder carries ``txnAppId`` = the lease's key and ``txnVersion`` = token * 2**20 + n, and Delta skips a version
that is not above the last one, so a holder that lost its lease can write nothing more.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psutil
from pyspark.sql import Column, Row
from pyspark.sql import functions as F

from prox_spark.errors import LeaseError, first_line, is_conflict
from prox_spark.tables.migrations import is_older, migrate
from prox_spark.tables.store import Store, store_number
from prox_spark.tables.times import utc

_log = logging.getLogger(__name__)

EXPIRY = timedelta(minutes=10)
HEARTBEAT = timedelta(minutes=2)
WRITES_PER_TOKEN = 2**20

_MIGRATE = "migrate"
"""The lease of whoever brings a store to this package's layout."""

_WAIT_SECONDS = 2.0
"""Between two looks at a store that another job is bringing to this package's layout."""

_INTERRUPTED = timedelta(microseconds=1)
"""What is left of the lease of a job that ended with an error: over for all others, and yet not given back."""


@dataclass
class Lease:
    """A lease that is held. ``next_version`` hands out the transaction versions of its writes.

    ``contested`` is False where the holder before gave it back (or there was none), so that it writes nothing any more,
    and once that holder was fenced off (``commits.fence``).
    """

    key: str
    token: int
    holder: str
    contested: bool = True
    writes: dict[str, int] = field(default_factory=dict)
    lost: threading.Event = field(default_factory=threading.Event)
    why_lost: str = ""

    def next_version(self, table: str) -> int:
        """The next ``txnVersion`` for a table. Raises ``LeaseError`` if a heartbeat found that the lease was lost."""
        if self.lost.is_set():
            raise LeaseError(self.why_lost)
        n = self.writes.get(table, 0)
        self.writes[table] = n + 1
        if n >= WRITES_PER_TOKEN:
            raise LeaseError(
                f"lease {self.key}: more than {WRITES_PER_TOKEN} writes in one job; run it again to continue"
            )
        return self.token * WRITES_PER_TOKEN + n


def lost(key: str) -> LeaseError:
    """The error of a job whose lease another job took."""
    return LeaseError(f"lost lease {key} to another job; stopped without further writes")


@contextmanager
def hold(store: Store, key: str) -> Iterator[Lease]:
    """Hold the lease ``key`` for the length of the block, with a heartbeat in the background.

    Where the block raises after it began to write, a write may still be under way, and where it never fenced off the holder
    before, that one's: the lease is free at once, but stays contested.
    Raises ``LeaseError`` at once when a job that is alive holds it. A holder counts as dead when its lease has expired or
    when it ran on this host and its process is dead. An older package's store is brought to today's layout first: whoever
    holds a lease writes.
    """
    _migrated(store)
    with _held(store, key) as lease:
        # Raises for a layout that a newer package has given the store since it was opened.
        store_number(store)
        yield lease


def _migrated(store: Store) -> None:
    """Bring the store to this package's layout where it has an older one, or wait until another job has."""
    deadline = time.monotonic() + EXPIRY.total_seconds()
    while is_older(store):
        try:
            with _held(store, _MIGRATE):
                if is_older(store):
                    _check_alone(store)
                    migrate(store)
        except LeaseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_WAIT_SECONDS)


def _check_alone(store: Store) -> None:
    """Raise ``LeaseError`` while another job, of an older package, writes: columns must not change under its commits."""
    now = datetime.now(UTC).timestamp()
    for key in keys(store):
        row = _newest(store, key)
        if key != _MIGRATE and row is not None and row["expires_at"].timestamp() > now and alive(row["holder"]):
            raise LeaseError(
                f"the store has an older layout, and another job writes to it (lease {key}, {row['holder']}); run this again "
                "when that job is done"
            )


@contextmanager
def _held(store: Store, key: str) -> Iterator[Lease]:
    lease = _acquire(store, key)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(store, lease, stop), name=f"lease {key}", daemon=True)
    beat.start()
    finished = False
    try:
        yield lease
        finished = True
    finally:
        clean = not lease.contested and (finished or not lease.writes)
        left = timedelta(0) if clean else _INTERRUPTED
        stop.set()
        beat.join(timeout=60)
        if not lease.lost.is_set():
            _append(store, lease, datetime.now(UTC), left)
            how = "gave back" if clean else "ended with an error and let go of"
            _log.info("%s lease %s (token %d)", how, key, lease.token, extra={"lease": key, "lease_token": lease.token})


def _acquire(store: Store, key: str) -> Lease:
    holder = myself()
    row = _newest(store, key)
    if row is not None and row["expires_at"].timestamp() > datetime.now(UTC).timestamp() and alive(row["holder"]):
        raise LeaseError(
            f"another job holds the lease {key} ({row['holder']}, until {utc(row['expires_at']):%Y-%m-%d %H:%M:%S} UTC unless "
            "renewed); wait for it or stop it, then run the command again"
        )
    released = row is None or row["expires_at"] <= row["heartbeat_at"]
    lease = Lease(key, 1 if row is None else row["token"] + 1, holder, contested=not released)
    try:
        won = _append(store, lease, datetime.now(UTC), EXPIRY, transaction=lease.token)
    except Exception as error:
        if not is_conflict(error):
            raise
        won = False
    if not won:
        raise LeaseError(f"another job has just taken the lease {key}; run the command again when it is done")
    _log_taken(lease, row)
    return lease


def _log_taken(lease: Lease, before: Row | None) -> None:
    values = {"lease": lease.key, "lease_token": lease.token}
    if before is None or not lease.contested:
        _log.info("took lease %s (token %d)", lease.key, lease.token, extra=values)
        return
    until = f"{utc(before['expires_at']):%Y-%m-%d %H:%M:%S} UTC"
    told = "took lease %s (token %d) over from %s, which had it until %s and did not give it back"
    _log.info(
        told, lease.key, lease.token, before["holder"], until, extra={**values, "holder_before": before["holder"]}
    )


def _newest(store: Store, key: str) -> Row | None:
    """The key's lease: the row of the highest token, of that the latest heartbeat."""
    rows: list[Row] = store.read("leases").where(F.col("key") == key).collect()
    return max(rows, key=lambda row: (row["token"], row["heartbeat_at"]), default=None)


def keys(store: Store) -> list[str]:
    """Every key that a lease was ever taken for."""
    return sorted(row["key"] for row in store.read("leases").select("key").distinct().collect())


def _append(store: Store, lease: Lease, now: datetime, expiry: timedelta, *, transaction: int | None = None) -> bool:
    """Append the lease's row; with a transaction version False when another job committed that version first."""
    times = [_time(now, "heartbeat_at"), _time(now + expiry, "expires_at")]
    names = [
        F.lit(lease.key).alias("key"),
        F.lit(lease.token).cast("long").alias("token"),
        F.lit(lease.holder).alias("holder"),
    ]
    writer = store.spark.range(1, numPartitions=1).select(*names, *times).write.format("delta").mode("append")
    if transaction is None:
        # A transaction of its own, never used again: it must not take that of a MERGE in another thread.
        beat = (f"beat/{lease.holder}", time.time_ns() // 1000)
        store.save(writer.option("txnAppId", beat[0]).option("txnVersion", beat[1]), "leases")
        return True
    mark = f"{lease.holder} {transaction}"
    writer = (
        writer.option("txnAppId", f"lease/{lease.key}").option("txnVersion", transaction).option("userMetadata", mark)
    )
    store.save(writer, "leases")
    history = store.spark.sql(f"DESCRIBE HISTORY {store.table('leases')} LIMIT 20").select("userMetadata").collect()
    return any(row[0] == mark for row in history)


def _beat(store: Store, lease: Lease, stop: threading.Event) -> None:
    renewed = datetime.now(UTC)
    while not stop.wait(HEARTBEAT.total_seconds()):
        now = datetime.now(UTC)
        try:
            newest = _newest(store, lease.key)
            if newest is not None and newest["holder"] == lease.holder:
                _append(store, lease, now, EXPIRY)
                renewed = now
                continue
        except Exception as error:  # noqa: BLE001 -- Spark passes on what Java's and the object store's libraries raise
            # One heartbeat may fail with the store's weather; only a whole expiry without any means that it is gone.
            reason = f"{type(error).__name__}: {first_line(error)}"
            values = {"lease": lease.key, "reason": reason}
            _log.warning("heartbeat of lease %s failed, it is tried again: %s", lease.key, reason, extra=values)
            if now - renewed < EXPIRY:
                continue
            since = f"no heartbeat could be written for {EXPIRY.total_seconds() / 60:.0f} minutes"
            lease.why_lost = f"lease {lease.key} expired: {since}; run the command again"
        else:
            lease.why_lost = str(lost(lease.key))
        _log.warning("%s", lease.why_lost, extra={"lease": lease.key})
        lease.lost.set()
        return


def myself() -> str:
    """host:pid:start:nonce of this process; the nonce tells two sessions of one process apart."""
    started = int(psutil.Process().create_time())
    return f"{socket.gethostname()}:{os.getpid()}:{started}:{uuid.uuid4().hex[:8]}"


def alive(holder: str) -> bool:
    """Whether a holder as ``myself`` names it may live: False only when it ran on this host and is gone for certain."""
    host, pid, started, _ = holder.rsplit(":", 3)
    if host != socket.gethostname():
        return True
    try:
        return int(psutil.Process(int(pid)).create_time()) == int(started)
    except psutil.NoSuchProcess:
        return False


def _time(moment: datetime, name: str) -> Column:
    return F.timestamp_micros(F.lit(int(moment.timestamp() * 1_000_000))).alias(name)
