"""JSON lines: C4, RedPajama-V2, DCLM, Dolma and anything else with one object per line."""

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import Any

import orjson

from prox_spark.corpora.columns import Lacking, take_column
from prox_spark.corpora.files import WatchedFile
from prox_spark.corpora.formats import Format
from prox_spark.corpora.records import Record, unreadable, utf8_or_error, well_formed
from prox_spark.corpora.streams import HEAD, MAX_RECORD, NOT_TEXT, Damaged, decompressed, lines

_BOM = b"\xef\xbb\xbf"
# Byte order marks, and the first bytes of an object or array without one.
_WIDE = re.compile(rb"\xff\xfe|\xfe\xff|\0\0\xfe\xff|[{\[\s]\0|\0[{\[\s]\0|\0\0\0[{\[\s]\0")
_OBJECT = re.compile(rb"^[ \t\r\0\x1e\xef\xbb\xbf]*\{\s*[\"}]", re.MULTILINE)
_RECORD_SEPARATOR = b"\x1e"  # before each object of a JSON text sequence (RFC 7464)
_64_BITS = (-(1 << 63), (1 << 64) - 1)
# A number, as orjson writes it, that a float may not represent exactly: more than 15 digits, or a large exponent.
_LONG_NUMBER = re.compile(r"[0-9](?:[0-9.]{15,}(?:e-?[0-9]+)?|e-?[0-9]+)")
_SHORT_FLOAT = re.compile(r"[0-9]+\.[0-9]+")
_LONG_NUMBER_OF_LINE = re.compile(_LONG_NUMBER.pattern.encode())
_ARRAY = "a JSON array over several lines: write one object a line (jq -c '.[]')"
_SEVERAL = "several JSON objects on one line: write each on its own line (jq -c .)"
_PRETTY = "JSON objects over several lines: write each on one line (jq -c .)"


class _Digits:
    """A number that neither a float nor a 64-bit integer represents exactly, as it was written."""

    __slots__ = ("digits",)

    def __init__(self, digits: str) -> None:
        self.digits = digits


def read_json_lines(file: WatchedFile, found: Format) -> Iterator[Record]:
    """The records of a file of JSON lines; ``position`` is the index of the line. Blank lines are passed over."""
    following = 0
    try:
        pieces = decompressed(file)
        head = next(pieces, b"")
        wrong = _not_json_lines(head)
        if wrong is not None:
            yield wrong
            return
        for line in lines(chain((head,), pieces)):
            position, following = following, following + 1
            if line is None:
                yield unreadable(position, "TooLarge", f"a line is longer than {MAX_RECORD} bytes")
                continue
            # In concatenated files, each part can have a byte order mark, even an empty one.
            while line.startswith((_BOM, _RECORD_SEPARATOR)):
                line = line.removeprefix(_BOM).removeprefix(_RECORD_SEPARATOR)
            if not line or line.isspace():
                continue
            yield _read_line(position, line, found)
    except Damaged as damage:
        if damage.rest and not damage.rest.isspace():
            record = _read_line(following, damage.rest.removeprefix(_BOM), found)
            if record.error_class is None:  # only its line end is missing
                yield record
                following += 1
        whole = damage.error_class in ("Unsupported", "WrongFormat")
        yield unreadable(None if whole else following, damage.error_class, str(damage))


def _not_json_lines(head: bytes) -> Record | None:
    """The row for a file that is not JSON lines, by its first bytes; else ``None``."""
    if _WIDE.match(head):
        return unreadable(None, "NotUtf8", "the file is UTF-16 or UTF-32: convert it to UTF-8")
    # Zeros can stand before text: a file system fills holes with them.
    if NOT_TEXT.search(head.lstrip(b"\0")[:HEAD]) and b"\n" in head and not _OBJECT.search(head):
        return unreadable(None, "NotJsonLines", "the file is neither text nor compressed in a known way")
    layout = _layout(head)
    return None if layout is None else unreadable(None, "NotJsonLines", layout)


