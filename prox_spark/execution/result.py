"""Results of execution: dataclasses for one document, Arrow for a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa

from prox_spark import schemas
from prox_spark.errors import CompatError
from prox_spark.execution.document import DroppedLine

NULL_TEXT = "null text"
"""Why a document without text has no result."""


DROPPED_LINES = pa.schema(
    [("row", pa.int64()), *(schemas.DROPPED_LINES.field(column.name) for column in fields(DroppedLine))]
)
"""``row``: index of the document in the batch. ``chunk``: index of the program in the document's list."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of a document.

    ``n_lines`` and ``n_characters_original`` are the original's; ``n_characters`` is the result's (0 if dropped).
    ``n_lines_removed`` and ``n_lines_rewritten`` count logged lines, so both are 0 if the document is dropped.
    ``n_calls``: all calls of all programs, whether applied or not. ``n_errors``: malformed, unknown, out of range, or
    overgrown. ``n_truncated``: cut off by the end of the output. ``n_clipped``: ranges that exceeded their chunk.
    ``n_no_match``: edits whose string did not occur. ``n_repeated``: equal to an earlier call of the chunk.
    ``n_low_confidence``: ignored because of low confidence. ``n_chunks``: programs; ``n_chunks_voided``: those that a guard
    cancelled.
    """

    n_lines: int = 0
    n_lines_removed: int = 0
    n_lines_rewritten: int = 0
    n_characters: int = 0
    n_characters_original: int = 0
    n_calls: int = 0
    n_errors: int = 0
    n_truncated: int = 0
    n_clipped: int = 0
    n_no_match: int = 0
    n_repeated: int = 0
    n_low_confidence: int = 0
    n_chunks: int = 0
    n_chunks_voided: int = 0


COUNTS: tuple[str, ...] = tuple(field.name for field in fields(Counts))

OUTCOME = pa.struct(
    [
        ("dropped", pa.bool_()),
        ("raised", pa.string()),
        ("reason", pa.string()),
        ("guard", pa.string()),
        *[(name, pa.int64()) for name in COUNTS],
    ]
)
"""The outcome of one document in a batch: the fields of ``Result`` and of ``Counts``."""


@dataclass(frozen=True, slots=True)
class Result:
    """A refined document. If it is dropped, ``text`` is ``""``, ``reason`` says why, and no line is logged.

    ``reason``: ``program`` (a program drops it), ``removed_share`` or ``too_short`` (guards of the document).
    ``guard``: ``error_budget``, ``loop`` or ``edit_budget``, comma-separated, if programs of chunks were cancelled.
    """

    text: str
    dropped: bool = False
    reason: str | None = None
    guard: str | None = None
    counts: Counts = field(default_factory=Counts)
    dropped_lines: tuple[DroppedLine, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Refined documents, in the order of the input.

    ``texts``: string (large_string past 2 GiB, or if the input was): ``""`` for dropped documents, null for raised errors.
    ``outcomes``: structs of type ``OUTCOME``; ``raised`` says why a document has no result, else it is null.
    ``dropped_lines``: a record batch of ``DROPPED_LINES``, ordered by row and line number, at most one row per line.
    """

    texts: pa.Array
    outcomes: pa.StructArray
    dropped_lines: pa.RecordBatch


def with_rows(batch: BatchResult, rows: Sequence[int], results: Sequence[Result | CompatError]) -> BatchResult:
    """The batch with the results of some documents replaced."""
    place = np.arange(len(batch.texts))
    place[rows] = len(batch.texts) + np.arange(len(rows))
    texts = [None if isinstance(result, CompatError) else result.text for result in results]
    log = pa.RecordBatch.from_pylist(
        [
            {"row": int(row), **{name: getattr(line, name) for name in DROPPED_LINES.names[1:]}}
            for row, result in zip(rows, results, strict=True)
            if isinstance(result, Result)
            for line in result.dropped_lines
        ],
        DROPPED_LINES,
    )
    schema = batch.dropped_lines.schema
    lines = pa.Table.from_batches([batch.dropped_lines, log.cast(schema)])
    lines = lines.sort_by([("row", "ascending"), ("line_number", "ascending")])
    return BatchResult(
        pa.concat_arrays([batch.texts, pa.array(texts, batch.texts.type)]).take(pa.array(place)),
        pa.concat_arrays([batch.outcomes, pa.array(map(_outcome, results), OUTCOME)]).take(pa.array(place)),
        pa.RecordBatch.from_arrays([column.combine_chunks() for column in lines.columns], schema=schema),
    )


def _outcome(result: Result | CompatError) -> dict[str, Any]:
    if isinstance(result, CompatError):
        return {"dropped": False, "raised": str(result), **dict.fromkeys(COUNTS, 0)}
    names = ("dropped", "reason", "guard")
    return {name: getattr(result, name) for name in names} | {name: getattr(result.counts, name) for name in COUNTS}
