"""Leases: one job at a time holds one, and one that lost it writes nothing more."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prox_spark.errors import LeaseError
from prox_spark.tables import leases
from prox_spark.tables.commits import Purpose, commit, fence
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.store import Store, create_store, spark_schema


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

    def newest(*_: Any) -> None:
        beats.append(len(beats))
        if len(beats) == 3:
            stop.set()
        raise OSError("503 Slow Down")

    monkeypatch.setattr(leases, "HEARTBEAT", timedelta(0))
    monkeypatch.setattr(leases, "_newest", newest)
    store: Any = None
    leases._beat(store, lease, stop)
    assert (len(beats), lease.lost.is_set()) == (3, False)
