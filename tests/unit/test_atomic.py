"""Files and folders are complete or not there."""

import stat
import threading
from pathlib import Path

import pytest

from prox_spark.atomic import locked, whole_file, whole_folder
from prox_spark.errors import UsageError


def fail_in_file(target: Path) -> None:
    with whole_file(target) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt


def fail_in_folder(target: Path, key: str | None = None) -> None:
    with whole_folder(target, key) as work:
        (work / "checkpoint").write_text("half")
        raise ValueError("half")


def be_overtaken(target: Path, key: str | None) -> None:
    with whole_folder(target, key) as work:
        (work / "card").write_text("mine")
        target.mkdir()
        (target / "card").write_text("theirs")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_replaces_its_target_at_the_end_only(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_text("old")
    with whole_file(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old"
        assert partial.name.startswith(".")
    assert (names(tmp_path), target.read_text()) == (["page.html"], "new")


def test_a_shared_file_is_the_last_writers_whole(tmp_path: Path) -> None:
    target = tmp_path / "cache.json"
    with whole_file(target, shared=True) as one, whole_file(target, shared=True) as other:
        one.write_text("one")
        other.write_text("other")
    assert (names(tmp_path), target.read_text()) == (["cache.json"], "one")


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        fail_in_file(target)
    assert (names(tmp_path), target.read_text()) == (["page.html"], "old")


def test_a_folder_gets_its_name_at_the_end_and_others_can_read_it(tmp_path: Path) -> None:
    target = tmp_path / "made" / "refiner"
    with whole_folder(target) as work:
        (work / "card").write_text("x")
        assert not target.exists()
    assert (names(target.parent), names(target)) == (["refiner"], ["card"])
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_an_error_removes_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="half"):
        fail_in_folder(tmp_path / "refiner")
    assert names(tmp_path) == []


def test_with_a_key_the_work_is_resumed_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="half"):
        fail_in_folder(tmp_path / "refiner", "0a1b")
    assert names(tmp_path) == [".refiner.0a1b"]
    with whole_folder(tmp_path / "refiner", "0a1b") as work:
        assert names(work) == ["checkpoint"]
    assert names(tmp_path) == ["refiner"]


@pytest.mark.parametrize("key", [None, "0a1b"])
def test_a_target_that_appears_meanwhile_is_never_replaced(tmp_path: Path, key: str | None) -> None:
    target = tmp_path / "refiner"
    with pytest.raises(UsageError, match="created by another process"):
        be_overtaken(target, key)
    assert (target / "card").read_text() == "theirs"
    assert names(tmp_path) == (["refiner"] if key is None else [".refiner.0a1b", "refiner"])


def test_a_folder_is_one_process_at_a_time(tmp_path: Path) -> None:
    def work_again() -> None:
        with whole_folder(tmp_path / "model", "key"):
            raise AssertionError("two at once")

    with whole_folder(tmp_path / "model", "key") as work:
        (work / "weights").write_text("mine")
        with pytest.raises(UsageError, match="another process works in"):
            work_again()
    assert (tmp_path / "model" / "weights").read_text() == "mine"


def test_who_comes_second_waits_for_a_folder(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with locked(tmp_path):
            order.append("second")

    with locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]
