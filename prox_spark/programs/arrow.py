"""Conversion between Arrow arrays and the kernels' NumPy arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from prox_spark.errors import UsageError
from prox_spark.programs.bytes_kernels import Bytes, Integers, Texts, read_only

MAX_INT32 = 2**31 - 1
Mask = Any
"""A NumPy array of booleans, true for values that are not null; ``None`` if no value is null."""


@dataclass(frozen=True, slots=True)
class Strings:
    """An array of strings as bytes: string ``i`` is ``data[starts[i]:ends[i]]``, empty if it is null."""

    data: Bytes
    starts: Integers
    ends: Integers
    valid: Mask
    large: bool

    @property
    def texts(self) -> Texts:
        """The same strings for the kernels."""
        n = len(self.starts)
        valid = np.ones(n, np.uint8) if self.valid is None else self.valid.astype(np.uint8)
        return Texts(self.data, self.starts, self.ends, valid)

    def __getitem__(self, index: int) -> str:
        return self.data[self.starts[index] : self.ends[index]].tobytes().decode()


def one_array(array: Any) -> Any:
    """A chunked array as one array; strings of more than 2 GiB in all become large strings."""
    if not isinstance(array, pa.ChunkedArray):
        return array
    if pa.types.is_string(array.type) and array.nbytes > MAX_INT32:
        array = array.cast(pa.large_string())
    combined = array.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def validity(array: Any) -> Any:
    """True for values that are not null, as a NumPy array; ``None`` if no value is null."""
    return None if array.null_count == 0 else array.is_valid().to_numpy(zero_copy_only=False)


def offsets_of(array: Any, buffer: Any, large: bool) -> Integers:
    """The offsets of an array of strings or lists, with its slice applied."""
    if buffer is None or buffer.size == 0:
        return np.zeros(len(array) + 1, np.int64)
    raw = np.frombuffer(buffer, np.int64 if large else np.int32)
    return raw[array.offset : array.offset + len(array) + 1].astype(np.int64)


def strings_of(array: Any, what: str) -> Strings:
    """The bytes of a string array. Raises ``UsageError`` for another type."""
    array = one_array(array)
    if pa.types.is_null(array.type) or pa.types.is_dictionary(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    large = pa.types.is_large_string(array.type)
    if not large and not pa.types.is_string(array.type):
        raise UsageError(f"{what} must be strings, not {array.type}")
    buffers = array.buffers()
    offsets = offsets_of(array, buffers[1], large)
    valid = validity(array)
    ends = offsets[1:].copy() if valid is None else np.where(valid, offsets[1:], offsets[:-1])
    return Strings(read_only(buffers[2]), offsets[:-1].copy(), ends, valid, large)


def packed(valid: Any) -> Any:
    """A validity mask as Arrow's bitmap; ``None`` if all values are valid."""
    return None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))


def string_array(offsets: Integers, data: Bytes, valid: Any = None, large: bool = False) -> Any:
    """An array of strings over these bytes, without a copy; of large strings if necessary, or if ``large``."""
    n = len(offsets) - 1
    large = large or int(offsets[-1]) > MAX_INT32
    raw = offsets if large else offsets.astype(np.int32)
    buffers = [packed(valid), pa.py_buffer(raw), pa.py_buffer(data[: offsets[-1]])]
    return pa.Array.from_buffers(pa.large_string() if large else pa.string(), n, buffers)


def number_array(kind: Any, values: Any, valid: Any = None) -> Any:
    """An array of numbers over these values, without a copy."""
    return pa.Array.from_buffers(kind, len(values), [packed(valid), pa.py_buffer(np.ascontiguousarray(values))])


def named_array(codes: Any, names: tuple[str | None, ...]) -> Any:
    """The names of codes, as strings; ``None`` becomes null."""
    return pa.array(names, pa.string()).take(pa.array(np.ascontiguousarray(codes)))
