"""One Arrow batch of documents with their programs, executed. Pure: no Spark.

Input columns: ``doc_id``, ``unit``, ``text``, ``keep_score``, ``chunks`` (a list of ``CHUNK_PROGRAM``) and, if they are
passed through, ``source``, ``url`` and ``metadata``; output: ``RESULTS``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prox_spark.execution import ExecutionSettings, Mode, execute_batch
from prox_spark.execution.log_hash import log_hashes
from prox_spark.schemas import DROPPED_LINES, line_columns

_LINES = 1 << 16
"""Maximum dropped lines of an output batch: a long document may have millions, and each row needs a few hundred bytes."""

CHUNK_PROGRAM = pa.struct(
    [
        ("chunk", pa.int32()),
        ("line_start", pa.int64()),
        ("line_end", pa.int64()),
        ("line_offset", pa.int64()),
        ("output", pa.string()),
        ("line_scores", pa.list_(pa.float32())),
        ("confidences", pa.list_(pa.float32())),
        ("status", pa.string()),
    ]
)
_DOCUMENT = ("doc_id", "unit", "source", "url", "metadata", "keep_score")
_OF_DOCUMENTS = tuple(name for name in line_columns("document") if name not in _DOCUMENT)
_HANDED_ON = (*_DOCUMENT, *_OF_DOCUMENTS)
_OF_LINES = line_columns("execution")

RESULTS = pa.schema(
    [
        ("kind", pa.string()),
        ("doc_id", pa.string()),
        ("unit", pa.int64()),
        ("source", pa.string()),
        ("url", pa.string()),
        ("metadata", pa.map_(pa.string(), pa.string())),
        ("fate", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("keep_score", pa.float64()),
        ("guard", pa.string()),
        ("n_lines", pa.int64()),
        ("n_lines_removed", pa.int64()),
        ("n_lines_rewritten", pa.int64()),
        ("n_characters", pa.int64()),
        ("n_characters_removed", pa.int64()),
        ("log_hash", pa.int64()),
        ("text", pa.string()),
        *(DROPPED_LINES.field(name) for name in _OF_DOCUMENTS),
        *(DROPPED_LINES.field(name) for name in _OF_LINES if name != "text"),
    ]
)
"""Rows of two kinds: flat rows cross from Arrow to Spark at several times the speed of nested ones.

A ``document``: ``fate`` is refined, dropped or quarantined, ``reason`` says why for the last two, whose ``text`` is null.
A ``line`` that was removed from or changed in a refined document: its ``text``, and the columns of ``dropped_lines``.
"""


@dataclass(frozen=True)
class ExecutionParameters:
    """How a refinement executes programs."""

    mode: Mode
    settings: ExecutionSettings
    drop_document_below: float
    on_failed_chunk: Literal["keep", "quarantine"]
    document_refiner: str | None
    chunk_refiner: str | None


def columns_in(handed_on: Sequence[str]) -> list[str]:
    """Names of the documents' columns, including ``handed_on``."""
    return list(
        dict.fromkeys(("doc_id", "unit", *line_columns("document"), *handed_on, "text", "keep_score", "chunks"))
    )


def execute_documents(batches: Iterator[pa.RecordBatch], parameters: ExecutionParameters) -> Iterator[pa.RecordBatch]:
    """Decide and execute every document of every batch: a row for each document and for each removed or changed line."""
    for batch in batches:
        if batch.num_rows:
            yield from _execute(batch, parameters)


