"""An export that is killed at any point and run again leaves one finished folder, and nothing beside it."""

from pathlib import Path

import pytest
from drivers import FORKS

from prox_spark.exporting.folder import Folder
from prox_spark.exporting.staging import look, remove_dead, staging
from prox_spark.failpoints import KILLED, VARIABLE

PARTS = {"part-0": b"zero", "part-1": b"one"}
FINISHED = {"data/part-0": 4, "data/part-1": 3, "README.md": 4, "manifest.json": 2}


def _export(url: str, failpoints: str) -> None:
    """As ``export.write`` does it, with two files in place of a version's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, failpoints)
        target = Folder(url)
        if look(target) is not None:
            remove_dead(target)
            return
        with staging(target) as here:
            for name, content in PARTS.items():
                with here.attempts.create(name) as file:
                    file.write(content)
            moved = {name: f"data/{name}" for name in PARTS}
            sizes = {name: len(content) for name, content in PARTS.items()}
            here.publish(moved, sizes, [("README.md", b"card"), ("manifest.json", b"{}")])


def run(url: str, failpoints: str) -> int | None:
    process = FORKS.Process(target=_export, args=(url, failpoints))
    process.start()
    process.join(60)
    return process.exitcode


# Of these two names of one file system the second is taken for an object store's, which renames no folder.
@pytest.mark.parametrize("scheme", ["", "local://"], ids=["renamed", "moved"])
def test_an_export_that_is_killed_at_any_point_is_finished_by_the_next(tmp_path: Path, scheme: str) -> None:
    record = tmp_path / "points"
    assert run(f"{scheme}{tmp_path}/calm/export", f"*=record:{record}") == 0
    points = record.read_text().splitlines()
    assert ("folder rename before#1" in points) == (scheme == "")
    assert ("file delete before#1" in points) == (scheme != "")

    for number, point in enumerate(points):
        folder = tmp_path / str(number)
        assert run(f"{scheme}{folder}/export", f"{point}=kill") == KILLED, point
        assert run(f"{scheme}{folder}/export", f"*=record:{tmp_path / 'again'}") == 0, point
        assert Folder(f"{scheme}{folder}/export").sizes() == FINISHED, point
        assert [path.name for path in folder.iterdir()] == ["export"], point
