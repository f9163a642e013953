"""A graph of operators as onnxruntime reads it: ONNX, a protobuf, of which this writes the few messages that are needed.

The package ``onnx`` would do the same, for 30 MB on every executor and a version of protobuf that other packages must share.
Field numbers are those of ``onnx.proto`` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

_IR_VERSION = 9
_OPSETS = {"": 18, "com.microsoft": 1}
"""Operators of ONNX 1.13, and onnxruntime's own: both are in every onnxruntime since 1.14."""

_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int64": 7, "bool": 9}
_VARINT, _BYTES, _FLOAT = 0, 2, 5
"""How protobuf writes a field."""


class Graph:
    """A graph in the making: every method gives the name of a value that later operators read."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: dict[str, bytes] = {}
        self._count = 0

    def constant(self, value: Any) -> str:
        """A value that is the same in every run."""
        array = np.asarray(value, order="C")
        name = self._name("constant")
        dims = b"".join(_integer(1, size) for size in array.shape)
        kind = _integer(2, _TYPES[array.dtype.name])
        self._constants[name] = dims + kind + _text(8, name) + _field(9, array.tobytes())
        return name

    def integers(self, *values: int) -> str:
        """A constant vector of shapes, axes or places."""
        return self.constant(np.array(values, dtype=np.int64))

    def add(self, operator: str, *inputs: str, ours: bool = False, **attributes: float) -> str:
        """The only (or first) value of an operator of ONNX, or of ``ours``: onnxruntime's own. An empty input is left out."""
        return self.add_many(operator, *inputs, ours=ours, values=1, **attributes)[0]

    def add_many(self, operator: str, *inputs: str, values: int, ours: bool = False, **attributes: float) -> list[str]:
        """The first ``values`` values of an operator."""
        outputs = [self._name(operator) for _ in range(values)]
        node = b"".join(_text(1, name) for name in inputs) + b"".join(_text(2, name) for name in outputs)
        node += _text(4, operator) + b"".join(_field(5, _attribute(*each)) for each in attributes.items())
        self._nodes.append(node + (_text(7, "com.microsoft") if ours else b""))
        return outputs

    def serialise(self, inputs: Sequence[str], output: str) -> bytes:
        """The model: ``inputs`` are vectors of integers (int64), ``output`` is a value of single precision."""
        # The output has a name of its own, as inputs have.
        self._nodes.append(_text(1, output) + _text(2, "output") + _text(4, "Identity"))
        graph = b"".join(_field(1, node) for node in self._nodes) + _text(2, "graph")
        graph += b"".join(_field(5, constant) for constant in self._constants.values())
        graph += b"".join(_field(11, _value(name, "int64")) for name in inputs)
        graph += _field(12, _value("output", "float32"))
        opsets = b"".join(_field(8, _text(1, name) + _integer(2, number)) for name, number in _OPSETS.items())
        return _integer(1, _IR_VERSION) + _field(7, graph) + opsets

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind} {self._count}"


def _value(name: str, kind: str) -> bytes:
    """An input or output; an input is a vector of any length."""
    shape = _field(2, _field(1, _text(2, f"length of {name}"))) if kind == "int64" else b""
    return _text(1, name) + _field(2, _field(1, _integer(1, _TYPES[kind]) + shape))


def _attribute(name: str, value: float) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, 2)
    return _text(1, name) + _key(2, _FLOAT) + struct.pack("<f", value) + _integer(20, 1)


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _field(number: int, content: bytes) -> bytes:
    return _key(number, _BYTES) + _varint(len(content)) + content


def _integer(number: int, value: int) -> bytes:
    # Negative numbers are written as 64 bits.
    return _key(number, _VARINT) + _varint(value % (1 << 64))


def _key(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