def _execute(batch: pa.RecordBatch, parameters: ExecutionParameters) -> Iterator[pa.RecordBatch]:
    text, chunks = batch.column("text"), batch.column("chunks")
    fate, stage, reason = _decide(batch, parameters)
    live = pc.is_null(fate)
    rows = pc.indices_nonzero(live)
    whole = len(rows) == batch.num_rows
    if not whole:
        text, chunks = text.take(rows), chunks.take(rows)
    executed = execute_batch(text, _programs(chunks, parameters.mode), parameters.mode, settings=parameters.settings)
    outcomes = executed.outcomes
    n_lines, characters = outcomes.field("n_lines"), outcomes.field("n_characters_original")
    if whole:
        back = None
    else:
        # Merge the results of executed documents with the other rows, whose values are null or computed here.
        back = pc.if_else(live, pc.subtract(pc.cumulative_sum(live.cast(pa.int64())), 1), pa.scalar(None, pa.int64()))
        others = batch.column("text").filter(pc.invert(live))
        place = _interleaved(live)
        n_lines = pa.concat_arrays([n_lines, pc.add(pc.count_substring(others, "\n"), 1).cast(pa.int64())]).take(place)
        characters = pa.concat_arrays([characters, pc.utf8_length(others).cast(pa.int64())]).take(place)

    def spread(values: pa.Array) -> pa.Array:
        return values if back is None else values.take(back)

    def outcome(name: str) -> pa.Array:
        return spread(outcomes.field(name))

    dropped = executed.dropped_lines
    raised = pc.is_valid(outcome("raised"))
    gone = pc.fill_null(outcome("dropped"), False)
    fate = pc.coalesce(fate, pc.if_else(raised, "quarantined", pc.if_else(gone, "dropped", "refined")))
    stage = pc.coalesce(stage, pc.if_else(raised, "execute", pc.if_else(gone, "chunk", pa.scalar(None, pa.string()))))
    refined = pc.equal(fate, "refined")
    texts = spread(executed.texts)
    if not pc.all(refined).as_py():
        texts = pc.if_else(refined, texts, pa.scalar(None, texts.type))
    columns = {
        **{name: batch.column(name) for name in _HANDED_ON if name in batch.schema.names},
        "fate": fate,
        "stage": stage,
        "reason": pc.coalesce(reason, outcome("raised"), outcome("reason")),
        "guard": outcome("guard"),
        "n_lines": n_lines,
        "n_lines_removed": pc.if_else(refined, outcome("n_lines_removed"), 0),
        "n_lines_rewritten": pc.if_else(refined, outcome("n_lines_rewritten"), 0),
        "n_characters": pc.if_else(refined, outcome("n_characters"), characters),
        "n_characters_removed": pc.if_else(refined, pc.subtract(characters, outcome("n_characters")), 0),
        "log_hash": spread(log_hashes(dropped, len(executed.texts))),
        "text": texts,
    }
    yield _results("document", columns, batch.num_rows)
    if dropped.num_rows:
        for start in range(0, dropped.num_rows, _LINES):
            part = dropped.slice(start, _LINES)
            row = rows.take(part.column("row"))
            lines = {name: part.column(name) for name in _OF_LINES}
            keys = {name: batch.column(name).take(row) for name in line_columns("document")}
            yield _results("line", keys | lines, part.num_rows)


def _interleaved(live: pa.Array) -> pa.Array:
    """Each row's index in the concatenation of the live rows and the others."""
    mask = live.to_numpy(zero_copy_only=False)
    place = np.empty(len(mask), np.int64)
    place[mask] = np.arange(mask.sum())
    place[~mask] = mask.sum() + np.arange(len(mask) - mask.sum())
    return pa.array(place)


def _results(kind: str, columns: dict[str, pa.Array], n: int) -> pa.RecordBatch:
    columns = {"kind": pa.repeat(kind, n), **columns}

    def typed(field: pa.Field) -> pa.Array:
        if field.name not in columns:
            return pa.nulls(n, field.type)
        column = columns[field.name]
        return column if column.type == field.type else column.cast(field.type)

    return pa.RecordBatch.from_arrays([typed(field) for field in RESULTS], schema=RESULTS)


def _decide(batch: pa.RecordBatch, parameters: ExecutionParameters) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Fate, stage and reason of the documents that are not executed; null for the others."""
    text = batch.column("text")
    null = pa.scalar(None, pa.string())
    blank = pc.or_(pc.utf8_is_space(text), pc.equal(pc.binary_length(text), 0))
    failed = (
        _any_failed(batch.column("chunks"))
        if parameters.on_failed_chunk == "quarantine"
        else pa.repeat(False, batch.num_rows)
    )
    document_failed = pa.repeat(False, batch.num_rows)
    below = document_failed
    if parameters.document_refiner is not None:
        score = batch.column("keep_score")
        document_failed = pc.and_(pc.is_null(score), pc.invert(blank))
        below = pc.fill_null(pc.less(score, parameters.drop_document_below), False)
    cases = pc.make_struct(blank, document_failed, below, failed, field_names=["blank", "document", "below", "failed"])

    def choose(*values: str) -> pa.Array:
        return pc.case_when(cases, *values, null)

    fate = choose("dropped", "quarantined", "dropped", "quarantined")
    stage = choose("document", "document", "document", "chunk")
    reason = choose("empty", "DocumentStageFailed", "keep_score", "ChunkFailed")
    return fate, stage, reason


def _any_failed(chunks: pa.Array) -> pa.Array:
    failed = pc.equal(pc.list_flatten(chunks).field("status"), "failed")
    parents = pc.list_parent_indices(chunks).filter(failed)
    return pc.is_in(pa.array(range(len(chunks)), pa.int64()), value_set=parents.cast(pa.int64()))


def _programs(chunks: pa.Array, mode: str) -> pa.Array:
    """Each document's programs in the form that ``execute_batch`` takes; a failed chunk's program is empty."""
    chunks = pc.if_else(chunks.is_null(), pa.scalar([], chunks.type), chunks)
    lengths = pc.list_value_length(chunks)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
    flat = pc.list_flatten(chunks)
    output = pc.fill_null(flat.field("output"), "")
    if mode == "compat":
        return pa.ListArray.from_arrays(offsets, output)
    fields = {
        "line_start": flat.field("line_start"),
        "line_end": flat.field("line_end"),
        "output": output,
        "numbering_offset": pc.fill_null(flat.field("line_offset"), 0),
        "line_scores": flat.field("line_scores"),
        "confidences": flat.field("confidences"),
        "chunk": flat.field("chunk"),
    }
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(list(fields.values()), names=list(fields)))
