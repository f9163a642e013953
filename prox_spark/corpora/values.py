"""Arrow columns as Python values, the same for Parquet files and Spark tables."""

import json
import math
from datetime import date, time
from typing import Any

import pyarrow as pa

from prox_spark.corpora.columns import is_text

# Errors of Arrow, and of converting its values to Python's, for data that is damaged or that Python cannot represent.
UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError, NotImplementedError)
"""Errors of a column that cannot be read or shown. Arrow's out-of-memory error is one, too: catch ``MemoryError`` first."""


def utf8_values(column: Any) -> tuple[list[bytes | None], bool]:
    """The bytes of a column of strings, and whether all are valid UTF-8 (Parquet requires it, but nothing checks it)."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    data = column.cast(pa.large_binary())
    try:
        data.cast(pa.large_string())
    except pa.ArrowInvalid:
        return data.to_pylist(), False
    return data.to_pylist(), True


def string_values(column: Any, rows: int) -> list[str | None]:
    """A column for the metadata: strings (with U+FFFD for invalid UTF-8), numbers and others as JSON."""
    if column is None:
        return [None] * rows
    if is_text(column.type):
        return [None if one is None else one.decode("utf-8", "replace") for one in utf8_values(column)[0]]
    return [None if one is None else _plain(one) for one in column.to_pylist()]


def id_values(column: Any, rows: int) -> list[str | None]:
    """A column of ids, equal to those from the same values in JSON lines. NaN is not an id, and bytes that are not UTF-8 are
    written in hexadecimal, so that different ids stay different. Raises ``UNREADABLE`` errors."""
    if column is None:
        return [None] * rows
    if is_text(column.type):
        return [None if one is None else _text_or_hex(one) for one in utf8_values(column)[0]]
    return [_id(one) for one in column.to_pylist()]


def _id(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=_plain, separators=(",", ":"))
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode() if value.isascii() and value.decode().isprintable() else value.hex()
    if isinstance(value, bool | int | float | list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return str(value.isoformat() if isinstance(value, date | time) else value)


def _text_or_hex(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.hex()
