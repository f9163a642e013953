"""``execute`` needs no model: what generation wrote down is enough, on a machine that never had the model's files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from claims import rows, run, versions

from prox_spark.config import Config, load_config
from prox_spark.engines import digests
from prox_spark.engines.models import SHIPPED
from prox_spark.errors import RefinerError
from prox_spark.refinement.dry_run import dry_run
from prox_spark.refinement.execute import execute
from prox_spark.tables.store import open_store

PAGE = "\n".join(
    ["Home | About", *[f"A quiet sentence about the tides of a northern bay, number {i}." for i in range(9)]]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("without-model")


@pytest.fixture
def model(folder: Path) -> Path:
    """A document scorer in a folder of its own, whole again for each test."""
    model = folder / "scorer"
    shutil.rmtree(model, ignore_errors=True)
    return Path(shutil.copytree(SHIPPED / "web-documents-1", model))


@pytest.fixture(scope="module")
def made(spark: Any, folder: Path) -> Config:
    """A refinement that is made once; each test has a copy of its store."""
    shutil.copytree(SHIPPED / "web-documents-1", folder / "scorer", dirs_exist_ok=True)
    pages = folder / "pages.json"
    pages.write_text("".join(json.dumps({"text": text}) + "\n" for text in (PAGE, PAGE + " More.")))
    words = [
        *(f"store={folder / 'store'}", "refinement=first", f"input.path={pages}", "input.format=json"),
        *("document.engine.kind=statistics", f"document.engine.model={folder / 'scorer'}", "chunk.engine.kind=rules"),
        *("execution.drop_document_below=0.0", "chunk.min_keep_score=0.0"),
    ]
    config = load_config(None, words)
    run(spark, config)
    return config


@pytest.fixture
def refined(made: Config, model: Path, tmp_path: Path) -> Config:
    store = shutil.copytree(made.store, tmp_path / "store")
    return made.model_copy(update={"store": str(store)})


def changed(config: Config, **execution: Any) -> Config:
    settings = config.execution.model_copy(update=execution)
    return config.model_copy(update={"execution": settings, "refinement": "other"})


def test_another_threshold_needs_no_model(spark: Any, refined: Config, model: Path) -> None:
    shutil.rmtree(model)
    other = changed(refined, drop_document_below=0.9)
    assert dry_run(spark, other).documents["total"] == 2
    assert execute(spark, other).new
    before = versions(Path(refined.store))
    assert not execute(spark, refined).new
    assert versions(Path(refined.store)) == before


def test_a_refiner_is_written_down_once_with_its_definition(spark: Any, refined: Config) -> None:
    run(spark, refined)
    found = {row["stage"]: row for row in rows(spark, refined, "refiners")}
    assert len(rows(spark, refined, "refiners")) == 2
    assert (found["document"]["engine"], found["document"]["name"]) == ("statistics", "scorer")
    assert '"kind":"statistics"' in found["document"]["definition"]
    assert found["chunk"]["engine"] == "rules"


def test_a_model_that_nobody_knows_is_refused(spark: Any, refined: Config) -> None:
    words = ["document.engine.kind=statistics", "document.engine.model=./another", "chunk.engine.kind=rules"]
    with pytest.raises(RefinerError, match="is not a folder"):
        execute(spark, load_config(None, [f"store={refined.store}", *words]))


def test_a_refinement_of_an_older_package_knows_its_refiners_by_name(spark: Any, refined: Config, model: Path) -> None:
    spark.sql(f"DELETE FROM {open_store(spark, refined.store).table('refiners')}")
    shutil.rmtree(model)
    assert not execute(spark, refined).new
    assert execute(spark, changed(refined, drop_document_below=0.9)).new


def test_a_folder_without_the_files_is_no_model(spark: Any, refined: Config, model: Path) -> None:
    for file in model.iterdir():
        file.unlink()
    assert execute(spark, changed(refined, drop_document_below=0.9)).new


def test_a_model_that_changed_in_its_folder_is_another_refiner(spark: Any, refined: Config, model: Path) -> None:
    scorer = model / "statistics.json"
    scorer.write_text(scorer.read_text() + "\n")
    with pytest.raises(Exception, match="exists with another configuration"):
        execute(spark, refined)


def test_a_sweep_reads_no_file_twice(
    spark: Any, refined: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "_SETTLED_NS", 0)
    read: list[str] = []
    digest = digests.hashlib.file_digest

    def counted(opened: Any, name: Any) -> Any:
        read.append(opened.name)
        return digest(opened, name)

    monkeypatch.setattr(digests.hashlib, "file_digest", counted)
    for below in (0.1, 0.5, 0.9):
        dry_run(spark, changed(refined, drop_document_below=below))
    assert len(read) == 1
