"""The parts that executed documents fall into, one for each table that is written from them.

Each part executes the documents anew: execution runs at the speed of memory, so that reading the documents twice costs
less than keeping every result of the first time on disk and reading it back. What is executed is a pure function of
documents and programs; the parts of one version can never disagree.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column
from pyspark.sql import functions as F

from prox_spark.refinement.task import ExecutionPlan, execute_documents
from prox_spark.schemas import COUNTED, DROPPED_DOCUMENTS, DROPPED_LINES, REFINED

_QUARANTINED = pa.schema(
    [
        ("doc_id", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("n_lines", pa.int64()),
        ("n_characters", pa.int64()),
    ]
)

PARTS = {
    "refined": REFINED,
    "dropped_lines": pa.schema([field for field in DROPPED_LINES if field.name not in ("stage", "refiner")]),
    "dropped_documents": DROPPED_DOCUMENTS,
    "quarantined": _QUARANTINED,
}
"""Every part and its columns; dropped lines without those that are the same for all of them."""

_FATES = {"refined": "refined", "dropped_documents": "dropped", "quarantined": "quarantined"}

_ROWS = 10_000
"""Rows of an output batch: one input batch may lose hundreds of thousands of lines."""


def execute_part(batches: Iterator[pa.RecordBatch], plan: ExecutionPlan, part: str) -> Iterator[pa.RecordBatch]:
    """Execute the documents of ``batches`` and hand out the rows of one part; columns out: ``PARTS[part]``."""
    schema = PARTS[part]
    for results in execute_documents(batches, plan):
        line = results.column("kind")[0].as_py() == "line"
        if line != (part == "dropped_lines"):
            continue
        rows = results
        if not line:
            chosen = pc.equal(results.column("fate"), _FATES[part])
            # Mostly all documents are refined: their text need not be copied to pick them out.
            rows = results if pc.all(chosen).as_py() else results.filter(chosen)
        if not rows.num_rows:
            continue
        columns = {name: rows.column(name) for name in schema.names if name in rows.schema.names}
        if part == "dropped_documents":
            columns["refiner"] = _refiners(rows, plan)
        typed = [columns[field.name].cast(field.type) for field in schema]
        batch = pa.RecordBatch.from_arrays(typed, schema=schema)
        for start in range(0, batch.num_rows, _ROWS):
            yield batch.slice(start, _ROWS)


def totals(part: str) -> list[Column]:
    """What the documents of a part add to ``COUNTED``, as aggregates over its rows."""
    sums: dict[str, Column] = {"lines": F.sum("n_lines")}
    if part == "refined":
        sums |= {
            "refined": F.count("*"),
            "lines_removed": F.sum("n_lines_removed"),
            "lines_rewritten": F.sum("n_lines_rewritten"),
            "characters": F.sum(F.col("n_characters") + F.col("n_characters_removed")),
            "characters_kept": F.sum("n_characters"),
        }
    else:
        sums |= {part: F.count("*"), "characters": F.sum("n_characters")}
    return [F.coalesce(column, F.lit(0)).alias(name) for name, column in sums.items()]


def summed(*counts: Mapping[str, Any]) -> dict[str, int]:
    """The totals of several parts together, with every name of ``COUNTED``."""
    return {name: sum(int(count.get(name, 0)) for count in counts) for name in COUNTED}


def _refiners(dropped: pa.RecordBatch, plan: ExecutionPlan) -> pa.Array:
    """Which refiner dropped each document; none dropped those that were empty."""
    document, chunk = (pa.scalar(name, pa.string()) for name in (plan.document_refiner, plan.chunk_refiner))
    by_stage = pc.if_else(pc.equal(dropped.column("stage"), "document"), document, chunk)
    return pc.if_else(pc.equal(dropped.column("reason"), "empty"), pa.scalar(None, pa.string()), by_stage)
