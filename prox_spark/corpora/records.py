"""Records as readers yield them, and their conversion to Arrow batches."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa

from prox_spark.credentials import hidden
from prox_spark.schemas import RECORDS

BATCH_RECORDS = 1_000
BATCH_BYTES = 16 << 20
_MOST_URL = 64 << 10
_MOST_WEIGHT = 512 << 20
_MESSAGE = 300
_DIGEST = 16


class Record(NamedTuple):
    """One record of a file. ``text`` is valid UTF-8, or ``None`` if ``error_class`` says why it is missing.

    ``position`` counts records of the file from 0; ``None`` stands for the whole file.
    """

    position: int | None
    text: bytes | None
    doc_id: str | None = None
    source: str | None = None
    url: str | None = None
    metadata: dict[str, str] | None = None
    error_class: str | None = None
    message: str | None = None


class Passed(NamedTuple):
    """A record that is passed over because it is not a document, such as a request or an image: ``reason`` names its kind."""

    reason: str


class LeftOut(NamedTuple):
    """A column of a file that is left out of the metadata because it cannot be read or shown: its name and the reason."""

    column: str
    reason: str


Found = Record | Passed | LeftOut
"""The items that a reader yields."""

_MOST_REASONS = 200
OTHER_REASONS = "other reasons"


@dataclass
class Tally:
    """A file's records that were ``passed`` over, counted by reason, and its columns that were ``left_out``.

    It keeps 200 reasons and 200 columns; further ones are counted together as ``other reasons``.
    """

    passed: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, str] = field(default_factory=dict)

    def rows(self, found: Iterable[Found]) -> Iterator[Record]:
        """The rows of ``found``; the rest is counted as it comes."""
        for one in found:
            if isinstance(one, Record):
                yield one
            elif isinstance(one, Passed):
                known = one.reason in self.passed or len(self.passed) < _MOST_REASONS
                self.passed[one.reason if known else OTHER_REASONS] += 1
            elif one.column in self.left_out or len(self.left_out) < _MOST_REASONS:
                self.left_out[one.column] = one.reason
            else:
                self.left_out[OTHER_REASONS] = "further columns"


def unreadable(position: int | None, error_class: str, message: str, doc_id: str | None = None) -> Record:
    """A record for unreadable data. ``message`` must not contain page text; it is redacted and cut to 300 characters."""
    return Record(position, None, doc_id=doc_id, error_class=error_class, message=hidden(message)[:_MESSAGE])


def well_formed(text: str) -> str:
    """``text`` with U+FFFD for every lone surrogate: for other columns; a page's text with lone surrogates is refused."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def utf8_or_error(position: int | None, data: bytes) -> Record | None:
    """``None`` where ``data`` is UTF-8, else the record that says where it is not."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return not_utf8(position, data, error)
    return None


def not_utf8(position: int | None, data: bytes, error: UnicodeDecodeError) -> Record:
    """The record that says where ``data`` is not UTF-8."""
    return unreadable(position, "NotUtf8", f"not UTF-8 at byte {error.start} of {len(data)}: {error.reason}")


def content_hash(text: bytes) -> str:
    """BLAKE2b of the UTF-8 text, 16 bytes, in hexadecimal."""
    return blake2b(text, digest_size=_DIGEST).hexdigest()


PARTS_IN_IDS = 2
"""Parts of a file's path in its hash ids: the last folder and the name, so that ids stay the same if a corpus moves."""


def file_in_ids(path: str, parts: int) -> bytes:
    """The last ``parts`` parts of a path, as hashed into ids."""
    return "/".join(PurePosixPath(path).parts[-parts:]).encode("utf-8", "surrogateescape")


def document_ids(path: str, parts: int = PARTS_IN_IDS) -> Callable[[str, int, bytes], str]:
    """A function that makes ids for documents of ``path`` without one: (source, position, text) -> hash.

    The hash is BLAKE2b (16 bytes, hexadecimal) over source, the last ``parts`` parts of the path, position and text.
    Equal pages in one file, or at equal positions of two files, get different ids; if folders also have the same name,
    ``ingestion.comparison`` uses more parts.
    """
    file = file_in_ids(path, parts)
    seeds: dict[str, Any] = {}

    def document_id(source: str, position: int, text: bytes) -> str:
        seed = seeds.get(source)
        if seed is None:
            seed = blake2b(source.encode() + b"\0" + file + b"\0", digest_size=_DIGEST)
            if len(seeds) < 1_000:
                seeds[source] = seed
        digest = seed.copy()
        digest.update(b"%d\0" % position)
        digest.update(text)
        return digest.hexdigest()

    return document_id


def to_batches(records: Iterable[Record], path: str, source: str) -> Iterator[pa.RecordBatch]:
    """Arrow batches of schema ``RECORDS``: at most 1,000 records and 16 MiB; a larger record gets a separate batch.

    ``source`` is the default for records without a source. A URL of more than 64 KiB is left out, and a record of more than
    512 MiB is ``TooLarge``.
    """
    document_id = document_ids(path)
    rows: list[Record] = []
    size = 0
    for one in records:
        record = one._replace(url=None) if one.url and len(one.url) > _MOST_URL else one
        weight = _weight(record)
        if weight > _MOST_WEIGHT:  # Arrow's arrays of strings hold 2 GiB
            record = unreadable(record.position, "TooLarge", f"a record is longer than {_MOST_WEIGHT} bytes")
            weight = _weight(record)
        if rows and (size + weight > BATCH_BYTES or len(rows) == BATCH_RECORDS):
            yield _batch(rows, document_id, source)
            rows, size = [], 0
        rows.append(record)
        size += weight
    if rows:
        yield _batch(rows, document_id, source)


def _weight(record: Record) -> int:
    """The approximate bytes of a record."""
    metadata = record.metadata
    return sum(len(one) for one in (record.text, record.doc_id, record.source, record.url) if one) + (
        sum(map(len, metadata)) + sum(map(len, metadata.values())) if metadata else 0
    )


def _batch(rows: list[Record], document_id: Callable[[str, int, bytes], str], source: str) -> pa.RecordBatch:
    positions, texts, ids, sources, urls, metadata, errors, messages = map(list, zip(*rows, strict=True))
    sources = [one or source for one in sources]
    hashes = [None if text is None else content_hash(text) for text in texts]
    ids = [
        one if one or text is None else document_id(whose, position or 0, text)
        for one, text, whose, position in zip(ids, texts, sources, positions, strict=True)
    ]
    string = pa.string()
    columns: dict[str, Any] = {
        "position": pa.array(positions, pa.int64()),
        "doc_id": pa.array(ids, string),
        "content_hash": pa.array(hashes, string),
        "source": pa.array(sources, string),
        "url": pa.array(urls, string),
        "metadata": _map(metadata),
        "text": pa.array(texts, string),
        "error_class": pa.array(errors, string),
        "message": pa.array(messages, string),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in RECORDS.names], schema=RECORDS)


def _map(rows: list[dict[str, str] | None]) -> Any:
    keys: list[str] = []
    values: list[str] = []
    for row in rows:
        if row:
            keys.extend(row)
            values.extend(row.values())
    offsets: Any = pa.array([0, *accumulate(len(row) if row else 0 for row in rows)], pa.int32())
    return pa.MapArray.from_arrays(offsets, pa.array(keys, pa.string()), pa.array(values, pa.string()))
