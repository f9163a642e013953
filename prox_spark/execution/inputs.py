"""The documents and programs of a batch as the plain arrays that the kernels take."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prox_spark.errors import UsageError
from prox_spark.execution.groups import Chunks, Numbers
from prox_spark.programs.arrow import Strings, offsets_of, one_array, strings_of, validity
from prox_spark.programs.bytes_kernels import Integers
from prox_spark.programs.model import MAX_LINE


def chunks_of(programs: Any, n_documents: int) -> tuple[Chunks, Strings]:
    """Split the programs column into the chunks and their programs.

    Raises ``UsageError`` if the column has another type or length.
    """
    programs = one_array(programs)
    kind = programs.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        raise UsageError(f"programs must be a list of strings or of structs for each document, not {kind}")
    if len(programs) != n_documents:
        raise UsageError(f"{n_documents} documents, but {len(programs)} programs")
    firsts, lasts, items = _lists(programs)
    n = len(items)
    if not pa.types.is_struct(items.type):
        none = Numbers(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(0, np.float32))
        nothing = np.zeros(n, np.int64)
        chunks = Chunks(firsts, lasts, nothing, np.full(n, MAX_LINE), nothing, none, none)
        return chunks, _outputs(items)
    names = [field.name for field in items.type]
    missing = {"line_start", "line_end", "output"} - set(names)
    if missing:
        raise UsageError(f"programs lack {', '.join(sorted(missing))}: they have {', '.join(names)}")
    columns = dict(zip(names, items.flatten(), strict=True))
    chunks = Chunks(
        firsts,
        lasts,
        _integers(columns["line_start"], 0),
        _integers(columns["line_end"], MAX_LINE),
        _integers(columns["numbering_offset"], 0) if "numbering_offset" in columns else np.zeros(n, np.int64),
        _numbers(columns.get("line_scores"), n),
        _numbers(columns.get("confidences"), n),
    )
    return chunks, _outputs(columns["output"])


def _outputs(items: Any) -> Strings:
    return strings_of(items, "programs")


def _lists(array: Any) -> tuple[Integers, Integers, Any]:
    """Start and end of each row's list in the items, and the items; a null row's list is empty."""
    offsets = offsets_of(array, array.buffers()[1], pa.types.is_large_list(array.type))
    low = int(offsets[0])
    items = array.values.slice(low, int(offsets[-1]) - low)
    firsts, lasts = offsets[:-1] - low, offsets[1:] - low
    valid = validity(array)
    return firsts, lasts if valid is None else np.where(valid, lasts, firsts), items


def _integers(column: Any, default: int) -> Integers:
    values = pc.fill_null(column.cast(pa.int64()), default).to_numpy(zero_copy_only=False)
    return np.asarray(np.clip(values, -MAX_LINE, MAX_LINE))


def _numbers(column: Any, n: int) -> Numbers:
    if column is None or pa.types.is_null(column.type):
        return Numbers(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(0, np.float32))
    starts, ends, values = _lists(column)
    numbers = pc.fill_null(values.cast(pa.float32()), float("nan")).to_numpy(zero_copy_only=False)
    return Numbers(starts, ends, np.array(numbers, np.float32))
