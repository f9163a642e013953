"""JSON lines: C4, RedPajama-V2, DCLM, Dolma and anything else with one object a line."""

import json
from collections.abc import Iterator
from typing import Any

import orjson

from prox_spark.corpora.columns import take_column
from prox_spark.corpora.files import WatchedFile
from prox_spark.corpora.formats import Format
from prox_spark.corpora.records import Record, unreadable, utf8_or_error, well_formed
from prox_spark.corpora.streams import MAX_RECORD, Damaged, decompressed, lines

_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def read_json_lines(file: WatchedFile, found: Format) -> Iterator[Record]:
    """The records of a file of JSON lines; ``position`` is the index of the line. Blank lines are passed over."""
    following = 0
    try:
        for line in lines(decompressed(file)):
            position, following = following, following + 1
            if line is None:
                yield unreadable(position, "TooLarge", f"a line is longer than {MAX_RECORD} bytes")
                continue
            if position == 0:
                if line.startswith(_UTF16_BOMS):
                    yield unreadable(None, "NotUtf8", "the file is UTF-16: convert it to UTF-8")
                    return
                line = line.removeprefix(_BOM)
            if not line or line.isspace():
                continue
            yield _read_line(position, line, found)
    except Damaged as damage:
        if damage.rest and not damage.rest.isspace():
            record = _read_line(following, damage.rest.removeprefix(_BOM if following == 0 else b""), found)
            if record.error_class is None:  # it lost its line end only
                yield record
                following += 1
        yield unreadable(following, damage.error_class, str(damage))


def _read_line(position: int, line: bytes, found: Format) -> Record:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as refused:
        return _read_odd_line(position, line, found, refused)
    return record_of(position, value, found)


def _read_odd_line(position: int, line: bytes, found: Format, refused: orjson.JSONDecodeError) -> Record:
    """What orjson refuses: not JSON, or JSON as Python and others write it (NaN, escapes of lone surrogates)."""
    wrong = utf8_or_error(position, line)
    if wrong is not None:
        return wrong
    try:
        # Accept literal control characters inside strings instead of losing the page.
        value = json.loads(line.decode(), strict=False)
    except RecursionError:
        return unreadable(position, "MalformedJson", "nested too deeply")
    except ValueError:  # JSONDecodeError, and integers of more than 4,300 digits
        # orjson gives the position and never quotes the line.
        return unreadable(position, "MalformedJson", str(refused))
    return record_of(position, value, found, odd=True)


def record_of(position: int, value: Any, found: Format, *, odd: bool = False) -> Record:
    """The record of one parsed object. ``odd`` values may hold NaN and lone surrogates."""
    if not isinstance(value, dict):
        return unreadable(position, "NotAnObject", f"a JSON {type(value).__name__}, not an object")
    has_text, text = take_column(value, found.text)
    has_id, doc_id = take_column(value, found.doc_id)
    _, url = take_column(value, found.url)
    _, source = take_column(value, found.source)
    if isinstance(doc_id, int) and not isinstance(doc_id, bool):
        doc_id = str(doc_id)
    if odd and isinstance(doc_id, str) and doc_id != well_formed(doc_id):
        return unreadable(position, "LoneSurrogate", "a lone surrogate in the id")
    known_id = doc_id if isinstance(doc_id, str) and doc_id else None
    if not has_text:
        return unreadable(position, "MissingColumn", f"no column {' or '.join(found.text)} for text", known_id)
    if text is None:
        return unreadable(position, "NullText", "the text is null", known_id)
    if not isinstance(text, str):
        return unreadable(position, "WrongType", f"the text is a JSON {type(text).__name__}", known_id)
    if not has_id and "doc_id" in found.required:
        return unreadable(position, "MissingColumn", f"no column {found.doc_id[0]} for doc_id")
    if doc_id is not None and not isinstance(doc_id, str):
        return unreadable(position, "WrongType", f"the id is a JSON {type(doc_id).__name__}")
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        message = f"a lone surrogate at character {error.start} of {len(text)}"
        return unreadable(position, "LoneSurrogate", message, known_id)
    url, source = _plain(url, odd), _plain(source, odd)
    if odd:
        metadata = {well_formed(key): shown for key, one in value.items() if (shown := _plain(one, odd)) is not None}
    else:
        metadata = {
            key: shown
            for key, one in value.items()
            if (shown := one if type(one) is str else _plain(one, odd)) is not None
        }
    return Record(position, data, known_id, source, url, metadata)


def _plain(value: Any, odd: bool) -> str | None:
    """A value as metadata holds it: strings as they are, nothing for null or absurd nesting, others as JSON."""
    if value is None:
        return None
    if isinstance(value, str):
        return well_formed(value) if odd else value
    if not odd:
        try:
            return orjson.dumps(value).decode()
        except orjson.JSONEncodeError:  # it writes 254 levels, and reads 1,024
            pass
    try:
        return well_formed(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return None
