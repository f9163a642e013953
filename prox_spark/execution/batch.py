"""``execute_batch``: many documents, Arrow in and Arrow out, without a Python object per row."""

from typing import Any

import numpy as np
import pyarrow as pa

from prox_spark.errors import CompatError
from prox_spark.execution.compat_kernels import ODD_NUMBER, execute_compat_batch
from prox_spark.execution.groups import BatchArrays, Chunks, LogColumns
from prox_spark.execution.inputs import chunks_of
from prox_spark.execution.result import COUNTS, DROPPED_LINES, OUTCOME, BatchResult, Result, with_rows
from prox_spark.execution.scalar import DEFAULTS, check_mode, execute
from prox_spark.execution.settings import ExecutionSettings, Mode, limits
from prox_spark.execution.strict import GUARDS
from prox_spark.execution.strict_kernels import RAISED, REASONS, confidence_places, execute_strict_batch
from prox_spark.programs.arrow import Strings, named_array, number_array, string_array, strings_of
from prox_spark.programs.kernels import parse_programs
from prox_spark.programs.operations import NAMES

_LOG_COLUMNS = (np.int64, np.int64, np.int64, np.int64, np.int32, np.float32, np.uint8, np.bool_)
"""Types of the log's columns, widest first for alignment; ``new_buffers`` puts them into the order of ``LogColumns``."""
_LOG_ROW = sum(np.dtype(kind).itemsize for kind in _LOG_COLUMNS)
_GUARD_NAMES: tuple[str | None, ...] = (
    None,
    *(",".join(name for bit, name in enumerate(GUARDS) if code >> bit & 1) for code in range(1, 1 << len(GUARDS))),
)


def execute_batch(
    texts: Any, programs: Any, mode: Mode = "strict", *, settings: ExecutionSettings = DEFAULTS
) -> BatchResult:
    """Apply its programs to each document: the same bytes as ``execute``, at memory speed.

    ``texts``: a string or large_string array, whole, sliced or chunked; a null text gives a null result. ``programs``:
    for each document a list of strings (scope: the whole document), or of structs with ``line_start``, ``line_end``
    (int64, both included), ``output`` (string) and, optionally, ``numbering_offset`` (int64), ``line_scores`` and
    ``confidences`` (lists of float32): the fields of ``ChunkProgram``. A null list counts as empty.

    No document or program text raises an error. Raises ``UsageError`` for arrays of other types or lengths.
    """
    check_mode(mode)
    documents = strings_of(texts, "texts")
    chunks, outputs = chunks_of(programs, len(documents.starts))
    return _strict(documents, chunks, outputs, settings) if mode == "strict" else _compat(documents, chunks, outputs)


def _strict(documents: Strings, chunks: Chunks, outputs: Strings, settings: ExecutionSettings) -> BatchResult:
    calls = first_reading = parse_programs(outputs.texts, settings.semantics)
    if settings.semantics > 1 and len(chunks.confidences.values):
        first_reading = parse_programs(outputs.texts, 1)
    places = confidence_places(first_reading, calls)
    result = execute_strict_batch(documents.texts, chunks, calls, places, limits(settings), *new_buffers(documents))
    return _assemble(documents.large, result)


def _compat(documents: Strings, chunks: Chunks, outputs: Strings) -> BatchResult:
    result = execute_compat_batch(documents.texts, chunks, outputs.texts, *new_buffers(documents))
    odd = [int(row) for row in np.flatnonzero(result.marks[:, 2] == ODD_NUMBER)]
    if len(odd) == 0:
        return _assemble(documents.large, result)
    result.marks[odd, 2] = 0
    rows = [_compat_row(documents, chunks, outputs, row) for row in odd]
    return with_rows(_assemble(documents.large, result), odd, rows)


def _compat_row(documents: Strings, chunks: Chunks, outputs: Strings, row: int) -> Result | CompatError:
    programs = [
        outputs[i] for i in range(chunks.firsts[row], chunks.lasts[row]) if outputs.valid is None or outputs.valid[i]
    ]
    try:
        return execute(documents[row], programs, "compat")
    except CompatError as error:
        return error


def new_buffers(documents: Strings) -> tuple[Any, LogColumns]:
    """Memory for a batch's results and log. It suffices unless edits lengthen the text or lines have only a few bytes.

    Two numpy blocks, because numpy requests huge pages for large blocks: thousands of page faults take longer than the
    execution of a batch.
    """
    n_bytes = int((documents.ends - documents.starts).sum())
    n_rows = n_bytes // 64 + 64
    out = np.empty(n_bytes + len(documents.starts) + 1, np.uint8)
    block, at, columns = np.empty(n_bytes + 1 + n_rows * _LOG_ROW, np.uint8), 0, []
    for kind in _LOG_COLUMNS:
        end = at + n_rows * np.dtype(kind).itemsize
        columns.append(block[at:end].view(kind))
        at = end
    rows, numbers, text_ends, replacement_ends, chunks, scores, operations, is_rewritten = columns
    texts, replacements = block[at:], np.empty(1024, np.uint8)
    return out, LogColumns(
        *(rows, numbers, operations, chunks, scores),
        *(text_ends, replacement_ends, is_rewritten, texts, replacements),
    )


def _assemble(large: bool, result: BatchArrays) -> BatchResult:
    """Wrap a kernel's output as Arrow arrays."""
    out, offsets, counts, marks, n_rows, log = result
    reason, guard, raised = marks[:, 0], marks[:, 1], marks[:, 2]
    has_result = raised == 0
    texts = string_array(offsets, out, None if has_result.all() else has_result, large)
    outcomes = pa.StructArray.from_arrays(
        [
            pa.array(reason != 0),
            named_array(raised, RAISED),
            named_array(reason, REASONS),
            named_array(guard, _GUARD_NAMES),
            *(number_array(pa.int64(), counts[:, i]) for i in range(len(COUNTS))),
        ],
        fields=list(OUTCOME),
    )
    rows, numbers, operations, chunks, scores, text_ends, replacement_ends, is_rewritten = (
        column[:n_rows] for column in log[:8]
    )
    columns = {
        "row": number_array(pa.int64(), rows),
        "line_number": number_array(pa.int64(), numbers),
        "text": string_array(_offsets(text_ends), log.texts),
        "replacement": string_array(_offsets(replacement_ends), log.replacements, is_rewritten),
        "operation": named_array(operations, NAMES),
        "chunk": number_array(pa.int32(), chunks),
        "score": number_array(pa.float32(), scores, ~np.isnan(scores)),
    }
    names = DROPPED_LINES.names
    return BatchResult(texts, outcomes, pa.RecordBatch.from_arrays([columns[name] for name in names], names=names))


def _offsets(ends: Any) -> Any:
    return np.concatenate((np.zeros(1, np.int64), ends))
