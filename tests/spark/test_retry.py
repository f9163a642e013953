"""What failed is asked again on demand: the answers replace the failed rows, and a new version the results.

Slow where the rows are compared with an undisturbed run's: two whole refinements more, for chunks and for documents.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, check_conservation, check_once, check_rederivation, rows, run, versions

from prox_spark.config import Config
from prox_spark.errors import FuseError
from prox_spark.pipeline import generate
from prox_spark.refinement.execute import execute
from prox_spark.tables.store import open_store
from prox_spark.versions.forget import forget

SCRIPTED = [
    "document.engine.kind=scripted",
    "document.engine.answers={'Spam': 0.1}",
    "chunk.engine.kind=scripted",
    "chunk.engine.default=remove_lines(start=0, end=0)",
    "chunk.engine.lines_per_chunk=3",
]
CHUNK_FAILS = ["chunk.engine.error_on=Number 4"]
DOCUMENT_FAILS = ["document.engine.error_on=Poison"]
PAGES = [PAGE, "Poison\n" + PAGE, "Spam\n" + PAGE, "Poison Spam\n" + PAGE]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [pytest.param(CHUNK_FAILS, id="chunk"), pytest.param(DOCUMENT_FAILS, id="document")])
def test_a_retry_ends_with_the_rows_of_an_undisturbed_run(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path, fault: list[str]
) -> None:
    path = write_pages(PAGES)
    calm = configure(*SCRIPTED, path=path).model_copy(update={"store": str(tmp_path / "calm")})
    expected = run(spark, calm)[2]
    config = configure(*SCRIPTED, path=path)
    first = run(spark, configure(*SCRIPTED, *fault, path=path))[2]
    assert first.counts != expected.counts
    calls = tmp_path / "calls"
    counted = [f"{stage}.engine.calls_file={calls}" for stage in ("document", "chunk")]

    generate(spark, configure(*SCRIPTED, *counted, path=path), retry_failed=True)
    done = execute(spark, config)

    asked = calls.read_text().splitlines()
    # Only what failed: the chunk with line 4 of two kept pages, or two documents and the six chunks of the kept one.
    assert len(asked) == (2 if fault is CHUNK_FAILS else 2 + 6)
    assert (done.version, done.new, done.counts) == (1, True, expected.counts)
    for table in ("refined", "dropped_lines", "dropped_documents"):
        assert sorted(map(str, rows(spark, config, table))) == sorted(map(str, rows(spark, calm, table)))
    check_conservation(spark, config)
    check_once(spark, config)
    check_rederivation(spark, config)
    store = open_store(spark, config.store)
    old = store.read("refinements").where("version = 0").first()
    assert old is not None
    assert store.read("refined", old["refined_version"]).count() == first.counts["refined"]

    before = versions(tmp_path / "store")
    generate(spark, config, retry_failed=True)
    assert not execute(spark, config).new
    assert versions(tmp_path / "store") == before


def test_what_fails_again_stays_failed(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path
) -> None:
    config = configure(*SCRIPTED, *CHUNK_FAILS, path=write_pages(PAGES))
    run(spark, config)
    programs = sorted(map(str, rows(spark, config, "programs")))

    (_, chunk) = generate(spark, config, retry_failed=True)

    assert chunk.failed == 2
    assert sorted(map(str, rows(spark, config, "programs"))) == programs
    assert not execute(spark, config).new


@pytest.mark.slow
def test_what_a_run_without_a_commit_left_in_quarantine_does_not_count(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path
) -> None:
    run(spark, configure(*SCRIPTED, path=write_pages(PAGES[:1], "first.json")))
    path = write_pages(PAGES, "more.json")
    fuse = ["fuse.kept_documents=[0.9,1]", "fuse.min_documents=1"]
    with pytest.raises(FuseError):
        run(spark, configure(*SCRIPTED, *DOCUMENT_FAILS, *fuse, path=path))
    config = configure(*SCRIPTED, path=path)
    assert len([row for row in rows(spark, config, "quarantine") if row["refinement"] == "first"]) == 2

    generate(spark, config, retry_failed=True)
    done = execute(spark, config)

    assert (done.version, done.counts["documents"], done.counts["quarantined"]) == (1, 5, 0)
    assert check_conservation(spark, config).quarantined == 0
    # What stands twice could not be forgotten: its counts would not add up.
    (poison,) = [row["doc_id"] for row in rows(spark, config, "documents") if row["text"].startswith("Poison\n")]
    assert forget(spark, config.store, [poison]).documents == 1