def _layout(head: bytes) -> str | None:
    """The message for a file that is not JSON lines because one value spans several lines; else ``None``."""
    text = head.removeprefix(_BOM).lstrip()
    first, newline, rest = text.partition(b"\n")
    if not text.startswith((b"{", b"[")) or not newline:
        return None
    is_array = first.startswith(b"[")
    try:
        orjson.loads(first)
    except orjson.JSONDecodeError:
        pass
    else:
        return None
    # No JSON value has two whole objects on successive lines without a comma: only the first line is broken.
    if _has_two_lines(rest):
        return None
    if first.rstrip() in (b"{", b"[", b"[{"):
        return _ARRAY if is_array else _PRETTY
    # The head may end inside the array, so check its first element. A broken first line of JSON lines does not parse like that.
    start = text[1:].lstrip() if is_array else text
    try:
        _, end = json.JSONDecoder().raw_decode(start.decode("utf-8", "ignore"))
    except (ValueError, RecursionError):
        return None
    if is_array:
        return _ARRAY
    return _PRETTY if end > len(first.decode("utf-8", "ignore")) else None


def _has_two_lines(data: bytes) -> bool:
    """Whether two successive lines each have a whole object."""
    before = False
    for line in data.split(b"\n"):
        text = line.strip()
        here = text.startswith(b"{") and text.endswith(b"}") and _is_json(text)
        if here and before:
            return True
        before = here
    return False


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _read_line(position: int, line: bytes, found: Format) -> Record:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as refused:
        return _read_odd_line(position, line, found, refused)
    record = record_of(position, value, found, line)
    if record is None:
        try:
            record = _exact_record(position, line, found)
        except RecursionError:  # Python's parser allows fewer levels than orjson: the page matters more than a digit
            record = _checked(record_of(position, orjson.loads(line), found))
    return record


def _checked(record: Record | None) -> Record:
    assert record is not None, "only a comparison with the line gives no record"
    return record


def _exact_record(position: int, line: bytes, found: Format, *, odd: bool = False) -> Record:
    return _checked(record_of(position, _exactly(line.decode()), found, odd=odd))


def _read_odd_line(position: int, line: bytes, found: Format, refused: orjson.JSONDecodeError) -> Record:
    """A line that orjson refuses: not JSON, or JSON as Python and others write it (NaN, escapes of lone surrogates)."""
    wrong = utf8_or_error(position, line)
    if wrong is not None:
        return wrong
    try:
        return _exact_record(position, line, found, odd=True)
    except RecursionError:
        return unreadable(position, "MalformedJson", "nested too deeply")
    except ValueError:
        # orjson gives the position and never quotes the line.
        return unreadable(position, "MalformedJson", _SEVERAL if _has_several(line) else str(refused))


def _has_several(line: bytes) -> bool:
    """Whether further objects follow the first one on a line."""
    text = line.decode().strip()
    try:
        _, end = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return text[end:].lstrip().startswith("{")


def _exactly(line: str) -> Any:
    """The value of a line, with ``_Digits`` for numbers that floats and 64-bit integers do not represent exactly."""
    # Accept literal control characters inside strings instead of losing the page.
    return json.loads(line, strict=False, parse_float=_float, parse_int=_integer)


def _float(digits: str) -> Any:
    value = float(digits)
    if math.isinf(value):
        return _Digits(digits)
    try:
        return value if repr(value) == digits or Decimal(repr(value)) == Decimal(digits) else _Digits(digits)
    except ArithmeticError:  # an exponent that is too large for Decimal
        return _Digits(digits)


def _integer(digits: str) -> Any:
    if len(digits) > 20:
        return _Digits(digits)
    value = int(digits)
    return value if _64_BITS[0] <= value <= _64_BITS[1] else _Digits(digits)


