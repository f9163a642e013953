"""A hash of each document's log: if a document's logs are equal in two refinements, so are its texts."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prox_spark.programs.arrow import number_array, strings_of
from prox_spark.programs.bytes_kernels import Integers, Texts
from prox_spark.programs.compiled import entry, inner
from prox_spark.programs.operations import NAMES

# Multipliers and shift of MurmurHash3's 64-bit finaliser (Appleby, public domain).
_FIRST, _SECOND, _SHIFT = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53), np.uint64(33)
_REMOVED = np.uint64(0x9E3779B97F4A7C15)


def log_hashes(dropped_lines: pa.RecordBatch, n: int) -> pa.Array:
    """For each of ``n`` documents an int64 over its logged lines: numbers, operations, replacements; 0 if there are none.

    ``dropped_lines``: columns of ``execution.result.DROPPED_LINES``, ordered by ``row`` (0 to n - 1) and line number.
    The hash ignores refiner, score and chunk, and the original text of the lines, which document and number determine.
    """
    hashes = np.zeros(n, np.uint64)
    if dropped_lines.num_rows:
        operations = pc.index_in(dropped_lines.column("operation"), pa.array(NAMES))
        _add_lines(
            _numbers(dropped_lines.column("row")),
            _numbers(dropped_lines.column("line_number")).view(np.uint64),
            _numbers(operations.cast(pa.int64())).view(np.uint64),
            strings_of(dropped_lines.column("replacement"), "replacement").texts,
            hashes,
        )
    return number_array(pa.int64(), hashes.view(np.int64))


def _numbers(array: Any) -> Any:
    return array.to_numpy(zero_copy_only=False)


@inner
def _mixed(value: Any) -> Any:
    value = (value ^ (value >> _SHIFT)) * _FIRST
    value = (value ^ (value >> _SHIFT)) * _SECOND
    return value ^ (value >> _SHIFT)


@entry
def _add_lines(rows: Integers, numbers: Any, operations: Any, replacements: Texts, hashes: Any) -> None:
    """Add every line to its document's hash, in order."""
    data, starts, ends, rewritten = replacements.data, replacements.starts, replacements.ends, replacements.valid
    for i in range(rows.shape[0]):
        value = _mixed(hashes[rows[i]] + _REMOVED)
        value = _mixed(value ^ numbers[i])
        value = _mixed(value ^ operations[i])
        if rewritten[i]:
            value = _mixed(value ^ np.uint64(ends[i] - starts[i] + 1))
            for at in range(starts[i], ends[i]):
                value = (value ^ np.uint64(data[at])) * _FIRST
            value = _mixed(value)
        hashes[rows[i]] = value
