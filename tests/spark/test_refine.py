"""The main job over small corpora: what is kept, what is logged, what a second run does.

Slow where a test takes whole runs and tests of single verbs prove much of the same.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, PROSE, check_conservation, check_rederivation, rows, run, versions

from prox_spark.config import Config
from prox_spark.errors import IncompleteError, RefinementConflictError
from prox_spark.ingestion.ingest import ingest
from prox_spark.refinement.execute import execute
from prox_spark.tables.store import open_store


def test_a_refinement_keeps_prose_and_logs_every_line_it_drops(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path]
) -> None:
    config = configure(path=write_pages([PAGE, "buy cheap", "", "   \n "]))

    read, stages, done = run(spark, config)

    assert (read.files, read.documents, read.quarantined) == (1, 4, 0)
    assert [s.stage for s in stages] == ["document", "chunk"]
    assert (done.new, done.version, done.counts["refined"], done.counts["dropped_documents"]) == (True, 0, 1, 3)
    (refined,) = rows(spark, config, "refined")
    assert refined["text"].startswith(PROSE)
    assert {r["reason"] for r in rows(spark, config, "dropped_documents")} == {"empty", "keep_score"}
    check_conservation(spark, config)
    check_rederivation(spark, config)


def test_running_a_finished_job_again_calls_no_model_and_writes_no_version(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    scripted = [
        "document=null",
        "chunk.engine.kind=scripted",
        f"chunk.engine.calls_file={calls}",
        "chunk.engine.default=remove_lines(start=0, end=0)",
    ]
    config = configure(*scripted, path=write_pages([PAGE, PAGE + " And more."]))
    run(spark, config)
    before, answered = versions(tmp_path / "store"), calls.read_text()
    assert len(answered.splitlines()) == 2

    _, stages, done = run(spark, config)

    assert not done.new
    assert [s.documents for s in stages] == [0]
    assert calls.read_text() == answered
    assert versions(tmp_path / "store") == before


def test_new_files_under_the_same_name_add_a_version_and_touch_only_new_documents(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    scripted = [
        "document=null",
        "chunk.engine.kind=scripted",
        f"chunk.engine.calls_file={calls}",
        "chunk.engine.default=remove_lines(start=0, end=0)",
    ]
    first = configure(*scripted, path=write_pages([PAGE]))
    run(spark, first)
    second = configure(*scripted, path=str(tmp_path / "*.json"))
    write_pages([PAGE + " Second.", PAGE + " Third."], "more.json")

    read, _, done = run(spark, second)

    assert (read.files, read.files_skipped, read.documents) == (1, 1, 2)
    assert (done.version, done.new, done.counts["documents"], done.counts["refined"]) == (1, True, 3, 3)
    assert len(calls.read_text().splitlines()) == 3
    store = open_store(spark, first.store)
    old, new = store.read("refinements").orderBy("version").collect()
    assert store.read("refined", old["refined_version"]).count() == 1
    assert store.read("refined", new["refined_version"]).count() == 3
    check_conservation(spark, second)
    check_rederivation(spark, second)


@pytest.mark.slow
def test_switching_between_refinements_never_mixes_two_in_one_table(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path
) -> None:
    scripted = ["document=null", "chunk.engine.kind=scripted"]
    a = configure(
        *scripted, "chunk.engine.default=remove_lines(start=0, end=0)", path=write_pages([PAGE]), refinement="a"
    )
    b = configure(*scripted, "chunk.engine.default=keep_chunk()", path=write_pages([PAGE]), refinement="b")
    run(spark, a)
    run(spark, b)
    write_pages([PAGE + " Second."], "pages2.json")
    more = str(tmp_path / "*.json")

    run(spark, configure(*scripted, "chunk.engine.default=remove_lines(start=0, end=0)", path=more, refinement="a"))

    texts = [r["text"] for r in rows(spark, a, "refined")]
    assert len(texts) == 2
    assert all(text.startswith(PROSE) for text in texts)
    store = open_store(spark, a.store)
    row = store.read("refinements").where("refinement = 'b'").first()
    assert [r["text"] for r in store.read("refined", row["refined_version"]).collect()] == [PAGE]


@pytest.mark.slow
def test_a_known_name_with_another_configuration_is_refused_with_the_differing_keys(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path]
) -> None:
    path = write_pages([PAGE])
    run(spark, configure(path=path))
    with pytest.raises(RefinementConflictError, match=r"execution\.min_words: was 10, now 20"):
        execute(spark, configure("execution.min_words=20", path=path))


def test_execute_without_programs_stops_with_their_count(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path]
) -> None:
    config = configure(path=write_pages([PAGE, PAGE + " Two."]))
    ingest(spark, config)
    with pytest.raises(IncompleteError, match="2 documents lack programs"):
        execute(spark, config)


@pytest.mark.slow
def test_another_threshold_is_another_refinement_without_a_call(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    scripted = [
        "chunk=null",
        "document.engine.kind=scripted",
        f"document.engine.calls_file={calls}",
        "document.engine.answers={'tides': 0.4}",
    ]
    low = ["execution.drop_document_below=0.3"]
    path = write_pages([PAGE])
    run(spark, configure(*scripted, path=path))

    done = execute(spark, configure(*scripted, *low, path=path, refinement="looser"))

    assert done.counts["refined"] == 1
    assert len(calls.read_text().splitlines()) == 1


def test_a_failed_chunk_keeps_its_lines_or_quarantines_its_document(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path]
) -> None:
    path = write_pages([PAGE, "Poison " + PAGE])
    scripted = ["document=null", "chunk.engine.kind=scripted", "chunk.engine.error_on=Poison"]
    kept = run(spark, configure(*scripted, path=path))[2]
    assert (kept.counts["refined"], kept.counts["failed_chunks"]) == (2, 1)

    config = configure(*scripted, "execution.on_failed_chunk=quarantine", path=path, refinement="second")
    done = execute(spark, config)

    assert (done.counts["refined"], done.counts["quarantined"]) == (1, 1)
    check_conservation(spark, config)


def test_doubled_ids_are_quarantined_and_the_first_stays(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_pages([PAGE, "other " + PAGE, PAGE], doc_id=["a", "a", "b"])
    write_pages(["later " + PAGE], "later.json", doc_id=["b"])
    config = configure("input.columns.doc_id=doc_id", path=path)
    run(spark, config)
    again = configure("input.columns.doc_id=doc_id", path=tmp_path / "later.json")

    read, _, _ = run(spark, again)

    assert (read.documents, read.quarantined) == (0, 1)
    assert {r["doc_id"]: r["text"] for r in rows(spark, config, "documents")} == {"a": PAGE, "b": PAGE}
    assert sorted((r["doc_id"], r["error_class"]) for r in rows(spark, config, "quarantine")) == [
        ("a", "DuplicateId"),
        ("b", "DuplicateId"),
    ]


def test_input_limit_reads_the_first_records_and_the_rest_later(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path]
) -> None:
    path = write_pages([f"{PAGE} {i}" for i in range(5)])
    assert ingest(spark, configure("input.limit=2", path=path)).documents == 2
    assert ingest(spark, configure(path=path)).documents == 3
    assert ingest(spark, configure(path=path)).documents == 0


@pytest.mark.slow
def test_input_limit_counts_what_was_read_before(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path
) -> None:
    for name, count in (("1.json", 2), ("2.json", 5)):
        write_pages([f"{PAGE} {name} {i}" for i in range(count)], name)
    config = configure("input.limit=4", path=tmp_path / "?.json")
    assert [ingest(spark, config).documents for _ in range(2)] == [4, 0]


@pytest.mark.slow
def test_an_empty_file_is_no_error(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path]
) -> None:
    done = run(spark, configure(path=write_pages([])))[2]
    assert (done.counts["documents"], done.counts["refined"]) == (0, 0)


@pytest.mark.slow
def test_metadata_of_a_commit_names_its_refinement(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path]
) -> None:
    config = configure(path=write_pages([PAGE]))
    run(spark, config)
    store = open_store(spark, config.store)
    metadata = json.loads(spark.sql(f"DESCRIBE HISTORY {store.table('refined')} LIMIT 1").first()["userMetadata"])
    assert (metadata["refinement"], metadata["version"]) == ("first", 0)