def record_of(
    position: int, value: Any, found: Format, line: bytes | None = None, *, odd: bool = False
) -> Record | None:
    """The record of one parsed object; ``None`` if a number's digits differ from those in ``line``.

    ``odd`` values may contain NaN and lone surrogates.
    """
    if not isinstance(value, dict):
        kind = "array" if isinstance(value, list) else type(value).__name__
        return unreadable(position, "NotAnObject", f"a JSON {kind}, not an object")
    has_text, text = take_column(value, found.text)
    lacking = None if has_text else Lacking(found.text, "text", "record", tuple(value)).message()
    has_id, doc_id = take_column(value, found.doc_id)
    _, url = take_column(value, found.url)
    _, source = take_column(value, found.source)
    known_id = _id(doc_id)
    numbers = _Numbers(line) if line is not None else None
    if numbers is not None and numbers.lack(doc_id):
        return None
    if odd and known_id is not None and known_id != well_formed(known_id):
        return unreadable(position, "LoneSurrogate", "a lone surrogate in the id")
    if lacking is not None:
        return unreadable(position, "MissingColumn", lacking, known_id)
    if text is None:
        return unreadable(position, "NullText", "the text is null", known_id)
    if not isinstance(text, str):
        kind = "number" if isinstance(text, _Digits) else type(text).__name__
        return unreadable(position, "WrongType", f"the text is a JSON {kind}", known_id)
    if not has_id and "doc_id" in found.required:
        lacking = Lacking(found.doc_id, "doc_id", "record", tuple(value)).message()
        return unreadable(position, "MissingColumn", lacking)
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        message = f"a lone surrogate at character {error.start} of {len(text)}"
        return unreadable(position, "LoneSurrogate", message, known_id)
    url, source = _plain(url, odd), _plain(source, odd)
    metadata: dict[str, str] = {}
    for key, one in value.items():
        if type(one) is str and not odd:
            metadata[key] = one
            continue
        shown = _plain(one, odd)
        if shown is not None:
            if numbers is not None and numbers.lack(one, shown):
                return None
            metadata[well_formed(key) if odd else key] = shown
    return Record(position, data, known_id, source, url, metadata)


class _Numbers:
    """The numbers of a line that a float may not represent exactly, as written: found once, and only if needed."""

    __slots__ = ("floats", "found", "has_run", "line")

    def __init__(self, line: bytes) -> None:
        self.line = line
        # A number with more digits than a float can store, if shown with up to 12 digits, has a run of zeros or nines.
        self.has_run: bool | None = None
        self.found: frozenset[bytes] | None = None
        self.floats: frozenset[float] = frozenset()

    def lack(self, value: Any, shown: str | None = None) -> bool:
        """Whether a number in ``value``, shown as ``_plain`` does, is not in the line with the same digits."""
        if type(value) not in (float, list, dict):
            return False
        shown = shown if shown is not None else _plain(value, odd=False) or ""
        numbers, short = _LONG_NUMBER.findall(shown), _SHORT_FLOAT.findall(shown)
        if short and self.has_run is None:
            self.has_run = b"0000" in self.line or b"9999" in self.line
        rounded = bool(short) and (len(max(short, key=len)) > 13 or bool(self.has_run))
        if not (numbers or rounded):
            return False
        if self.found is None:
            self.found = frozenset(_LONG_NUMBER_OF_LINE.findall(self.line))
            self.floats = frozenset(map(_as_float, self.found))
        if any(number.encode() not in self.found for number in numbers):
            return True
        return rounded and any(float(number) in self.floats for number in short if number.encode() not in self.found)


def _as_float(digits: bytes) -> float:
    try:
        return float(digits)
    except ValueError:  # not a number: a date or an address of digits and dots
        return math.nan


def _id(value: Any) -> str | None:
    """An id, equal to the one from the same value in Parquet: strings unchanged, numbers by their digits, others as JSON.

    Empty strings, null, NaN and infinities are not valid ids.
    """
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _plain(value, odd=False)


def _plain(value: Any, odd: bool) -> str | None:
    """A value for the metadata: strings unchanged, ``None`` for null or very deep nesting, others as JSON."""
    if value is None:
        return None
    if isinstance(value, str):
        return well_formed(value) if odd else value
    if isinstance(value, _Digits):
        return value.digits
    if not odd:
        try:
            return orjson.dumps(value, default=_as_they_are).decode()
        except orjson.JSONEncodeError:  # orjson writes only 254 levels, but reads 1,024
            pass
    try:
        return well_formed(json.dumps(value, ensure_ascii=False, default=_as_json))
    except RecursionError:
        return None


def _as_they_are(value: Any) -> orjson.Fragment:
    if isinstance(value, _Digits):
        return orjson.Fragment(value.digits)
    raise TypeError


def _as_json(number: _Digits) -> int | str:
    """Digits for Python's JSON writer, which accepts neither fragments nor integers of more than 4,300 digits."""
    digits = number.digits
    return int(digits) if digits.removeprefix("-").isdigit() and len(digits) < 4_300 else digits
