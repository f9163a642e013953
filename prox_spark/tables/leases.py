"""One writer at a time: a lease for each key, with heartbeat and expiry, won by Delta's optimistic concurrency.

The table is a short log: the newest row of a key is its lease. Taking it appends a row whose transaction version is the
next token; Delta commits one version of an id once, so of several jobs one wins. The token is the fencing token: every
write of the holder carries ``txnAppId`` = the lease's key and ``txnVersion`` = token * 2**20 + n, and Delta skips a version
that is not above the last one, so a holder that lost its lease can write nothing more.

A heartbeat is a property of the table, not a row: a row needs a Spark task, which would wait for a free core behind the
tasks of the very job that it speaks for. A property is written by the driver alone. The last heartbeat gives the lease back.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column
from pyspark.sql import functions as F

from prox_spark.errors import LeaseError, StoreError, first_line, is_conflict
from prox_spark.processes import alive, myself
from prox_spark.tables.forgotten import unfinished
from prox_spark.tables.migrations import is_older, migrate
from prox_spark.tables.retries import patiently, twice
from prox_spark.tables.store import Store, check_writers, get_properties, set_properties, store_number
from prox_spark.tables.times import utc

_log = logging.getLogger(__name__)

EXPIRY = timedelta(minutes=10)
HEARTBEAT = timedelta(minutes=2)
WRITES_PER_TOKEN = 2**20

FORGET = "forget"
"""The lease of ``forget``: nobody else writes while it is held."""

_MIGRATE = "migrate"
"""The lease of whoever brings a store to this package's layout."""

_WAIT_SECONDS = 2.0
"""Between two looks at a store that another job is bringing to this package's layout."""

_CHECKPOINT = "prox_spark.checkpoint"
"""The property with the version at which the last checkpoint was made."""

_LOOK = 16
"""How often the lease of a key is taken until somebody looks whether a checkpoint is due."""

_INTERVAL = "delta.checkpointInterval"

_CHECKPOINT_COMMITS = 200
"""Commits that a reader has to go through at most: seven hours of heartbeats."""

_BEAT = "prox_spark.heartbeat."
"""The property with the last heartbeat of a key's lease."""

_INTERRUPTED = timedelta(microseconds=1)
"""What is left of the lease of a job that ended with an error: over for all others, and yet not given back."""


@dataclass(frozen=True)
class Standing:
    """What the store says of a key: its newest lease. It was given back where it expired when it was last renewed."""

    token: int
    holder: str
    heartbeat_at: datetime
    expires_at: datetime

    @property
    def released(self) -> bool:
        """Whether the holder gave it back."""
        return self.expires_at <= self.heartbeat_at

    def held(self, now: datetime) -> bool:
        """Whether a job that may live holds it."""
        return self.expires_at > now and alive(self.holder)


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
    renewed: float = field(default_factory=time.monotonic)
    """When the last heartbeat that was written began, by the clock that nobody sets."""

    def check(self) -> None:
        """Raise ``LeaseError`` if the lease was lost, even before a heartbeat notices: the process may have been stopped."""
        if time.monotonic() - self.renewed >= EXPIRY.total_seconds():
            since = f"no heartbeat could be written for {EXPIRY.total_seconds() / 60:.0f} minutes"
            _lose(self, f"lease {self.key} expired: {since}; run the command again")
        if self.lost.is_set():
            raise LeaseError(self.why_lost)

    def next_version(self, table: str) -> int:
        """The next ``txnVersion`` for a table. Raises ``LeaseError`` if the lease was lost."""
        self.check()
        n = self.writes.get(table, 0)
        self.writes[table] = n + 1
        if n >= WRITES_PER_TOKEN:
            raise LeaseError(
                f"lease {self.key}: more than {WRITES_PER_TOKEN} writes in one job; run it again to continue"
            )
        return self.token * WRITES_PER_TOKEN + n


