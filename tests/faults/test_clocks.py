"""Clocks that are wrong: of two hosts, and one that is set while a job runs.

Slow: each lease that is taken over is fenced off, a commit to each table.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from claims import PROSE, run
from rows_by_hand import ids, row

from prox_spark.config import Config
from prox_spark.errors import LeaseError
from prox_spark.generation.plan import asked_for, plan_stages
from prox_spark.generation.recorded import _newest, record_refiner
from prox_spark.refinement.execute import execute
from prox_spark.tables import leases
from prox_spark.tables.commits import commit, fence, merge, restore
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.refinements import check_chain, last_version, settle
from prox_spark.tables.store import Store, create_store, open_store
from prox_spark.versions.history import history
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

TABLE = "dropped_documents"
TEN_MINUTES = timedelta(minutes=10, seconds=30)
NOW = leases.datetime.now


@pytest.fixture(scope="module")
def store(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return create_store(spark, str(tmp_path_factory.mktemp("clocks") / "store"))


@contextmanager
def host(name: str, ahead: timedelta) -> Iterator[None]:
    """Run the block as on another host, whose clock is ``ahead`` of this one."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return NOW(tz) + ahead

    with (
        patch.object(leases, "datetime", Clock),
        patch.object(leases, "myself", lambda: f"{name}:boot-of-{name}:4:1:1:nonce"),
    ):
        yield


def write(store: Store, lease: Lease, doc_id: str) -> int:
    return commit(store, lease, TABLE, row(store, TABLE, doc_id), Purpose("test")).version


def test_a_host_whose_clock_is_ahead_takes_over_and_the_first_writes_nothing_more(store: Store) -> None:
    with hold(store, "ahead") as first:
        fence(store, first, [TABLE])
        base = write(store, first, "ahead 1")
        with host("b", TEN_MINUTES), hold(store, "ahead") as second:
            assert second.contested
            fence(store, second, [TABLE])
            before = store.version(TABLE)
            version = write(store, second, "ahead 2")

            with pytest.raises(LeaseError):
                write(store, first, "late append")
            with pytest.raises(LeaseError):
                merge(store, first, TABLE, row(store, TABLE, "late merge"), ["doc_id"], Purpose("test"))
            check_chain(store, {TABLE: before}, {TABLE: store.version(TABLE)})
            with pytest.raises(LeaseError, match="lost lease ahead to another job"):
                restore(store, first, TABLE, base)
            # One that is under way names no lease: what counts is the version that the second's commit made.
            store.spark.sql(f"RESTORE TABLE {store.table(TABLE)} TO VERSION AS OF {base}")
            with pytest.raises(LeaseError, match=f"another job wrote to {TABLE} at the same time"):
                check_chain(store, {TABLE: before}, {TABLE: store.version(TABLE)})
            assert "ahead 2" in ids(store, TABLE, version)
            settle(store, second, TABLE, version)
            assert {"ahead 1", "ahead 2"} <= ids(store, TABLE)
    assert not {"late append", "late merge"} & ids(store, TABLE)


def test_a_host_whose_clock_is_behind_waits_and_then_goes_on(store: Store) -> None:
    with hold(store, "behind") as first:
        write(store, first, "behind 1")
        with (
            host("b", -TEN_MINUTES),
            pytest.raises(LeaseError, match="another job holds the lease behind"),
            hold(store, "behind"),
        ):
            pass
    with host("b", -TEN_MINUTES), hold(store, "behind") as second:
        assert not second.contested
        write(store, second, "behind 2")
    with hold(store, "behind") as third:
        assert (third.token, third.contested) == (first.token + 2, False)
    assert {"behind 1", "behind 2"} <= ids(store, TABLE)


def test_a_clock_that_is_set_back_takes_no_heartbeat_back(store: Store) -> None:
    with hold(store, "back") as lease:
        with host("a", -TEN_MINUTES):
            assert leases._renew(store, lease)
            renewed = leases._newest(store, "back")
            assert renewed is not None
            assert timedelta() < renewed.expires_at - leases.datetime.now(UTC) <= leases.EXPIRY
        write(store, lease, "back 1")
    # Given back by a clock that is behind the one it was taken by.
    with hold(store, "back again") as lease, host("a", -TEN_MINUTES):
        leases._release(store, lease, finished=True)
        given_back = leases._newest(store, "back again")
        assert given_back is not None
        assert given_back.released
        lease.lost.set()


def test_a_clock_that_is_set_ahead_on_the_same_host_costs_a_job_and_no_row(store: Store) -> None:
    with hold(store, "set") as first:
        write(store, first, "set 1")
        with host("a", TEN_MINUTES), hold(store, "set") as second:
            fence(store, second, [TABLE])
            write(store, second, "set 2")
            with pytest.raises(LeaseError, match="lost lease set to another job"):
                write(store, first, "set late")
    assert {"set 1", "set 2"} <= ids(store, TABLE)
    assert "set late" not in ids(store, TABLE)


def test_the_newest_refinement_is_the_one_that_was_committed_last(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path]
) -> None:
    config = configure("document=null", path=write_pages([f"Home | About\n{PROSE}"]), refinement="early")
    run(spark, config)
    late = config.model_copy(update={"refinement": "late"})
    execute(spark, late)
    store = open_store(spark, config.store)
    # As if the first had been committed by a host whose clock is an hour ahead.
    own = (
        f"UPDATE {store.table('refinements')} SET created_at = created_at + INTERVAL 1 HOUR WHERE refinement = 'early'"
    )
    spark.newSession().sql(own)

    newest = last_version(store, None)
    assert newest is not None
    assert newest["refinement"] == "late"
    assert [row["refinement"] for row in history(spark, config.store)] == ["early", "late"]
    # Readers see what is there, not what another refinement's version has.
    assert query(spark, config.store, "SELECT count(*) FROM refined").first()[0] == 1
    assert execute(spark, late).new is False


def test_the_newest_refiner_of_the_same_settings_is_the_one_that_was_recorded_last(
    spark: Any, configure: Callable[..., Config]
) -> None:
    config = configure("document=null")
    store, plan = open_store(spark, config.store), plan_stages(config).chunk
    assert plan is not None
    with hold(store, "generate/new/chunk") as lease:
        record_refiner(store, lease, plan, config.chunk)
        ahead = f"UPDATE {store.table('refiners')} SET refiner = 'old', created_at = created_at + INTERVAL 1 HOUR"
        spark.newSession().sql(ahead)
        record_refiner(store, lease, plan, config.chunk)
    newest = _newest(store, "chunk", asked_for(config.chunk))
    assert newest is not None
    assert newest["refiner"] == plan.fingerprint
