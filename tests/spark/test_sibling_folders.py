"""Equal pages at equal places of files with the same name and folder name: each is a document, with an id that stays."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, rows

from prox_spark.config import Config
from prox_spark.corpora.records import document_ids
from prox_spark.ingestion.ingest import Ingested, ingest

Configure = Callable[..., Config]


def write(path: Path, *pages: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(page) + "\n" for page in pages))
    return path


def ids(spark: Any, config: Config) -> dict[str, str]:
    """The id of the first page of each file."""
    return {row["file"]: row["doc_id"] for row in rows(spark, config, "documents") if row["position"] == 0}


def touch(path: Path) -> None:
    os.utime(path, (1, 1))


def test_equal_first_pages_of_sibling_folders_are_documents(spark: Any, configure: Configure, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    folders = ("a/part", "b/part", "c/part", "c/a/part")
    files = [write(corpus / folder / "0.jsonl", {"text": PAGE}, {"text": folder}) for folder in folders]
    config = configure(path=corpus)

    assert ingest(spark, config) == Ingested(4, 0, 8, 0)

    found = ids(spark, config)
    assert len(set(found.values())) == 4
    assert found[str(files[0])] == document_ids("elsewhere/part/0.jsonl")("json", 0, PAGE.encode()), (
        "the first: as ever"
    )
    for number, (file, name) in enumerate([(files[1], "b/part/0.jsonl"), (files[2], "c/part/0.jsonl")]):
        assert found[str(file)] == document_ids(f"elsewhere/{name}", 3)("json", 0, PAGE.encode()), number
    assert all(row["documents"] == 2 and row["quarantined"] == 0 for row in rows(spark, config, "files"))

    for file in files:
        touch(file)
    assert ingest(spark, config) == Ingested(4, 0, 0, 0), "read again, nothing is new"
    assert ids(spark, config) == found


def test_a_sibling_that_comes_later_leaves_the_ids_of_the_store(
    spark: Any, configure: Configure, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus"
    second = write(corpus / "b/part/0.jsonl", {"text": PAGE})
    config = configure(path=corpus)
    assert ingest(spark, config) == Ingested(1, 0, 1, 0)
    before = ids(spark, config)

    first = write(corpus / "a/part/0.jsonl", {"text": PAGE})
    further = write(corpus / "d/a/part/0.jsonl", {"text": PAGE})
    assert ingest(spark, config) == Ingested(2, 1, 2, 0)

    found = ids(spark, config)
    assert found[str(second)] == before[str(second)]
    assert len(set(found.values())) == 3
    for file in (first, second, further):
        touch(file)
    assert ingest(spark, config) == Ingested(3, 0, 0, 0)
    limited = configure("input.limit=2", path=corpus)
    assert ingest(spark, limited) == Ingested(0, 3, 0, 0)


def test_a_copy_elsewhere_and_ids_of_the_records_are_duplicates_as_before(
    spark: Any, configure: Configure, tmp_path: Path
) -> None:
    corpus, copy = tmp_path / "one" / "corpus", tmp_path / "two" / "corpus"
    for root in (corpus, copy):
        write(root / "a/part/0.jsonl", {"text": PAGE}, {"text": "own", "id": "x"})
        write(root / "b/part/0.jsonl", {"text": PAGE}, {"text": "own", "id": "x"})

    assert ingest(spark, configure(path=corpus)) == Ingested(2, 0, 3, 1)
    assert ingest(spark, configure(path=copy)) == Ingested(2, 0, 0, 4)
    classes = {row["error_class"] for row in rows(spark, configure(path=corpus), "quarantine")}
    assert classes == {"DuplicateId"}


@pytest.mark.parametrize("limit", [None, 100])
def test_a_forgotten_page_does_not_come_back_by_its_sibling(
    spark: Any, configure: Configure, tmp_path: Path, limit: int | None
) -> None:
    from prox_spark.versions.forget import forget

    corpus = tmp_path / "corpus"
    files = [write(corpus / folder / "part" / "0.jsonl", {"text": PAGE}) for folder in "ab"]
    config = configure(*([] if limit is None else [f"input.limit={limit}"]), path=corpus)
    ingest(spark, config)
    found = ids(spark, config)
    forget(spark, config.store, [found[str(files[1])]])

    touch(files[1])
    done = ingest(spark, config)

    assert (done.documents, done.quarantined) == (0, 1)
    assert [row["error_class"] for row in rows(spark, config, "quarantine")] == ["Forgotten"]