def check_held(store: Store, lease: Lease) -> None:
    """Raise ``LeaseError`` where the lease was lost, as the store says, too: before a command that no transaction fences off."""
    lease.check()
    last = _last_beat(store, lease.key)
    if last is not None and last[0] > lease.token:
        raise lost(lease.key)


def lost(key: str) -> LeaseError:
    """The error of a job whose lease another job took."""
    return LeaseError(f"lost lease {key} to another job; stopped without further writes")


@contextmanager
def hold(store: Store, key: str, *, forgetting: bool = False) -> Iterator[Lease]:
    """Hold the lease ``key`` for the length of the block, with a heartbeat in the background.

    Where the block raises after it began to write, a write may still be under way, and where it never fenced off the holder
    before, that one's: the lease is free at once, but stays contested.
    Raises ``LeaseError`` at once when a job that is alive holds it, or while documents are being forgotten (``forgetting``: by
    this job), ``ConfigError`` where Delta does not order the commits of two drivers. A holder counts as dead when its lease
    has expired or when it ran on this host and its process is dead. An older package's store is brought to today's layout
    first: whoever holds a lease writes.
    """
    check_writers(store)
    _migrated(store)
    with _held(store, key) as lease:
        # Raises for a layout that a newer package has given the store since it was opened.
        store_number(store)
        if not forgetting:
            # Now that the lease is taken: of a `forget` and a job that begin at once, at least one sees the other.
            _check_forget(store)
        yield lease


