"""Leases: one job at a time holds one, and one that lost it writes nothing more."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from prox_spark.errors import LeaseError
from prox_spark.tables import commits, leases
from prox_spark.tables.commits import Purpose, commit, fence
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.store import Store, create_store, get_properties, spark_schema


@pytest.fixture(scope="module")
def store(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return create_store(spark, str(tmp_path_factory.mktemp("leases") / "store"))


def dropped(store: Store, doc_id: str) -> Any:
    """A row for ``dropped_documents``."""
    schema = spark_schema("dropped_documents")
    return store.spark.createDataFrame([tuple({"doc_id": doc_id}.get(name) for name in schema.names)], schema)


def take_over(store: Store, key: str, token: int) -> Lease:
    """What a job on another machine does when it finds the lease expired."""
    second = Lease(key, token, "elsewhere:1:1:0")
    now = datetime.now(UTC)
    row = (key, token, second.holder, now, now + timedelta(minutes=10))
    store.save(
        store.spark.createDataFrame([row], spark_schema("leases"))
        .write.format("delta")
        .mode("append")
        .option("txnAppId", f"lease/{key}")
        .option("txnVersion", token),
        "leases",
    )
    return second


def test_a_lease_that_is_held_is_refused_and_free_again_afterwards(store: Store) -> None:
    with hold(store, "ingest") as first:
        with pytest.raises(LeaseError, match="another job holds the lease ingest"), hold(store, "ingest"):
            pass
        with hold(store, "execute"):
            pass
    with hold(store, "ingest") as second:
        assert second.token == first.token + 1
        assert not second.contested


def test_a_lease_of_a_job_that_failed_while_writing_is_free_at_once_but_has_to_be_fenced_off(store: Store) -> None:
    key = "generate/r/document"

    def fail(*, contested: bool, writes: bool) -> None:
        with hold(store, key) as lease:
            assert lease.contested == contested
            if writes:
                lease.next_version("dropped_documents")
            raise KeyboardInterrupt

    for contested, writes in ((False, False), (False, True), (True, False)):
        with pytest.raises(KeyboardInterrupt):
            fail(contested=contested, writes=writes)
    with hold(store, key) as lease:
        assert lease.contested, "nobody has fenced off the one that wrote"
        fence(store, lease, ["dropped_documents"])
    with hold(store, key) as lease:
        assert not lease.contested


def test_a_job_that_lost_its_lease_writes_nothing_and_notices(store: Store) -> None:
    with hold(store, "generate/r/chunk") as first:
        fence(store, first, ["dropped_documents"])
        commit(store, first, "dropped_documents", dropped(store, "before"), Purpose("first"))
        second = take_over(store, first.key, first.token + 1)
        fence(store, second, ["dropped_documents"])
        version = store.version("dropped_documents")

        with pytest.raises(LeaseError, match="to another job"):
            commit(store, first, "dropped_documents", dropped(store, "late"), Purpose("first"))

        assert store.version("dropped_documents") == version
        commit(store, second, "dropped_documents", dropped(store, "after"), Purpose("second"))
    assert {row["doc_id"] for row in store.read("dropped_documents").collect()} == {"before", "after"}
    with (
        pytest.raises(LeaseError, match="another job holds the lease generate/r/chunk"),
        hold(store, first.key),
    ):
        pass


def test_a_heartbeat_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, lease, beats = threading.Event(), leases.Lease("execute", 1, "me"), []

    def renew(*_: Any) -> bool:
        beats.append(len(beats))
        if len(beats) == 3:
            stop.set()
        raise OSError("503 Slow Down")

    monkeypatch.setattr(leases, "HEARTBEAT", timedelta(milliseconds=20))
    monkeypatch.setattr(leases, "_renew", renew)
    store: Any = None
    leases._beat(store, lease, stop)
    assert (len(beats), lease.lost.is_set()) == (3, False)


def test_a_heartbeat_that_hangs_does_not_delay_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, lease, beats = threading.Event(), leases.Lease("execute", 1, "me"), []
    hang = threading.Event()

    def renew(*_: Any) -> bool:
        beats.append(len(beats))
        if len(beats) == 2:
            hang.wait(10)
        if len(beats) == 4:
            stop.set()
        return True

    monkeypatch.setattr(leases, "HEARTBEAT", timedelta(milliseconds=20))
    monkeypatch.setattr(leases, "_renew", renew)
    store: Any = None
    leases._beat(store, lease, stop)
    assert (len(beats), lease.lost.is_set(), hang.is_set()) == (4, False, False)
    hang.set()


def test_a_heartbeat_that_hangs_until_the_lease_is_given_back_blames_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop, lease, hang, done = threading.Event(), leases.Lease("execute", 1, "me"), threading.Event(), threading.Event()

    def renew(*_: Any) -> bool:
        stop.set()
        hang.wait(10)
        done.set()
        return False

    monkeypatch.setattr(leases, "HEARTBEAT", timedelta(milliseconds=20))
    monkeypatch.setattr(leases, "_renew", renew)
    store: Any = None
    leases._beat(store, lease, stop)
    hang.set()
    assert done.wait(10)
    for thread in threading.enumerate():
        if thread.name == "heartbeat execute":
            thread.join(10)
    assert not lease.lost.is_set()
    assert "another job" not in caplog.text


def test_a_lease_without_any_heartbeat_expired_and_no_other_job_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    lease = leases.Lease("execute", 1, "me")

    def renew(*_: Any) -> bool:
        raise OSError("503 Slow Down")

    monkeypatch.setattr(leases, "HEARTBEAT", timedelta(milliseconds=20))
    monkeypatch.setattr(leases, "EXPIRY", timedelta(milliseconds=100))
    monkeypatch.setattr(leases, "_renew", renew)
    store: Any = None
    leases._beat(store, lease, threading.Event())
    with pytest.raises(LeaseError, match="lease execute expired: no heartbeat could be written for"):
        lease.next_version("refined")


def test_a_lease_that_another_job_took_is_told_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT", timedelta(milliseconds=20))
    lease = leases.Lease("told", 1, "me")
    assert leases._renew(store, leases.Lease("told", 2, "elsewhere:boot:1:1:1:0"))
    leases._beat(store, lease, threading.Event())
    with pytest.raises(LeaseError, match="lost lease told to another job"):
        lease.next_version("refined")


def test_a_heartbeat_renews_a_lease_and_one_that_came_late_does_not(store: Store) -> None:
    with hold(store, "beaten") as lease:
        taken = leases._newest(store, "beaten")
        assert taken is not None
        assert leases._renew(store, lease)
        renewed = leases._newest(store, "beaten")
        assert renewed is not None
        assert renewed.expires_at > taken.expires_at
    # Given back after the heartbeat.
    given_back = leases._newest(store, "beaten")
    assert given_back is not None
    assert given_back.released
    take_over(store, "beaten", lease.token + 1)
    assert not leases._renew(store, lease), "its last heartbeat gave it back"
    newest = leases._newest(store, "beaten")
    assert newest is not None
    assert newest.token == lease.token + 1
    # The last heartbeat says that the lease is free; the token that is taken tells otherwise.
    with pytest.raises(LeaseError, match=r"another job holds the lease beaten \(elsewhere"), hold(store, "beaten"):
        pass


def test_checkpoints_are_made_between_jobs_and_small_tables_are_joined(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Path(store.location, "leases", "_delta_log")
    assert list(log.glob("*.checkpoint.parquet")) == [], "no heartbeat waits for one"
    monkeypatch.setattr(leases, "_LOOK", 1)
    monkeypatch.setattr(leases, "_CHECKPOINT_COMMITS", 1)
    monkeypatch.setattr(commits, "_TIDY", 1)
    with hold(store, "tidy") as lease:
        fence(store, lease, [])
        assert len(list(log.glob("*.checkpoint.parquet"))) == 1
        assert get_properties(store, "leases")["delta.checkpointInterval"] == "1000000"
        assert store.spark.sql(f"DESCRIBE DETAIL {store.table('leases')}").first()["numFiles"] == 1
    assert leases._newest(store, "tidy") is not None


BUSY = """
import sys, threading, time
from datetime import timedelta
from prox_spark.session import get_session
from prox_spark.tables import commits, leases
from prox_spark.tables.store import open_store

