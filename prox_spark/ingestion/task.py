"""The Spark task of ``ingest``: files in, Arrow batches of documents and of unreadable records out."""

import json
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from prox_spark.corpora.read import read_file
from prox_spark.corpora.records import Tally
from prox_spark.ingestion.units import FilePlan
from prox_spark.limits import DocumentLimits, too_large
from prox_spark.schemas import RECORDS

READ = pa.schema([("kind", pa.string()), ("file", pa.string()), ("unit", pa.int64()), *RECORDS])
"""``kind``: ``document``, ``unreadable``, or ``end`` for a file read to its end, whose ``position`` is its number of rows. Its
``metadata`` can have two JSON objects: ``passed``, the number of records passed over by reason, and ``left_out``, the reason
for each column that metadata lacks. The records of a file = ``position`` + all of ``passed``."""

Task = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def read_task(
    groups: Sequence[Sequence[FilePlan]],
    format_name: str,
    columns: dict[str, str],
    extract: str,
    source: str | None,
    unit_bytes: int,
    limit: int | None,
    limits: DocumentLimits,
) -> Task:
    """A function for ``mapInArrow`` over rows of one column: the number of the group of files to read.

    At most ``limit`` records are read; those above ``limits`` are unreadable (``TooLarge``).
    """

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        left = limit
        for batch in batches:
            for group in batch.column(0).to_pylist():
                for plan in groups[group]:
                    if left is not None and left <= 0:
                        return
                    read = 0
                    for out, complete in _read(plan, format_name, columns, extract, source, unit_bytes, left, limits):
                        read += complete
                        yield out
                    left = None if left is None else left - read

    return task


def _read(
    plan: FilePlan,
    format_name: str,
    columns: dict[str, str],
    extract: str,
    source: str | None,
    unit_bytes: int,
    limit: int | None,
    limits: DocumentLimits,
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Batches of one file with the number of records in each; the ``end`` row comes only when nothing was cut off."""
    path = plan.file.name
    records = text = 0
    tally = Tally()
    found = read_file(plan.file.path, format_name, columns=columns or None, extract=extract, source=source, tally=tally)
    for batch in found:
        cut = limit is not None and records + batch.num_rows > limit
        if limit is not None and cut:
            batch = batch.slice(0, limit - records)
        if batch.num_rows:
            unit = plan.first_unit + min(text // unit_bytes, plan.units - 1)
            yield refuse_large(_labelled(batch, path, unit), limits), batch.num_rows
        if cut:
            return
        records += batch.num_rows
        text += batch.column("text").nbytes
    counts = (("passed", tally.passed), ("left_out", tally.left_out))
    accounts = [(name, json.dumps(found, ensure_ascii=False)) for name, found in counts if found]
    end = {"kind": ["end"], "file": [path], "position": [records], "metadata": [accounts or None]}
    yield pa.RecordBatch.from_pydict({name: end.get(name, [None]) for name in READ.names}, schema=READ), 0


def refuse_large(batch: pa.RecordBatch, limits: DocumentLimits) -> pa.RecordBatch:
    """A batch of ``READ`` whose documents above ``limits`` are unreadable."""
    reasons = too_large(batch.column("text"), limits)
    if reasons.null_count == batch.num_rows:
        return batch
    fine = reasons.is_null()
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name, value in {"kind": "unreadable", "text": None, "content_hash": None, "error_class": "TooLarge"}.items():
        columns[name] = pc.if_else(fine, columns[name], pa.scalar(value, columns[name].type))
    columns["message"] = pc.coalesce(reasons, columns["message"])
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)


def _labelled(batch: pa.RecordBatch, path: str, unit: int) -> pa.RecordBatch:
    n = batch.num_rows
    kind = pc.if_else(batch.column("error_class").is_null(), "document", "unreadable")
    columns = [kind, pa.repeat(path, n), pa.repeat(pa.scalar(unit, pa.int64()), n)]
    return pa.RecordBatch.from_arrays([*columns, *(batch.column(name) for name in RECORDS.names)], schema=READ)
