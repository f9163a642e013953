"""Parsing many programs at once, Arrow in and Arrow out."""

from typing import Any

import numpy as np
import pyarrow as pa

from prox_spark.programs import kernels, lookup
from prox_spark.programs.arrow import MAX_INT32, named_array, number_array, packed, string_array, strings_of
from prox_spark.programs.kernels import gather, parse_programs
from prox_spark.programs.model import MAX_LINE, OUTCOMES
from prox_spark.programs.operations import NAMES
from prox_spark.schemas import CALL


def parse_batch(outputs: Any, line_offsets: Any = None, semantics: int = 1) -> Any:
    """Parse every program of a string array by a version of the rules (default: 1); no program text makes it raise.

    Returns a list array of ``prox_spark.schemas.CALL`` structs, null where the output is null. ``line_offsets`` (int64,
    one per program) is added to its line numbers: the number of the line that the model saw as ``[000]``.
    ``confidence`` is null. Raises ``UsageError`` if ``outputs`` are not strings.
    """
    strings = strings_of(outputs, "programs")
    first, calls, data = parse_programs(strings.texts, semantics)
    n_calls = len(calls)
    if n_calls > MAX_INT32:
        raise OverflowError("more than 2**31 calls in one batch: parse fewer programs at once")
    operation, outcome = calls[:, lookup.OPERATION], calls[:, lookup.OUTCOME]
    has_lines = (outcome == kernels.OK) & lookup.HAS_LINES[operation]
    shift = np.zeros(n_calls, np.int64)
    if line_offsets is not None:
        offsets = np.clip(line_offsets.fill_null(0).to_numpy(zero_copy_only=False), -MAX_LINE, MAX_LINE)
        shift = np.repeat(offsets, np.diff(first))
    columns = [
        named_array(operation, NAMES),
        number_array(pa.int64(), calls[:, lookup.LINE_START] + shift, has_lines),
        number_array(pa.int64(), calls[:, lookup.LINE_END] + shift, has_lines),
        _strings(data, calls, lookup.SOURCE),
        _strings(data, calls, lookup.TARGET),
        pa.nulls(n_calls, pa.float32()),
        named_array(outcome, OUTCOMES),
    ]
    structs = pa.StructArray.from_arrays(columns, fields=list(CALL))
    buffers = [packed(strings.valid), pa.py_buffer(first.astype(np.int32))]
    return pa.Array.from_buffers(pa.list_(CALL), len(strings.starts), buffers, children=[structs])


def _strings(data: Any, calls: Any, column: int) -> Any:
    starts, ends = np.ascontiguousarray(calls[:, column]), np.ascontiguousarray(calls[:, column + 1])
    offsets, gathered = gather(data, starts, ends)
    return string_array(offsets, gathered, starts >= 0)
