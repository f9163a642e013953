"""Writers of one shard: rows in, files out. The bytes depend only on the rows. No Spark."""

import io
import shutil
import tempfile
from dataclasses import dataclass
from typing import IO, Any, cast

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from prox_spark.exporting.folder import Folder, HashedFile
from prox_spark.exporting.tokens import DocumentTokenizer, Ids, Tokenizing
from prox_spark.generation.tokens import SLAB

COLUMNS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("text", pa.string()),
        ("url", pa.string()),
        ("source", pa.string()),
        ("metadata", pa.map_(pa.string(), pa.string())),
    ]
)
"""The exported columns, in this order."""

PLACES = pa.schema([("doc_id", pa.string()), ("start", pa.int64()), ("tokens", pa.int64())])
"""Start of a document's ids in its token shard, and their number without the end token."""

VERIFIED = 100
"""Documents of each token shard that are decoded and compared with their texts."""

_LEVEL = 3


@dataclass(frozen=True)
class File:
    """A written file: its name in the folder for attempts, bytes, SHA-256 (hex)."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Finished:
    """A shard's file. With tokens: the number of ids, the file of document starts, and how many of the ``verified``
    documents decode to a different text (``inexact``)."""

    file: File
    tokens: int | None = None
    places: File | None = None
    verified: int | None = None
    inexact: int | None = None


class ParquetWriter:
    """A Parquet file with a row group for each group of rows. ``plain``: metadata as JSON text, for readers without maps."""

    def __init__(self, folder: Folder, name: str, *, plain: bool = False) -> None:
        self._name = name
        self._plain = plain
        self._file = folder.create(name)
        schema = _with_json(COLUMNS) if plain else COLUMNS
        self._writer = pq.ParquetWriter(
            self._file, schema, compression="zstd", compression_level=_LEVEL, use_dictionary=["source"]
        )

    def add(self, rows: pa.Table) -> None:
        if self._plain:
            text = [None if one is None else orjson.dumps(dict(one)).decode() for one in _metadata(rows)]
            at = rows.schema.get_field_index("metadata")
            rows = rows.set_column(at, pa.field("metadata", pa.string()), pa.array(text, pa.string()))
        self._writer.write_table(rows, row_group_size=max(rows.num_rows, 1))

    def finish(self) -> Finished:
        self.close()
        return Finished(_written(self._name, self._file))

    def close(self) -> None:
        self._writer.close()
        self._file.close()


class JsonWriter:
    """JSON lines in one zstd frame: one object per document, its metadata an object or null."""

    def __init__(self, folder: Folder, name: str) -> None:
        self._name = name
        self._file = folder.create(name)
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self._stream: Any = compressor.stream_writer(cast(IO[bytes], self._file), closefd=False)

    def add(self, rows: pa.Table) -> None:
        columns = [rows.column(name).to_pylist() for name in COLUMNS.names if name != "metadata"]
        metadata = (None if one is None else dict(one) for one in _metadata(rows))
        lines = (
            orjson.dumps(dict(zip(COLUMNS.names, values, strict=True)))
            for values in zip(*columns, metadata, strict=True)
        )
        # One write per group: the frame's block boundaries must depend only on the groups.
        self._stream.write(b"\n".join(lines) + b"\n")

    def finish(self) -> Finished:
        self.close()
        return Finished(_written(self._name, self._file))

    def close(self) -> None:
        self._stream.close()
        self._file.close()


class TokenWriter:
    """A one-dimensional ``.npy`` with the ids and the end token of each document, and a Parquet file with their places.

    An ``.npy`` begins with its length: until that is known, the ids are in a local temporary file.
    """

    def __init__(self, folder: Folder, name: str, tokenizing: Tokenizing) -> None:
        self._name, self._places_name = name, f"{name}.places"
        self._tokenizer = DocumentTokenizer(tokenizing)
        self._dtype = np.dtype(tokenizing.dtype).newbyteorder("<")
        self._end = np.array([tokenizing.end_id], self._dtype).tobytes()
        self._ids: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- open until the shard is written
        self._count = self._verified = self._inexact = 0
        self._file, self._places_file = folder.create(name), folder.create(self._places_name)
        self._places = pq.ParquetWriter(self._places_file, PLACES, compression="zstd", compression_level=_LEVEL)

    def add(self, rows: pa.Table) -> None:
        texts = rows.column("text").to_pylist()
        starts, lengths = [self._count] * len(texts), [0] * len(texts)
        number = -1
        for piece, ids in self._tokenizer.pieces(texts):
            if piece != number:
                if number >= 0:
                    self._put_end()
                number = piece
                starts[number] = self._count
                self._verify(texts[number], ids)
            self._ids.write(ids.astype(self._dtype, copy=False).tobytes())
            lengths[number] += len(ids)
            self._count += len(ids)
        if texts:
            self._put_end()
        places = [rows.column("doc_id").combine_chunks(), pa.array(starts, pa.int64()), pa.array(lengths, pa.int64())]
        self._places.write_table(pa.Table.from_arrays(places, schema=PLACES), row_group_size=max(len(texts), 1))

    def _put_end(self) -> None:
        self._ids.write(self._end)
        self._count += 1

    def _verify(self, text: str, ids: Ids) -> None:
        # A longer text comes in pieces, and decoding keeps several copies of a document.
        if self._verified < VERIFIED and len(text) <= SLAB:
            self._verified += 1
            self._inexact += self._tokenizer.decode(ids) != text

    def finish(self) -> Finished:
        header = io.BytesIO()
        shape = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._count,)}
        npy: Any = np.lib.format
        npy.write_array_header_1_0(header, shape)
        self._file.write(header.getvalue())
        self._ids.seek(0)
        shutil.copyfileobj(self._ids, self._file, 1 << 20)
        self.close()
        return Finished(
            _written(self._name, self._file),
            self._count,
            _written(self._places_name, self._places_file),
            self._verified,
            self._inexact,
        )

    def close(self) -> None:
        self._ids.close()
        self._places.close()
        for file in (self._file, self._places_file):
            file.close()


def _written(name: str, file: HashedFile) -> File:
    return File(name, file.size, file.sha256)


def _metadata(rows: pa.Table) -> list[Any]:
    """Each document's metadata as pairs, or None."""
    found: list[Any] = rows.column("metadata").to_pylist()
    return found


def _with_json(schema: pa.Schema) -> pa.Schema:
    return schema.set(schema.get_field_index("metadata"), pa.field("metadata", pa.string()))
