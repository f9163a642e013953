"""Fixtures of the tests that need Spark: one session for all; it takes 9 s to start, its first job as long again."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prox_spark.config import Config, load_config
from prox_spark.tables.store import create_store

SESSION = {
    "spark.master": "local[2]",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.memory": "3g",
    "spark.databricks.delta.snapshotPartitions": "1",
    # Compiling a query of ten rows takes longer than interpreting it, and so does Java's second compiler.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.defaultJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseParallelGC",
}


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """The session of the command line itself, with two cores and two shuffle partitions."""
    from prox_spark.session import get_session

    session = get_session(SESSION)
    yield session
    session.stop()


@pytest.fixture
def write_pages(tmp_path: Path) -> Callable[..., Path]:
    """Write texts as a C4-like JSON lines file and return its path."""

    def write(texts: list[Any], name: str = "pages.json", **columns: list[Any]) -> Path:
        path = tmp_path / name
        rows = [{"text": text, **{key: values[i] for key, values in columns.items()}} for i, text in enumerate(texts)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture(scope="session")
def empty_store(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without a document. Tests start from a copy: making its ten tables takes seconds."""
    folder = tmp_path_factory.mktemp("empty") / "store"
    create_store(spark, str(folder))
    return folder


@pytest.fixture
def configure(empty_store: Path, tmp_path: Path) -> Callable[..., Config]:
    """A configuration with an empty store of its own, rules for both stages, and overrides."""
    shutil.copytree(empty_store, tmp_path / "store")

    def make(*overrides: str, path: Path | str | None = None, refinement: str = "first") -> Config:
        base = [
            f"store={tmp_path / 'store'}",
            f"refinement={refinement}",
            "document.engine.kind=rules",
            "chunk.engine.kind=rules",
        ]
        if path is not None:
            base += [f"input.path={path}", "input.format=json"]
        return load_config(None, [*base, *overrides])

    return make
