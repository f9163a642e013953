"""Bytes in compiled code: the primitives that all kernels use.

They call libc's ``memchr``, ``memmem``, ``memcmp`` and ``memcpy``, which are many times faster than loops compiled by Numba.
Kernels never keep an address beyond one statement: the array that owns it could be freed in between.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from prox_spark.programs.compiled import inner

Bytes = npt.NDArray[Any]
Integers = npt.NDArray[Any]
Floats = npt.NDArray[Any]
"""Arrays of uint8, int64 and float32. Compiled code does not distinguish their elements from Python's numbers."""


class Texts(NamedTuple):
    """Many texts as bytes: text ``i`` is ``data[starts[i]:ends[i]]``; ``valid[i]`` (uint8) is 0 if it is null."""

    data: Bytes
    starts: Integers
    ends: Integers
    valid: Bytes


_memchr: Any = types.ExternalFunction("memchr", types.intp(types.intp, types.int32, types.uintp))
_memmem: Any = types.ExternalFunction("memmem", types.intp(types.intp, types.uintp, types.intp, types.uintp))
_memcmp: Any = types.ExternalFunction("memcmp", types.int32(types.intp, types.intp, types.uintp))
_memcpy: Any = types.ExternalFunction("memcpy", types.intp(types.intp, types.intp, types.uintp))


def _address(typing_context: Any, array: Any) -> Any:
    """Address of an array's first element, without touching its reference count as ``array.ctypes.data`` would."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), generate


address: Any = intrinsic(_address)


@inner
def find_byte(data: Bytes, start: int, end: int, byte: int) -> int:
    """Position of the first ``byte`` in ``data[start:end]``; ``end`` if there is none."""
    if start >= end:
        return end
    base = address(data)
    found = _memchr(base + start, byte, end - start)
    return end if found == 0 else found - base


@inner
def find(data: Bytes, start: int, end: int, needle: Bytes, first: int, last: int) -> int:
    """Position of the first ``needle[first:last]`` in ``data[start:end]``; -1 if there is none."""
    if end - start < last - first:
        return -1
    base = address(data)
    found = _memmem(base + start, end - start, address(needle) + first, last - first)
    return -1 if found == 0 else found - base


@inner
def equal(one: Bytes, start: int, other: Bytes, at: int, length: int) -> bool:
    """Whether ``length`` bytes are the same in both."""
    return length == 0 or _memcmp(address(one) + start, address(other) + at, length) == 0


@inner
def copy(target: Bytes, at: int, source: Bytes, start: int, length: int) -> int:
    """Copy ``source[start:start + length]`` to ``target[at:]``, and return the position after it."""
    if length > 0:
        _memcpy(address(target) + at, address(source) + start, length)
    return at + length


@inner
def room(array: Any, used: int, needed: int) -> Any:
    """The array if it has room for ``needed`` rows after ``used``; else a copy of these, at least twice as long."""
    if used + needed <= array.shape[0]:
        return array
    larger = np.empty((max(2 * array.shape[0], used + needed),) + array.shape[1:], array.dtype)  # noqa: RUF005 -- numba
    larger[:used] = array[:used]
    return larger


_BLOCK = 1 << 20
"""Bytes per 32-bit partial count: together with unsigned positions, it lets the loop compile to vector instructions."""


@inner
def count_characters(data: Bytes, start: int, end: int) -> int:
    """Characters of UTF-8 text: the number of bytes that are not continuation bytes."""
    count = 0
    while start < end:
        stop = min(start + _BLOCK, end)
        part: Any = np.int32(0)
        for i in range(np.uint64(start), np.uint64(stop)):
            part = np.int32(part + np.int32((data[i] & 0xC0) != 0x80))
        count += part
        start = stop
    return count


@inner
def is_ascii(data: Bytes, start: int, end: int) -> bool:
    """Whether no byte has its highest bit set."""
    bits: Any = np.uint8(0)
    for i in range(np.uint64(start), np.uint64(end)):
        bits = np.uint8(bits | data[i])
    return bool(bits < 0x80)


def read_only(buffer: Any, length: int | None = None) -> Bytes:
    """An Arrow buffer's bytes, always as a read-only array, so that kernels are compiled for one type only."""
    array = np.zeros(0, np.uint8) if buffer is None or buffer.size == 0 else np.frombuffer(buffer, np.uint8)
    array = array if length is None else array[:length]
    array.flags.writeable = False
    return array


def side_by_side(texts: Sequence[str]) -> Texts:
    """The concatenated UTF-8 of the texts."""
    # A lone surrogate is not a character, but must not raise an error.
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    places = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    # One extra byte, because an empty array has no address for the kernels.
    data = np.frombuffer(b"".join([*parts, b"\0"]), np.uint8)
    return Texts(data, places[:-1], places[1:], np.ones(len(texts), np.uint8))
