"""Which failed commits are tried again, and how often."""

from collections.abc import Callable

import pytest
from pyspark.errors import AnalysisException

from prox_spark.errors import LeaseError, StoreError
from prox_spark.tables import retries
from prox_spark.tables.retries import patiently, twice

APPENDED = "[DELTA_CONCURRENT_APPEND] rows were added"
OTHERS = "[DELTA_CONCURRENT_TRANSACTION] another has it"


def failing(*errors: Exception) -> tuple[Callable[[], int], list[int]]:
    """A write that raises these, one after the other, and then returns its number; and the numbers of its calls."""
    calls: list[int] = []

    def write() -> int:
        calls.append(len(calls) + 1)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return len(calls)

    return write, calls


def test_a_write_is_tried_again_after_other_jobs_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries.time, "sleep", lambda _: None)
    write, calls = failing(RuntimeError(APPENDED), RuntimeError(APPENDED))
    assert patiently(write) == len(calls) == 3


def test_a_write_that_always_meets_others_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries.time, "sleep", lambda _: None)
    write, calls = failing(*[RuntimeError(APPENDED)] * 9)
    with pytest.raises(StoreError, match=r"^other jobs or programs wrote to the same table each of the 5 times"):
        patiently(write)
    assert len(calls) == 5


def test_a_command_whose_answer_is_lost_is_run_once_more(caplog: pytest.LogCaptureFixture) -> None:
    write, _ = failing(RuntimeError("java.net.SocketException: Connection reset"))
    assert twice(write) == 2
    assert "its answer alone may be lost: java.net.SocketException: Connection reset" in caplog.text


def test_a_command_that_fails_twice_fails() -> None:
    write, calls = failing(RuntimeError("one"), RuntimeError("two"))
    with pytest.raises(RuntimeError, match="two"):
        twice(write)
    assert len(calls) == 2


@pytest.mark.parametrize(
    "error", [AnalysisException("no such table"), LeaseError("lost"), RuntimeError(APPENDED), RuntimeError(OTHERS)]
)
def test_what_is_refused_and_conflicts_are_not_run_again(error: Exception) -> None:
    write, calls = failing(error)
    with pytest.raises(type(error)):
        twice(write)
    assert len(calls) == 1