def _check_forget(store: Store) -> None:
    """Raise ``LeaseError`` while a ``forget`` is under way, ``StoreError`` where one ended before it was done.

    As a rule its last heartbeat tells that there is none: that takes no Spark task.
    """
    if _last_beat(store, FORGET) is None or _given_back(store, FORGET) is not None:
        return
    last = _newest(store, FORGET)
    if last is not None and last.held(datetime.now(UTC)):
        raise LeaseError(f"documents are being forgotten ({last.holder}); run the command again when that is done")
    if unfinished(store) is not None:
        raise StoreError(
            "a `forget` ended before it was done; run the same `prox-spark forget` again, then this command"
        )


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
    now = datetime.now(UTC)
    for key in keys(store):
        last = _newest(store, key)
        if key != _MIGRATE and last is not None and last.held(now):
            raise LeaseError(
                f"the store has an older layout, and another job writes to it (lease {key}, {last.holder}); run this again "
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
        stop.set()
        beat.join(timeout=60)
        if not lease.lost.is_set():
            _release(store, lease, finished=finished)


def _release(store: Store, lease: Lease, *, finished: bool) -> None:
    """Give the lease back; where that fails it expires, and what the job did or failed of stays what is told."""
    clean = not lease.contested and (finished or not lease.writes)
    values = {"lease": lease.key, "lease_token": lease.token}
    try:
        if not _renew(store, lease, timedelta(0) if clean else _INTERRUPTED):
            _log.info("another job has lease %s (token %d was this job's)", lease.key, lease.token, extra=values)
            return
    except Exception as error:  # noqa: BLE001 -- Spark passes on what Java's and the object store's libraries raise
        told = "could not give back lease %s (token %d); it expires in %d minutes at most: %s"
        reason = first_line(error)
        _log.warning(
            told, lease.key, lease.token, EXPIRY.total_seconds() // 60, reason, extra={**values, "reason": reason}
        )
        return
    how = "gave back" if clean else "ended with an error and let go of"
    _log.info("%s lease %s (token %d)", how, lease.key, lease.token, extra=values)


def _acquire(store: Store, key: str) -> Lease:
    given_back = _given_back(store, key)
    if given_back is not None:
        lease = Lease(key, given_back + 1, myself(), contested=False)
        if _take(store, lease):
            if key == FORGET:
                _renew(store, lease)
            _log_taken(lease, None)
            return lease
    last = _newest(store, key)
    if last is not None and last.held(datetime.now(UTC)):
        raise LeaseError(
            f"another job holds the lease {key} ({last.holder}, until {last.expires_at:%Y-%m-%d %H:%M:%S} UTC unless "
            "renewed); wait for it or stop it, then run the command again"
        )
    lease = Lease(key, 1 if last is None else last.token + 1, myself(), contested=not (last is None or last.released))
    if not _take(store, lease):
        raise LeaseError(f"another job has just taken the lease {key}; run the command again when it is done")
    if lease.contested or key == FORGET:
        # The holder before may live after all: so it learns at its next heartbeat. All others look for that of `forget`.
        _renew(store, lease)
    _log_taken(lease, last)
    return lease


def _given_back(store: Store, key: str) -> int | None:
    """The token with which the key's lease was given back, from the last heartbeat alone; None where that does not say.

    A job may have taken the lease since and died before its first heartbeat: then the next token is taken, too.
    """
    beat = _last_beat(store, key)
    return beat[0] if beat is not None and beat[2] <= beat[1] else None


def _take(store: Store, lease: Lease) -> bool:
    """Append the lease's row; False where another job has taken its token."""
    won = _append(store, lease)
    if won and lease.token % _LOOK == 0:
        _checkpoint(store)
    return won


def _log_taken(lease: Lease, before: Standing | None) -> None:
    values = {"lease": lease.key, "lease_token": lease.token}
    if before is None or not lease.contested:
        _log.info("took lease %s (token %d)", lease.key, lease.token, extra=values)
        return
    until = f"{before.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    told = "took lease %s (token %d) over from %s, which had it until %s and did not give it back"
    _log.info(told, lease.key, lease.token, before.holder, until, extra={**values, "holder_before": before.holder})


def _newest(store: Store, key: str) -> Standing | None:
    """The key's lease: of the highest token, when it was last taken, renewed or given back."""
    rows = store.read("leases").where(F.col("key") == key).drop("key").collect()
    found = [Standing(row["token"], row["holder"], utc(row["heartbeat_at"]), utc(row["expires_at"])) for row in rows]
    newest = max(found, key=lambda one: (one.token, one.heartbeat_at), default=None)
    beat = _last_beat(store, key)
    # A heartbeat that came too late is of a token that another job's followed. One of the same token came after the row,
    # whatever the time it tells: clocks are set back.
    if newest is None or beat is None or beat[0] != newest.token:
        return newest
    return replace(newest, heartbeat_at=beat[1], expires_at=beat[2])


def _last_beat(store: Store, key: str) -> tuple[int, datetime, datetime] | None:
    """Token, time and expiry of the last heartbeat of the key's lease. Takes no Spark task."""
    value = get_properties(store, "leases").get(_BEAT + key)
    return None if value is None else _parsed(value)


def _parsed(value: str) -> tuple[int, datetime, datetime]:
    token, *times = map(int, value.split())
    beat, expiry = (datetime.fromtimestamp(one / 1e6, UTC) for one in times)
    return token, beat, expiry


def keys(store: Store) -> list[str]:
    """Every key that a lease was ever taken for."""
    return sorted(row["key"] for row in store.read("leases").select("key").distinct().collect())


def _append(store: Store, lease: Lease) -> bool:
    """Append the lease's row with its token as the transaction; False when another job committed that one first."""
    mark = f"{lease.holder} {lease.token}"

    def once() -> None:
        now = datetime.now(UTC)
        row = store.spark.range(1, numPartitions=1).select(
            F.lit(lease.key).alias("key"),
            F.lit(lease.token).cast("long").alias("token"),
            F.lit(lease.holder).alias("holder"),
            _time(now, "heartbeat_at"),
            _time(now + EXPIRY, "expires_at"),
        )
        writer = row.write.format("delta").mode("append").option("userMetadata", mark)
        store.save(writer.option("txnAppId", f"lease/{lease.key}").option("txnVersion", lease.token), "leases")

    def there() -> bool:
        return any(entry.metadata == mark for limit in (4, 100) for entry in store.entries("leases", limit))

    try:
        patiently(once)
    except Exception as error:
        # The answer alone may have been lost: then the history has the row, and the conflict was with itself.
        if there():
            return True
        if not is_conflict(error):
            raise
        return False
    return there()


def _checkpoint(store: Store) -> None:
    """Let Delta make a checkpoint of the table where the last one is long ago; its own interval is never reached.

    A commit makes one when its version is a multiple of the interval, and for this one commit the interval is 1.
    """
    properties = get_properties(store, "leases")
    version = store.version("leases")
    if version - int(properties.get(_CHECKPOINT, 0)) < _CHECKPOINT_COMMITS:
        return
    interval = properties.get(_INTERVAL, "10")

    def once() -> None:
        set_properties(store, "leases", {_INTERVAL: "1", _CHECKPOINT: str(version + 1)})
        set_properties(store, "leases", {_INTERVAL: interval})

    patiently(lambda: twice(once))


def _renew(store: Store, lease: Lease, left: timedelta | None = None) -> bool:
    """Write a heartbeat after which the lease lasts for ``left`` (by default ``EXPIRY``); False if another job has it.

    Takes no Spark task.
    """
    left = EXPIRY if left is None else left

    def once() -> bool:
        last = _last_beat(store, lease.key)
        # A heartbeat that was held up must not follow the last one.
        if last is not None and (last[0], last[2] - last[1] <= _INTERRUPTED) >= (lease.token, True):
            return False
        now = int(datetime.now(UTC).timestamp() * 1_000_000)
        # Numbers alone: Spark shows no value of a property that contains a word like "token", as a host's name may.
        beat = f"{lease.token} {now} {now + left // timedelta(microseconds=1)}"
        try:
            set_properties(store, "leases", {_BEAT + lease.key: beat})
        except Exception:
            # The answer alone may have been lost.
            with suppress(Exception):
                if _last_beat(store, lease.key) == _parsed(beat):
                    return True
            raise
        return True

    return patiently(once)


def _beat(store: Store, lease: Lease, stop: threading.Event) -> None:
    """Renew the lease until ``stop``; mark it lost when another job has it, or when nothing could be written for too long.

    Each heartbeat is a thread of its own. Every tenth commit to a table makes Delta write a checkpoint, which is a Spark job
    and may wait for a free core: the commit itself has been written by then, and the next heartbeat does not wait for it.
    """

    def renew() -> None:
        began = time.monotonic()
        try:
            if _renew(store, lease):
                lease.renewed = max(lease.renewed, began)
            # One that was held up may come when this job itself has given the lease back.
            elif not stop.is_set():
                _lose(lease, str(lost(lease.key)))
        except Exception as error:  # noqa: BLE001 -- Spark passes on what Java's and the object store's libraries raise
            # One heartbeat may fail with the store's weather; only a whole expiry without any means that it is gone.
            reason = f"{type(error).__name__}: {first_line(error)}"
            values = {"lease": lease.key, "reason": reason}
            _log.warning("heartbeat of lease %s failed, it is tried again: %s", lease.key, reason, extra=values)

    while not (stop.wait(HEARTBEAT.total_seconds()) or lease.lost.is_set()):
        beat = threading.Thread(target=renew, name=f"heartbeat {lease.key}", daemon=True)
        beat.start()
        # As a rule it is done in a moment; the expiry is judged with it.
        beat.join(timeout=min(HEARTBEAT.total_seconds(), 10.0))
        with suppress(LeaseError):
            lease.check()


def _lose(lease: Lease, why: str) -> None:
    if not lease.lost.is_set():
        lease.why_lost = why
        _log.warning("%s", why, extra={"lease": lease.key})
        lease.lost.set()


def _time(moment: datetime, name: str) -> Column:
    return F.timestamp_micros(F.lit(int(moment.timestamp() * 1_000_000))).alias(name)
