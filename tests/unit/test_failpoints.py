"""Failpoints: without effect unless the environment names them, and an error where it names one that does not exist."""

import threading
from pathlib import Path

import pytest
from drivers import FORKS
from processes import wait_for

from prox_spark import failpoints
from prox_spark.errors import ConfigError, ProxSparkError
from prox_spark.failpoints import KILLED, NAMES, VARIABLE, around, failpoint


@pytest.fixture(autouse=True)
def no_hits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "_hits", failpoints.Counter())


def test_each_name_is_listed_once() -> None:
    assert len(set(NAMES)) == len(NAMES)


def test_nothing_happens_where_the_environment_names_no_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    failpoint("a name that is not in the list")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("write nothing before=kill", "unknown failpoint 'write nothing before'"),
        ("write documents before=explode", "expected NAME=kill"),
        ("write documents before=barrier", "expected NAME=kill"),
        ("write documents before#x=kill", "expected NAME=kill"),
        ("write documents before", "expected NAME=kill"),
    ],
)
def test_an_unknown_name_or_action_is_an_error(monkeypatch: pytest.MonkeyPatch, given: str, message: str) -> None:
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(ConfigError, match=message):
        failpoint("write refined before")


def test_a_point_that_the_list_lacks_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, f"*=record:{tmp_path / 'points'}")
    with pytest.raises(ConfigError, match="'write secrets before' is not in the list"), around("write", "secrets"):
        pass


def test_points_are_recorded_in_order_with_how_often_they_were_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, f"*=record:{tmp_path / 'points'}")
    for _ in range(2):
        with around("write", "pinned_0123456789ab_refined"):
            pass
    with pytest.raises(FileNotFoundError), around("merge", "programs"):
        raise FileNotFoundError

    assert (tmp_path / "points").read_text().splitlines() == [
        *("write pinned_refined before#1", "write pinned_refined after#1"),
        *("write pinned_refined before#2", "write pinned_refined after#2"),
        "merge programs before#1",
    ]


def _three_steps(record: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, f"write documents after#2=kill;*=record:{record}")
        for _ in range(3):
            with around("write", "documents"):
                pass


def test_a_process_is_killed_at_the_time_that_is_named(tmp_path: Path) -> None:
    process = FORKS.Process(target=_three_steps, args=(str(tmp_path / "points"),))
    process.start()
    process.join(60)

    assert process.exitcode == KILLED
    points = (tmp_path / "points").read_text().splitlines()
    assert points == ["write documents before#1", "write documents after#1", "write documents before#2"]


def test_a_barrier_holds_its_thread_until_it_is_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, f"restore refined before=barrier:{tmp_path}")
    passed = threading.Event()

    def go() -> None:
        failpoint("restore refined before")
        passed.set()

    thread = threading.Thread(target=go)
    thread.start()
    wait_for((tmp_path / "restore refined before#1.here").exists, "the thread arrives")
    assert not passed.is_set()
    (tmp_path / "restore refined before#1.go").touch()
    thread.join(60)
    assert passed.is_set()


def test_a_barrier_that_nobody_opens_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, f"restore refined before=barrier:{tmp_path}")
    monkeypatch.setattr(failpoints, "_WAIT_SECONDS", 0.0)
    with pytest.raises(ProxSparkError, match="nobody opened the barrier"):
        failpoint("restore refined before")
