"""Progress without a terminal: what the log says at a commit, what between two, and how long it reckons."""

import logging
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from prox_spark.progress import EVERY_SECONDS, Progress


@dataclass
class Clock:
    """Seconds that a test sets."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(caplog: pytest.LogCaptureFixture) -> Clock:
    caplog.set_level(logging.INFO, "prox_spark")
    return Clock()


def values(record: logging.LogRecord, *names: str) -> list[Any]:
    return [getattr(record, name) for name in names]


def test_a_commit_is_logged_with_what_is_done_how_fast_and_how_long_still(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("generate chunk", 4800, "documents", fields={"stage": "chunk"}, clock=clock)
    with progress:
        clock.now += 15
        progress.advance(480, "900 tokens/s", table="programs", version=3, rows=700)
    (record,) = caplog.records
    assert record.getMessage() == (
        "generate chunk: 480 of 4,800 documents (10%), 32 documents/s, 900 tokens/s, 2 min 15 s left"
    )
    assert values(record, "done", "total", "unit", "rate", "seconds_left") == [480, 4800, "documents", 32.0, 135.0]
    assert values(record, "stage", "table", "version", "rows") == ["chunk", "programs", 3, 700]


def test_between_commits_a_line_a_minute_reckons_with_the_tasks_that_are_done(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("generate chunk", 1000, "documents", running=lambda: 0.25, clock=clock)
    progress.expect(800)
    clock.now += EVERY_SECONDS - 1
    progress.look()
    assert not caplog.records
    clock.now += 1
    progress.look()
    progress.look()
    (record,) = caplog.records
    assert record.getMessage() == (
        "generate chunk: 0 of 1,000 documents (20%), 3 documents/s, no commit yet, "
        "25% of the running Spark tasks done, 4 min 00 s left"
    )
    progress.advance(800)
    clock.now += EVERY_SECONDS / 2
    progress.look()
    assert len(caplog.records) == 2
    assert values(caplog.records[1], "done", "rate", "seconds_left") == [800, 13.333, 15.0]


def test_no_more_than_all_of_what_is_under_way_is_reckoned_with(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress("execute", 4, "tables", running=lambda: 1.5, clock=clock)
    progress.expect(1)
    progress.expect(1)
    clock.now += EVERY_SECONDS
    progress.look()
    (record,) = caplog.records
    assert record.getMessage() == (
        "execute: 0 of 4 tables (50%), 2 tables/min, no commit yet, 100% of the running Spark tasks done, 1 min 00 s left"
    )


def test_before_the_first_commit_the_time_left_is_unknown_where_spark_does_not_tell(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress("ingest", 3_000_000, "bytes", clock=clock)
    progress.expect(3_000_000)
    clock.now += 90
    progress.look()
    (record,) = caplog.records
    assert record.getMessage() == "ingest: 0 of 3.0 MB (0%), no commit yet, time left unknown"
    assert record.seconds_left is None  # type: ignore[attr-defined]


def test_what_is_finished_has_no_time_left(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress("execute", 3, "tables", clock=clock)
    clock.now += 60
    progress.advance(3, "no document is dropped")
    (record,) = caplog.records
    assert record.getMessage() == "execute: 3 of 3 tables (100%), 3 tables/min, no document is dropped"
    assert record.seconds_left == 0  # type: ignore[attr-defined]


def test_on_a_terminal_the_bar_alone_tells(
    clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress("ingest", 10, "files", clock=clock)
    clock.now += 300
    progress.advance(5)
    assert not caplog.records
