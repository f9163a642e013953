"""Failpoints: without effect unless the environment names them, and an error where it names one that does not exist."""

import ast
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import wait_for

import prox_spark
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


THREE_STEPS = """
from prox_spark.failpoints import around
for _ in range(3):
    with around("write", "documents"):
        pass
"""


def test_a_process_is_killed_at_the_time_that_is_named(tmp_path: Path) -> None:
    given = f"write documents after#2=kill;*=record:{tmp_path / 'points'}"
    done = subprocess.run([sys.executable, "-c", THREE_STEPS], env={**os.environ, VARIABLE: given}, check=False)

    assert done.returncode == KILLED
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


CHANGES = re.compile(r"\s*(MERGE|CREATE|RESTORE|OPTIMIZE|VACUUM|ALTER|DELETE|UPDATE|INSERT|DROP|TRUNCATE)\b")


def _changes(tree: ast.AST, *, inside: bool = False) -> Iterator[tuple[ast.Call, bool]]:
    """Every call that changes a table, and whether it is between two failpoints."""
    for node in ast.iter_child_nodes(tree):
        within = inside
        if isinstance(node, ast.With):
            within |= any(ast.unparse(item.context_expr).startswith("around(") for item in node.items)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name, of = node.func.attr, ast.unparse(node.func.value)
            sql = ast.unparse(node.args[0]).lstrip("f").strip("'\"") if name == "sql" and node.args else ""
            if name in ("insertInto", "saveAsTable") or (name == "save" and "writer" in of) or CHANGES.match(sql):
                yield node, within
        yield from _changes(node, inside=within)


def test_every_change_of_a_table_is_between_two_points() -> None:
    package = Path(prox_spark.__file__).parent
    found = [
        (f"{path.relative_to(package)}:{call.lineno}", within)
        for path in sorted(package.rglob("*.py"))
        for call, within in _changes(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(found) >= 10
    assert [place for place, within in found if not within] == []