leases.EXPIRY, leases.HEARTBEAT = timedelta(seconds=5), timedelta(seconds=1)
spark = get_session({"spark.master": "local[1]"})

def sleep(batches):
    import time
    for batch in batches:
        time.sleep(25)
        yield batch

with leases.hold(open_store(spark, sys.argv[1]), "busy"):
    print("held", flush=True)
    spark.range(0, 1, 1, 1).mapInArrow(sleep, "id long").count()
    print("done", flush=True)
"""


@pytest.mark.slow
def test_heartbeats_are_on_time_while_the_only_core_is_busy_for_five_expiries(store: Store) -> None:
    busy = subprocess.Popen([sys.executable, "-c", BUSY, store.location], stdout=subprocess.PIPE, text=True)
    try:
        assert busy.stdout is not None
        assert busy.stdout.readline().strip() == "held"
        left, refused, tokens = [], 0, set()
        waited = threading.Thread(target=lambda: left.append(busy.stdout.readline()))
        waited.start()
        while waited.is_alive():
            with pytest.raises(LeaseError, match="another job holds the lease busy"), hold(store, "busy"):
                pass
            refused += 1
            newest = leases._newest(store, "busy")
            assert newest is not None
            age = datetime.now(UTC) - newest.heartbeat_at
            assert age < timedelta(seconds=4), "later than three heartbeats"
            tokens.add(newest.token)
            waited.join(0.5)
        assert left == ["done\n"]
        assert refused > 10
        assert len(tokens) == 1
    finally:
        busy.wait(60)
