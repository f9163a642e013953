"""Ids of files that share name and last folder: which files these are, and the longer ids of their records."""

from datetime import UTC, datetime

import pytest

from prox_spark.corpora.files import FileInfo
from prox_spark.corpora.records import document_ids
from prox_spark.ingestion.comparison import find_siblings, longer_id

PATHS = ("/c/a/part/0.jsonl", "/c/b/part/0.jsonl", "/c/b/part/1.jsonl", "/c/caf\udce9/part/0.jsonl", "s3://x/y/0.jsonl")


def row(path: str, parts: int, text: str = "a page") -> dict[str, object]:
    doc_id = document_ids(path, parts)("json", 7, text.encode())
    return {"doc_id": doc_id, "source": "json", "position": 7, "text": text}


def test_siblings_share_name_and_folder() -> None:
    files = [FileInfo(path, 1, datetime.now(UTC)) for path in PATHS]
    assert find_siblings(files) == {file.name: file.path for file in (files[0], files[1], files[3])}


@pytest.mark.parametrize("path", PATHS[:4])
def test_a_longer_id_is_that_by_one_more_folder(path: str) -> None:
    assert longer_id(path, row(path, 2), 3) == row(path, 3)["doc_id"]
    assert longer_id(path, row(path, 3), 4) == row(path, 4)["doc_id"]


def test_ids_of_the_records_and_of_other_lengths_stay() -> None:
    path = PATHS[0]
    assert longer_id(path, {**row(path, 2), "doc_id": "own"}, 3) is None
    assert longer_id(path, row(path, 2), 4) is None
    assert longer_id(path, row(path, 9), 10) is None, "the path has no more folders"
    assert longer_id(None, row(path, 2), 3) is None
