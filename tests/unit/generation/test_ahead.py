"""Three batches in the air: begun ahead, handed out in order, let go of, and stopped when somebody leaves."""

import itertools
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from prox_spark.generation.ahead import Answered, in_the_air
from prox_spark.tables.units import Batch, in_batches

BATCHES = [Batch((unit,), 1, 1) for unit in range(5)]


class Session:
    """As much of a session as is asked for: ``stop`` is called when jobs are to be interrupted."""

    def __init__(self, stop: Callable[[], None] = lambda: None) -> None:
        self.tags: list[str] = []
        self.interrupted: list[str] = []
        self._stop = stop

    def addTag(self, tag: str) -> None:  # noqa: N802
        self.tags.append(tag)

    def interruptTag(self, tag: str) -> None:  # noqa: N802
        self.interrupted.append(tag)
        self._stop()


class Rows:
    """Rows that were kept; ``unpersist`` says that nobody needs them any more."""

    def __init__(self, unit: int, released: list[int]) -> None:
        self._unit, self._released = unit, released

    def unpersist(self) -> None:
        self._released.append(self._unit)


@pytest.fixture(autouse=True)
def no_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("session", "spark_api"):
        monkeypatch.setattr(f"prox_spark.{module}.is_connect", lambda _: True)


def test_the_next_batch_begins_before_the_last_is_done_and_all_come_in_order() -> None:
    released: list[int] = []
    begun: list[int] = []
    second = threading.Event()

    def begin(batch: Batch) -> Answered:
        begun.append(batch.first)
        if batch.first == 1:
            second.set()
        if batch.first == 0:
            # Only done once the next one is under way.
            assert second.wait(10)
        rows: Any = Rows(batch.first, released)
        return Answered(rows, dict, kept=True)

    session: Any = Session()
    seen = []
    for batch, _ in in_the_air(session, BATCHES, begin):
        assert len(begun) <= batch.first + 3, "three at most"
        assert released == list(range(batch.first))
        seen.append(batch.first)
    assert seen == released == [0, 1, 2, 3, 4]
    assert session.interrupted == []


def test_an_error_of_a_batch_is_raised_in_its_turn_and_stops_the_next() -> None:
    stop = threading.Event()

    def begin(batch: Batch) -> Answered:
        if batch.first == 1:
            raise ValueError("engine")
        if batch.first == 2:
            assert stop.wait(10)
        rows: Any = Rows(batch.first, [])
        return Answered(rows, dict, kept=True)

    session: Any = Session(stop.set)
    seen = []

    def run() -> None:
        for batch, _ in in_the_air(session, BATCHES, begin):
            seen.append(batch.first)

    with pytest.raises(ValueError, match="engine"):
        run()
    assert seen == [0]
    assert session.interrupted == session.tags[:1]


def test_whoever_leaves_early_stops_what_is_under_way() -> None:
    stop = threading.Event()
    released: list[int] = []

    def begin(batch: Batch) -> Answered:
        if batch.first == 1:
            assert stop.wait(10)
        rows: Any = Rows(batch.first, released)
        return Answered(rows, dict, kept=True)

    session: Any = Session(stop.set)
    with closing(in_the_air(session, BATCHES, begin)) as flying:
        next(flying)
    assert session.interrupted == session.tags[:1]
    assert released[0] == 0


def test_nothing_to_do_is_nothing_done() -> None:
    session: Any = Session()
    assert list(in_the_air(session, [], lambda _: pytest.fail("there is no batch"))) == []


@pytest.mark.parametrize("size", [1, 9, 10, 25, 1000])
def test_batches_have_every_unit_once_in_order_and_stay_below_their_size(size: int) -> None:
    units = [(unit, unit + 1, (unit * 7) % 12) for unit in range(0, 60, 3)]
    batches = list(in_batches(units, size))
    assert sum(len(batch.units) for batch in batches) == len(units)
    assert sum(batch.documents for batch in batches) == sum(documents for _, documents, _ in units)
    for batch, after in itertools.pairwise(batches):
        assert batch.first <= batch.last < after.first
    assert all(batch.bytes <= size or len(batch.units) == 1 for batch in batches)
