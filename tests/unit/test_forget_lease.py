"""What a job's lease tells it: that it ran out, that another has it, that documents are being forgotten."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prox_spark.errors import LeaseError, StoreError
from prox_spark.tables import leases
from prox_spark.tables.leases import Lease, Standing, check_held

NOW = datetime.now(UTC)
HELD = (NOW, NOW + timedelta(days=1))
ENDED_EARLY = (NOW, NOW + leases._INTERRUPTED)
GIVEN_BACK = (NOW, NOW)
NOWHERE: Any = None


def forget_stands(
    monkeypatch: pytest.MonkeyPatch, times: tuple[datetime, datetime] | None, receipt: str | None
) -> None:
    """What the store says of the lease of ``forget``, and which of its receipts is missing."""
    beat = None if times is None else (3, *times)
    standing = None if times is None else Standing(3, "elsewhere:boot:1:2:3:4", *times)
    monkeypatch.setattr(leases, "_last_beat", lambda *_: beat)
    monkeypatch.setattr(leases, "_newest", lambda *_: standing)
    monkeypatch.setattr(leases, "unfinished", lambda _: receipt)


@pytest.mark.parametrize(
    ("times", "receipt"),
    [(None, None), (GIVEN_BACK, None), (ENDED_EARLY, None)],
    ids=["there was none", "it was given back", "it ended before it began to delete"],
)
def test_a_job_begins_where_nothing_is_being_forgotten(
    monkeypatch: pytest.MonkeyPatch, times: tuple[datetime, datetime] | None, receipt: str | None
) -> None:
    forget_stands(monkeypatch, times, receipt)
    leases._check_forget(NOWHERE)


def test_a_job_stops_while_documents_are_being_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_stands(monkeypatch, HELD, None)
    with pytest.raises(
        LeaseError, match=r"^documents are being forgotten \(elsewhere:boot:1:2:3:4\); run the command again"
    ):
        leases._check_forget(NOWHERE)


def test_a_job_stops_after_a_forget_that_ended_early(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_stands(monkeypatch, ENDED_EARLY, "a receipt")
    with pytest.raises(
        StoreError, match=r"^a `forget` ended before it was done; run the same `prox-spark forget` again"
    ):
        leases._check_forget(NOWHERE)


def test_a_job_that_stood_still_knows_that_its_lease_ran_out_before_a_heartbeat_does() -> None:
    lease = Lease("execute", 1, "me", renewed=time.monotonic() - leases.EXPIRY.total_seconds())
    for _ in range(2):
        with pytest.raises(LeaseError, match="lease execute expired: no heartbeat could be written for 10 minutes"):
            lease.next_version("refined")
    assert lease.writes == {}


def test_a_heartbeat_of_a_later_holder_stops_what_no_transaction_fences_off(monkeypatch: pytest.MonkeyPatch) -> None:
    lease = Lease("execute", 2, "me")
    for token in (1, 2):
        monkeypatch.setattr(leases, "_last_beat", lambda *_, token=token: (token, *HELD))
        check_held(NOWHERE, lease)
    monkeypatch.setattr(leases, "_last_beat", lambda *_: (3, *HELD))
    with pytest.raises(LeaseError, match="lost lease execute to another job"):
        check_held(NOWHERE, lease)


@pytest.mark.parametrize("there", [True, False], ids=["the answer was lost", "nothing was written"])
def test_a_heartbeat_is_known_by_what_the_store_says(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    properties: dict[str, str] = {}

    def set_properties(store: Any, table: str, changed: dict[str, str]) -> None:
        if there:
            properties.update(changed)
        raise OSError("Connection reset")

    monkeypatch.setattr(leases, "set_properties", set_properties)
    monkeypatch.setattr(leases, "get_properties", lambda *_: properties)
    lease = Lease("execute", 1, "me")
    if there:
        assert leases._renew(NOWHERE, lease)
        assert leases._given_back(NOWHERE, "execute") is None
        assert leases._renew(NOWHERE, lease, timedelta(0))
        assert leases._given_back(NOWHERE, "execute") == 1
    else:
        with pytest.raises(OSError, match="Connection reset"):
            leases._renew(NOWHERE, lease)
