"""A folder that is there as a whole or not at all, on a file system that renames folders and on one that does not."""

import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import fsspec
import pytest
from export_helpers import TEXTS, rows, write

from prox_spark.errors import ProxSparkError, UsageError
from prox_spark.exporting.folder import Folder, open_folder
from prox_spark.exporting.manifest import check_same, encoded, manifest
from prox_spark.exporting.staging import look, staging
from prox_spark.processes import alive, myself


@pytest.fixture(params=["local", "memory"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    """A folder to make on each of the two kinds of file systems."""
    if request.param == "local":
        yield open_folder(str(tmp_path / "made" / "export"))
    else:
        memory = fsspec.filesystem("memory")
        memory.store.clear()
        yield open_folder("memory://bucket/made/export")
        memory.store.clear()


def holder_of_a_dead_process() -> str:
    child = subprocess.Popen(["true"])
    child.wait()
    before, _, _, nonce = myself().rsplit(":", 3)
    holder = f"{before}:{child.pid}:1:{nonce}"
    assert not alive(holder)
    return holder


def beside(target: Folder) -> list[str]:
    """Files next to the target that are not the target's."""
    return [name for name in target.parent.sizes() if not name.startswith("export/")]


def test_one_attempt_of_each_shard_is_published_with_the_manifest_and_nothing_else(target: Folder) -> None:
    with staging(target) as here:
        write(here.attempts.url, "parquet", rows(TEXTS))
        chosen = write(here.attempts.url, "parquet", rows(TEXTS))["file"]
        assert len(here.attempts.sizes()) == 2
        assert all(name.startswith(".export.export-") for name in beside(target))
        here.publish(
            {chosen["name"]: "data/part-00000.parquet"},
            {chosen["name"]: chosen["bytes"]},
            [("README.md", b"card"), ("manifest.json", b"{}")],
        )
    assert set(target.sizes()) == {"data/part-00000.parquet", "README.md", "manifest.json"}
    assert target.sizes()["data/part-00000.parquet"] == chosen["bytes"]
    assert beside(target) == []
    assert look(target) == b"{}"


def run(target: Folder, size: int = 4, written: Iterable[tuple[str, bytes]] = (("manifest.json", b"mine"),)) -> None:
    """A run with one file of four bytes, which the task says has ``size``."""
    with staging(target) as here:
        here.attempts.write("part", b"mine")
        here.publish({"part": "part"}, {"part": size}, written)


def interrupted() -> Iterator[tuple[str, bytes]]:
    yield "README.md", b"card"
    raise KeyboardInterrupt


def test_an_error_leaves_nothing(target: Folder) -> None:
    with pytest.raises(ProxSparkError, match="must be the same folder on the machines"):
        run(target, size=5)
    with pytest.raises(KeyboardInterrupt):
        run(target, written=interrupted())
    assert target.parent.sizes() == {}
    assert look(target) is None


def test_what_a_dead_run_left_is_removed_and_a_living_one_is_let_be(target: Folder) -> None:
    left = target.parent.child(".export.export-000000000000")
    left.write("attempts/part", b"half")
    left.write(".exporting", holder_of_a_dead_process().encode())
    living = target.parent.child(".export.export-111111111111")
    living.write(".exporting", myself().encode())
    another = target.parent.child(".export-2.export-111111111111")
    another.write(".exporting", holder_of_a_dead_process().encode())
    with staging(target):
        pass
    names = {name.partition("/")[0] for name in target.parent.sizes()}
    assert names == {living.name, another.name}


def test_a_run_of_another_machine_counts_as_dead_after_a_day(tmp_path: Path) -> None:
    target = open_folder(str(tmp_path / "export"))
    left = tmp_path / ".export.export-000000000000"
    left.mkdir()
    (left / ".exporting").write_text("elsewhere.example:1:1:abcdef01")
    with staging(target):
        pass
    assert left.exists()
    os.utime(left / ".exporting", (1e9, 1e9))
    with staging(target):
        pass
    assert not left.exists()


def test_a_half_published_folder_is_no_export_and_is_made_anew() -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    target = open_folder("memory://bucket/export")
    target.write("data/part-00000.parquet", b"half")
    target.write(".exporting", myself().encode())
    with pytest.raises(UsageError, match="the output of a running export"):
        look(target)
    target.write(".exporting", holder_of_a_dead_process().encode())
    assert look(target) is None
    with staging(target) as here:
        here.publish({}, {}, [("manifest.json", b"{}")])
    assert set(target.sizes()) == {"manifest.json"}
    memory.store.clear()


def test_what_a_run_left_that_died_once_it_was_done_goes() -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    target = open_folder("memory://bucket/export")
    target.write("manifest.json", b"{}")
    target.write(".exporting", holder_of_a_dead_process().encode())
    assert look(target) == b"{}"
    assert set(target.sizes()) == {"manifest.json"}
    memory.store.clear()


def test_a_folder_that_holds_files_is_not_replaced() -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    mine, there = open_folder("memory://bucket/mine"), open_folder("memory://bucket/there")
    mine.write("manifest.json", b"mine")
    there.write("manifest.json", b"theirs")
    with pytest.raises(FileExistsError):
        mine.rename(there)
    assert there.read("manifest.json") == b"theirs"
    memory.store.clear()


def test_a_path_that_no_file_system_has_by_itself_is_refused() -> None:
    with pytest.raises(UsageError, match="/Volumes/"):
        open_folder("dbfs:/exports/x")


def test_whoever_comes_second_does_not_write_over_the_first(target: Folder) -> None:
    def meanwhile() -> Iterator[tuple[str, bytes]]:
        run(target)
        yield "manifest.json", b"theirs"

    if target.atomic:
        with pytest.raises(UsageError, match="created by another process"):
            run(target, written=meanwhile())
    else:
        run(target)
        with pytest.raises(UsageError, match="created by another process"):
            run(target)
    assert target.read("manifest.json") == b"mine"
    assert set(target.sizes()) == {"part", "manifest.json"}


WHAT = {
    "format": "jsonl",
    "refinement": "first",
    "version": 0,
    "fingerprint": "f",
    "raw": False,
    "seed": 0,
    "counts": {"documents": 3},
}
FILES = [{"name": "a", "documents": 2, "characters": 9, "tokens": None, "bytes": 5, "sha256": "00"}]


def test_a_manifest_knows_the_very_same_export_and_says_what_differs() -> None:
    made = encoded(manifest(WHAT, None, None, FILES))
    assert json.loads(made)["documents"] == 2
    assert check_same(made, WHAT, None, 2, "there")["files"] == FILES
    for name, value in (("seed", 1), ("raw", True), ("fingerprint", "g"), ("counts", {"documents": 4})):
        with pytest.raises(UsageError, match=f"different {name}"):
            check_same(made, {**WHAT, name: value}, None, 2, "there")
    with pytest.raises(UsageError, match="different documents"):
        check_same(made, WHAT, None, 3, "there")
    with pytest.raises(UsageError, match="different tokenizer"):
        check_same(made, WHAT, {"sha256": {"tokenizer.json": "1"}}, 2, "there")
    for foreign in (b"[]", b"{}", b"no json", b'{"tokenizer": 3}'):
        with pytest.raises(UsageError, match="not written by export"):
            check_same(foreign, WHAT, None, 2, "there")


@pytest.mark.parametrize("name", ["*", "run-?", "run-[1]"])
def test_a_remote_folder_whose_name_is_a_pattern_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"must be without \*, \? and \["):
        open_folder(f"memory://exports/{name}")


def test_a_name_that_joins_file_systems_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without '::'"):
        open_folder(str(tmp_path / "a::b"))


def test_a_local_name_may_be_a_pattern(tmp_path: Path) -> None:
    assert open_folder(str(tmp_path / "run-[1]*")).url == str(tmp_path / "run-[1]*")


@pytest.mark.parametrize("there", [True, False], ids=["to an empty folder", "to nothing"])
def test_what_a_link_leads_to_is_made(tmp_path: Path, there: bool) -> None:
    large = tmp_path / "large"
    if there:
        large.mkdir()
    (tmp_path / "out").symlink_to(large)
    target = open_folder(str(tmp_path / "out"))
    assert look(target) is None
    with staging(target) as here:
        here.publish({}, {}, [("manifest.json", b"{}")])
    assert (large / "manifest.json").read_bytes() == b"{}"
    assert (tmp_path / "out").is_symlink()


def test_a_folder_of_empty_folders_is_refused_before_work(tmp_path: Path) -> None:
    (tmp_path / "out" / "empty").mkdir(parents=True)
    with pytest.raises(UsageError, match="contains folders, though no file"):
        look(open_folder(str(tmp_path / "out")))


def test_a_mount_point_is_refused_before_work() -> None:
    with pytest.raises(UsageError, match="is a mount point"):
        open_folder("/proc")
