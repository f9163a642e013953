"""Labelled pages and documents with their grouping columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prox_spark.corpora.labels import check_document, check_page, read_records
from prox_spark.errors import TrainingError

GROUPS = ("source", "page_type", "lang")
"""Columns by which scores are also reported, if the table has them."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A page's lines, or a document as one line: labels, words, values of the grouping columns."""

    keep: Any
    words: Any
    groups: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A file's labels by ``doc_id``, and the name of its text column."""

    path: str
    text_column: str
    labels: dict[str, Labelled]


def read_labels(path: str, *, documents: bool) -> LabelFile:
    """The labels of a file. Raises ``TrainingError`` with the record's place for a missing, duplicate or unsuitable label."""
    found: dict[str, Labelled] = {}
    column = ""
    for record, where in read_records(Path(path)):
        name = record.get("doc_id")
        if not isinstance(name, str) or not name:
            raise TrainingError(f"{where}: needs a doc_id")
        if name in found:
            raise TrainingError(f"{where}: doc_id {name!r} occurs twice")
        groups = tuple((key, str(record[key])) for key in GROUPS if record.get(key))
        if documents:
            document = check_document(record, where)
            column = _same(column, "text" if isinstance(record.get("text"), str) else "raw_content", where)
            found[name] = Labelled(
                np.array([document.keep], float), np.array([len(document.text.split())], float), groups
            )
        else:
            page = check_page(record, where)
            column = _same(column, "raw_content" if "raw_content" in record else "text", where)
            words = np.array([len(line.split()) for line in page.text.split("\n")], float)
            found[name] = Labelled(np.array(page.keep, float), words, groups)
    if not found:
        raise TrainingError(f"{path}: no records")
    return LabelFile(path, column, found)


def _same(column: str, found: str, where: str) -> str:
    if column and column != found:
        raise TrainingError(f"{where}: its text is in {found}, but earlier records have it in {column}; use one column")
    return found


def members(labels: Sequence[Labelled]) -> dict[str, dict[str, list[int]]]:
    """For each grouping column, its values, each with the indices of its members."""
    found: dict[str, dict[str, list[int]]] = {}
    for place, one in enumerate(labels):
        for key, value in one.groups:
            found.setdefault(key, {}).setdefault(value, []).append(place)
    return found
