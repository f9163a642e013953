"""Results between execution and the tables: whole Arrow batches as bytes, so that keeping them costs a copy.

Spark may keep the results on disk while several tables are written from them. Kept as rows, every line that was removed
would be taken apart and put together again column by column, twice; kept as serialised batches, it is bytes.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from prox_spark.refinement.task import ExecutionPlan, execute_documents
from prox_spark.schemas import COUNTED, DROPPED_DOCUMENTS, DROPPED_LINES, REFINED

PACKED = pa.schema([("table", pa.string()), *[(name, pa.int64()) for name in COUNTED], ("data", pa.binary())])

_QUARANTINED = pa.schema([("doc_id", pa.string()), ("stage", pa.string()), ("reason", pa.string())])

PARTS = {
    "refined": REFINED,
    "dropped_lines": DROPPED_LINES,
    "dropped_documents": DROPPED_DOCUMENTS,
    "quarantined": _QUARANTINED,
}
"""What is packed, and its columns."""

_ROWS = 10_000


def pack(batches: Iterator[pa.RecordBatch], plan: ExecutionPlan) -> Iterator[pa.RecordBatch]:
    """Execute the documents of ``batches`` into rows of ``PACKED``; a part without rows has none, but its counts stand."""
    for results in execute_documents(batches, plan):
        if results.column("kind")[0].as_py() == "line":
            yield _row("dropped_lines", {}, _lines(results, plan))
            continue
        counts = _counts(results)
        rest = counts
        for fate, table in (("refined", "refined"), ("dropped", "dropped_documents"), ("quarantined", "quarantined")):
            if not counts[table]:
                continue
            # Mostly all documents are refined: their text need not be copied to pick them out.
            whole = counts[table] == results.num_rows
            part = results if whole else results.filter(pc.equal(results.column("fate"), fate))
            if table == "dropped_documents":
                part = part.append_column("refiner", _refiners(part, plan))
            # The counts of all of them go with the first part, whichever that is.
            yield _row(table, rest, part)
            rest = {}


def unpack(results: DataFrame, table: str) -> DataFrame:
    """The rows of one part."""
    schema = PARTS[table]

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for data in batch.column(0):
                with pa.ipc.open_stream(data.as_buffer()) as stream:
                    for part in stream:
                        for start in range(0, part.num_rows, _ROWS):
                            yield part.slice(start, _ROWS)

    packed = results.where(F.col("table") == table).select("data")
    return packed.mapInArrow(read, from_arrow_schema(schema))


def _row(table: str, counts: dict[str, int], part: pa.RecordBatch) -> pa.RecordBatch:
    schema = PARTS[table]
    columns = [part.column(field.name).cast(field.type) for field in schema]
    selected = pa.RecordBatch.from_arrays(columns, schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(selected)
    row = {"table": table, "data": sink.getvalue().to_pybytes(), **{name: counts.get(name, 0) for name in COUNTED}}
    return pa.RecordBatch.from_pylist([row], schema=PACKED)


def _counts(documents: pa.RecordBatch) -> dict[str, int]:
    fates = documents.column("fate")

    def total(name: str) -> int:
        return pc.sum(documents.column(name)).as_py() or 0

    refined = pc.equal(fates, "refined")
    kept = pc.sum(documents.column("n_characters").filter(refined)).as_py() or 0
    return {
        "refined": pc.sum(refined).as_py() or 0,
        "dropped_documents": pc.sum(pc.equal(fates, "dropped")).as_py() or 0,
        "quarantined": pc.sum(pc.equal(fates, "quarantined")).as_py() or 0,
        "lines": total("n_lines"),
        "lines_removed": total("n_lines_removed"),
        "lines_rewritten": total("n_lines_rewritten"),
        "characters": total("n_characters") + total("n_characters_removed"),
        "characters_kept": kept,
    }


def _lines(lines: pa.RecordBatch, plan: ExecutionPlan) -> pa.RecordBatch:
    n = lines.num_rows
    named = {name: lines.column(name) for name in DROPPED_LINES.names if name not in ("stage", "refiner")}
    named["stage"] = pa.repeat("chunk", n)
    named["refiner"] = pa.repeat(pa.scalar(plan.chunk_refiner, pa.string()), n)
    return pa.RecordBatch.from_pydict(named)


def _refiners(dropped: pa.RecordBatch, plan: ExecutionPlan) -> pa.Array:
    """Which refiner dropped each document; none dropped those that were empty."""
    document, chunk = (pa.scalar(name, pa.string()) for name in (plan.document_refiner, plan.chunk_refiner))
    by_stage = pc.if_else(pc.equal(dropped.column("stage"), "document"), document, chunk)
    return pc.if_else(pc.equal(dropped.column("reason"), "empty"), pa.scalar(None, pa.string()), by_stage)
