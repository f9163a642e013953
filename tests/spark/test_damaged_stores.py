"""Stores that are no longer what was written: one clear line, whatever the verb.

Slow: some stores are read by a process of their own, with a JVM.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, run, versions

from prox_spark.cli import main
from prox_spark.config import load_config
from prox_spark.schemas import STORE_VERSION
from prox_spark.tables.store import open_store

pytestmark = pytest.mark.slow

VERBS = [
    ["compare", "--from", "first", "--to", "first"],
    ["pin", "first"],
    ["rollback", "first"],
    ["optimize"],
    ["forget", "a"],
]


@pytest.fixture(scope="module")
def base(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One refinement version of one document."""
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "pages.json").write_text(f'{{"id": "a", "text": "{PAGE.replace(chr(10), "")}"}}\n')
    keys = [f"store={folder / 'store'}", "refinement=first", f"input.path={folder / 'pages.json'}", "input.format=json"]
    run(spark, load_config(None, [*keys, "chunk.engine.kind=scripted"]))
    return folder / "store"


@pytest.fixture
def store(base: Path, tmp_path: Path) -> Path:
    shutil.copytree(base, tmp_path / "store")
    return tmp_path / "store"


def refused(capsys: pytest.CaptureFixture[str], store: Path, words: list[str]) -> str:
    """The one line of a verb that fails with exit code 1."""
    capsys.readouterr()
    assert main([*words, "--store", str(store)]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1), said.err
    return said.err


def test_a_store_that_was_never_completed_is_none(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(store / "refinements")
    for words in VERBS:
        assert "there is no prox_spark store" in refused(capsys, store, words)


def test_a_table_that_is_absent_is_named(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(store / "pins")
    assert "incomplete" in refused(capsys, store, VERBS[0])


def test_a_store_of_another_schema_version_is_refused(
    spark: Any, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = open_store(spark, str(store)).table("refinements")
    spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('prox_spark.store_version' = '1')")
    for words in VERBS:
        assert f"store version 1, this package reads {STORE_VERSION}" in refused(capsys, store, words)


@pytest.fixture
def read_only(store: Path) -> Iterator[Path]:
    """The store without a right to write; root needs the file system's help for that."""
    folders = [path for path in [store, *store.rglob("*")] if path.is_dir()]
    root = os.geteuid() == 0

    def allow(writing: bool) -> bool:
        if not root:
            for folder in folders:
                folder.chmod(0o755 if writing else 0o555)
            return True
        done = subprocess.run(
            ["chattr", "-i" if writing else "+i", *map(str, folders)], check=False, capture_output=True
        )
        return done.returncode == 0

    if not allow(False):
        allow(True)
        pytest.skip("nothing here takes the right to write from root")
    yield store
    allow(True)


def test_a_read_only_store_answers_questions_and_refuses_to_be_changed(
    read_only: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = versions(read_only)
    capsys.readouterr()
    assert main(["sql", "--store", str(read_only), "SELECT count(*) FROM refined"]) == 0
    assert main([*VERBS[0], "--store", str(read_only)]) == 0
    for words in (["pin", "first"], ["forget", "a"]):
        assert "prox-spark: " in refused(capsys, read_only, words)
    assert versions(read_only) == before
