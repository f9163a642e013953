"""Guesses a corpus's format from the start of its first file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson
import pyarrow.parquet as pq

from prox_spark.corpora.columns import has_column, likely_column
from prox_spark.corpora.files import WatchedFile, find_delta_table, list_files, shown
from prox_spark.corpora.formats import FORMATS, Container, Format
from prox_spark.corpora.streams import HEAD, Damaged, decompressed, lines, members, packing_of
from prox_spark.errors import InputError

_SAMPLE = 100
_MOST_LINES = 1_000
_GENERIC: Mapping[Container, str] = {"json": "json", "parquet": "parquet"}
_IDS = ("doc_id", "id", "_id", "uuid", "docid", "document_id", "page_id", "record_id")
_URLS = ("url", "uri", "link", "source_url", "page_url")
_WET = b"WARC-Type: conversion"


@dataclass(frozen=True, slots=True)
class Guess:
    """The probable format of a corpus.

    ``format``: a name of ``FORMATS``. ``columns``: the mapping to configure, for our columns that the format does not find
    without it. ``mapped``: every column of ours that is found, with the corpus column. ``file``: the file that was read;
    ``files`` and ``bytes``: totals of the corpus; ``fields``: column names of the file's first records.
    """

    format: str
    columns: dict[str, str]
    mapped: dict[str, str]
    file: str
    files: int
    bytes: int
    fields: tuple[str, ...]


def guess(path: str | list[str]) -> Guess:
    """Look at the first file of ``path`` that is not empty.

    Raises ``InputError`` if no file matches, all are empty, the first one cannot be read, or none of its columns can be the
    text.
    """
    files = list_files(path)
    file = next((one for one in files if one.size), None)
    if file is None:
        raise InputError(f"all {len(files)} files of {path} are empty")
    container, records = _look(file.path)
    if container == "parquet" and (table := find_delta_table([file.path])) is not None:
        raise InputError(f"{shown(table)}: is a Delta table: set input.format=delta and input.path to this folder")
    format_name, columns, mapped = _columns(container, records, shown(file.path))
    fields = tuple(dict.fromkeys(name for record in records for name in record))
    return Guess(format_name, columns, mapped, shown(file.path), len(files), sum(one.size for one in files), fields)


def _look(path: str) -> tuple[Container, list[dict[str, Any]]]:
    """The file's container, and its first records if it has columns."""
    with WatchedFile(path) as file:
        head = file.read(HEAD)
        file.seek(0)
        if head.startswith(b"PAR1"):
            return "parquet", _parquet_records(file)
        try:
            start = next((piece for _, piece in members(file, packing_of(head)) if piece), b"")
            if start.startswith(b"WARC/"):
                return ("wet" if _WET in start else "warc"), []
            file.seek(0)
            records = list(islice(_json_records(decompressed(file)), _SAMPLE))
        except Damaged as damage:
            raise InputError(f"{shown(path)}: {damage}") from damage
        file.raise_failure()
        return ("json", records) if records else ("text", [])


def _parquet_records(file: WatchedFile) -> list[dict[str, Any]]:
    try:
        batch = next(pq.ParquetFile(file).iter_batches(batch_size=_SAMPLE), None)
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(file.path)}: not a readable Parquet file: {error}") from error
    return [] if batch is None else batch.to_pylist()


def _json_records(pieces: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The objects in the first lines; none if the file is not JSON lines."""
    for line in islice(lines(pieces), _MOST_LINES):
        try:
            record = orjson.loads((line or b"").removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            yield record


def _columns(
    container: Container, records: Sequence[dict[str, Any]], path: str
) -> tuple[str, dict[str, str], dict[str, str]]:
    """The format, the mapping to configure, and the full mapping."""
    if container not in _GENERIC:
        return next(name for name, one in FORMATS.items() if one.container == container), {}, {}
    found = _best_format(container, records, path)
    mapped = {ours: theirs for ours in ("text", "doc_id", "url", "source") if (theirs := _own(found, ours, records))}
    likely: dict[str, str | None] = {
        "text": mapped.get("text") or _likely_text(records),
        "doc_id": mapped.get("doc_id") or _named(_IDS, records, _is_id),
        "url": mapped.get("url") or _named(_URLS, records, _is_url),
    }
    if likely["text"] is None:
        names = ", ".join(dict.fromkeys(name for record in records for name in record)) or "none"
        raise InputError(
            f"{path}: no column of strings that can be the text (columns: {names}): set input.columns.text"
        )
    columns = {ours: theirs for ours, theirs in likely.items() if theirs and ours not in mapped}
    return found.name, columns, mapped | columns


def _best_format(container: Container, records: Sequence[dict[str, Any]], path: str) -> Format:
    """The format that finds most of our columns; among equals, the format named in the path, then the generic one."""

    def rank(one: Format) -> tuple[int, bool, bool]:
        found = sum(_own(one, ours, records) is not None for ours in ("text", "doc_id", "url", "source"))
        generic = one.name == _GENERIC[container]
        return found if _own(one, "text", records) else 0, not generic and one.name in path.lower(), generic

    return max((one for one in FORMATS.values() if one.container == container), key=rank)


def _own(found: Format, ours: str, records: Sequence[dict[str, Any]]) -> str | None:
    """The column that the format uses for ``ours``, if any record has a value in it."""
    for name in getattr(found, ours):
        if any(has_column(record, name) and record.get(name, True) is not None for record in records):
            return str(name)
    return None


def _likely_text(records: Sequence[dict[str, Any]]) -> str | None:
    """The column with a usual name, else the one with the longest strings."""
    strings: dict[str, int] = {}
    for record in records:
        for name, value in record.items():
            if isinstance(value, str):
                strings[name] = strings.get(name, 0) + len(value)
    usual = likely_column("text", "text", [name for name in strings if strings[name]])
    return usual or max(strings, key=lambda name: strings[name], default=None)


def _named(names: Iterable[str], records: Sequence[dict[str, Any]], fits: Callable[[list[Any]], bool]) -> str | None:
    """The first column with one of these names, in any case, whose values fit."""
    have = {name.lower(): name for record in records for name in record}
    for name in names:
        if name in have and fits([record[have[name]] for record in records if record.get(have[name]) is not None]):
            return have[name]
    return None


def _is_id(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(one, str | int) for one in values) and len(set(values)) == len(values)


def _is_url(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(one, str) and one.startswith(("http://", "https://")) for one in values)
