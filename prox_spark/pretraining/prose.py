"""Held-out text to measure perplexity on."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prox_spark.errors import InputError, TrainingError


@dataclass(frozen=True, slots=True)
class Prose:
    """A document, and the source it belongs to."""

    text: str
    source: str


def read_prose(path: str, text_key: str = "text", limit: int | None = None) -> list[Prose]:
    """The documents of a file: JSON lines (plain, ``.gz``, ``.zst``), Parquet, or one plain text (``.txt``).

    A record's source is its ``source``, else the file's name. ``limit`` is the approximate maximum in bytes; the last document
    is cut there. Raises ``InputError`` if the file cannot be read, a record has no text, or all texts are empty.
    """
    found, left = [], limit
    for one in _documents(Path(path).expanduser(), text_key):
        if left is None:
            found.append(one)
            continue
        data = one.text.encode()
        found.append(one if len(data) <= left else Prose(data[:left].decode(errors="ignore"), one.source))
        left -= len(data)
        if left <= 0:
            break
    if not any(one.text for one in found):
        raise InputError(f"{path}: no text to measure perplexity on")
    return [one for one in found if one.text]


def digest(documents: list[Prose]) -> str:
    """Identifies the measured text, so that only measurements of the same text are compared."""
    whole = hashlib.sha256()
    for one in documents:
        whole.update(hashlib.sha256(one.text.encode()).digest())
    return whole.hexdigest()


def _documents(path: Path, text_key: str) -> Iterator[Prose]:
    from prox_spark.corpora.labels import read_records

    if path.suffix == ".txt":
        try:
            yield Prose(path.read_text(encoding="utf-8"), path.name)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from None
        return
    try:
        for record, where in read_records(path):
            yield Prose(_text(record, text_key, where), str(record.get("source") or path.name))
    except TrainingError as error:
        raise InputError(str(error)) from error


def _text(record: dict[str, Any], text_key: str, where: str) -> str:
    text = record.get(text_key)
    if not isinstance(text, str):
        raise InputError(f"{where}: no text under {text_key!r}; it has {', '.join(record) or 'nothing'}")
    return text
