"""The Spark task of ``export``: the rows of one shard in, one file out, and a row about the file.

No Spark here. Every attempt of a task gives its files unique names; only one attempt counts.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from prox_spark.errors import ProxSparkError
from prox_spark.exporting.folder import Folder
from prox_spark.exporting.tokens import Tokenizing
from prox_spark.exporting.writers import COLUMNS, File, Finished, JsonWriter, ParquetWriter, TokenWriter

SHARD_CHARACTERS = 256_000_000
"""Approximate characters of text in a shard."""

MOST_SHARDS = 10_000
"""Maximum number of shards; beyond it shards become larger, because each takes a block from every task that reads documents."""

_FILE = pa.struct([("name", pa.string()), ("bytes", pa.int64()), ("sha256", pa.string())])

WRITTEN = pa.schema(
    [
        ("shard", pa.int64()),
        ("documents", pa.int64()),
        ("characters", pa.int64()),
        ("file", _FILE),
        ("tokens", pa.int64()),
        ("places", _FILE),
        ("verified", pa.int64()),
        ("inexact", pa.int64()),
    ]
)
"""A written shard; the last four are null for formats without tokens (``writers.Finished``)."""

_GROUP_ROWS = 10_000
_GROUP_BYTES = 32 << 20
"""Maximum rows of a row group, and maximum bytes of its text (plus one document)."""

Writer = ParquetWriter | JsonWriter | TokenWriter


@dataclass(frozen=True)
class ShardPlan:
    """The folder for the attempts, and what they write; ``tokenizing`` only for the format ``tokens``."""

    attempts: str
    format: str
    tokenizing: Tokenizing | None = None


def shard_task(plan: ShardPlan) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for ``mapInArrow`` over partitions of one shard each (rows: shard number and ``COLUMNS``)."""

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        groups = grouped(batches)
        first = next(groups, None)
        if first is None:
            return
        shard = first.column("shard")[0].as_py()
        documents = characters = 0
        writer = _open_writer(plan, shard)
        try:
            group: pa.Table | None = first
            while group is not None:
                if pc.any(pc.not_equal(group.column("shard"), shard)).as_py():
                    raise ProxSparkError(
                        f"the task of shard {shard} received rows of other shards; Spark partitioned them differently"
                    )
                documents += group.num_rows
                characters += pc.sum(pc.utf8_length(group.column("text"))).as_py() or 0
                writer.add(group.select(COLUMNS.names))
                group = next(groups, None)
            done = writer.finish()
        finally:
            writer.close()
        yield _row(shard, documents, characters, done)

    return task


def _open_writer(plan: ShardPlan, shard: int) -> Writer:
    folder, name = Folder(plan.attempts), f"part-{shard:05d}-{uuid.uuid4().hex}"
    if plan.format == "tokens":
        assert plan.tokenizing is not None, "a plan for tokens has a tokenizer"
        return TokenWriter(folder, name, plan.tokenizing)
    if plan.format == "jsonl":
        return JsonWriter(folder, name)
    return ParquetWriter(folder, name, plain=plan.format == "huggingface")


def grouped(batches: Iterator[pa.RecordBatch], rows: int = _GROUP_ROWS, size: int = _GROUP_BYTES) -> Iterator[pa.Table]:
    """The same rows in groups whose boundaries depend only on the rows, not on the incoming batches."""
    schema = pa.schema([("shard", pa.int64()), *COLUMNS])
    pending: list[pa.RecordBatch] = []
    n = filled = 0
    for batch in batches:
        typed = batch.select(schema.names).cast(schema)
        start = 0
        for row, length in enumerate(pc.binary_length(typed.column("text")).to_pylist()):
            n, filled = n + 1, filled + (length or 0)
            if n == rows or filled >= size:
                yield _table([*pending, typed.slice(start, row + 1 - start)])
                pending, n, filled, start = [], 0, 0, row + 1
        if start < typed.num_rows:
            pending.append(typed.slice(start))
    if pending:
        yield _table(pending)


def _table(batches: list[pa.RecordBatch]) -> pa.Table:
    # In one piece, because Parquet ends a page where a column's piece ends.
    return pa.Table.from_batches(batches).combine_chunks()


def _row(shard: int, documents: int, characters: int, done: Finished) -> pa.RecordBatch:
    def file(one: File | None) -> dict[str, object] | None:
        return None if one is None else {"name": one.name, "bytes": one.bytes, "sha256": one.sha256}

    values = {
        "shard": shard,
        "documents": documents,
        "characters": characters,
        "file": file(done.file),
        "tokens": done.tokens,
        "places": file(done.places),
        "verified": done.verified,
        "inexact": done.inexact,
    }
    return pa.RecordBatch.from_pylist([values], schema=WRITTEN)
