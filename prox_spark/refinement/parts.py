"""The parts of the results of execution, one for each table that is written.

Each part executes the documents again. Execution runs at memory speed, so reading the documents twice costs less than storing
all results on disk and reading them back. Execution is a pure function of
documents and programs, so the parts of one version always agree.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from prox_spark.refinement.task import ExecutionParameters, execute_documents
from prox_spark.schemas import DROPPED_DOCUMENTS, DROPPED_LINES, REFINED, line_columns

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
    "refined": pa.schema([*REFINED, ("fate", pa.string())]),
    "dropped_lines": pa.schema([field for field in DROPPED_LINES if field.name not in line_columns("refinement")]),
    "dropped_documents": DROPPED_DOCUMENTS,
    "quarantined": _QUARANTINED,
}
"""Every part and its columns; for dropped lines without the columns that are constant.

``refined`` has a row for every document, with its ``fate``: documents with other fates are counted, but not written.
"""

_FATES = {"dropped_documents": "dropped", "quarantined": "quarantined"}

_ROWS = 10_000
"""Maximum rows of an output batch: one input batch may lose hundreds of thousands of lines."""


def of_all_lines(chunk_refiner: str | None) -> dict[str, str | None]:
    """The constant columns of dropped lines, and their values."""
    return {"stage": "chunk", "refiner": chunk_refiner}


def execute_part(
    batches: Iterator[pa.RecordBatch], parameters: ExecutionParameters, part: str
) -> Iterator[pa.RecordBatch]:
    """Execute the documents of ``batches`` and yield the rows of one part; columns out: ``PARTS[part]``."""
    schema = PARTS[part]
    for results in execute_documents(batches, parameters):
        line = results.column("kind")[0].as_py() == "line"
        if line != (part == "dropped_lines"):
            continue
        rows = results
        if part in _FATES:
            rows = results.filter(pc.equal(results.column("fate"), _FATES[part]))
        if not rows.num_rows:
            continue
        columns = {name: rows.column(name) for name in schema.names if name in rows.schema.names}
        if part == "dropped_documents":
            columns["refiner"] = _refiners(rows, parameters)
        typed = [columns[field.name].cast(field.type) for field in schema]
        batch = pa.RecordBatch.from_arrays(typed, schema=schema)
        for start in range(0, batch.num_rows, _ROWS):
            yield batch.slice(start, _ROWS)


def _refiners(dropped: pa.RecordBatch, parameters: ExecutionParameters) -> pa.Array:
    """The refiner that dropped each document; null for empty documents."""
    document, chunk = (pa.scalar(name, pa.string()) for name in (parameters.document_refiner, parameters.chunk_refiner))
    by_stage = pc.if_else(pc.equal(dropped.column("stage"), "document"), document, chunk)
    return pc.if_else(pc.equal(dropped.column("reason"), "empty"), pa.scalar(None, pa.string()), by_stage)
