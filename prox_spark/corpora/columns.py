"""The columns of a corpus: checks that they exist, and takes them out of records."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, Literal, cast

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from prox_spark.corpora.files import WatchedFile, find_delta_table, shown
from prox_spark.corpora.folders import folder_columns, mapped
from prox_spark.corpora.formats import Format, get_format
from prox_spark.corpora.streams import Damaged, decompressed, lines
from prox_spark.errors import InputError
from prox_spark.suggest import hint, nearest

_SAMPLE = 100
_FILES = 5
_NAMES, _NAME = 200, 30
"""Maximum characters of the names in a message: of all together (approximately), and of one."""

_USUAL = (
    "text",
    "content",
    "raw_content",
    "body",
    "article",
    "document",
    "page_content",
    "markdown",
    "passage",
    "story",
)
"""Usual names of the text column, the likeliest first."""

_LACKS = re.compile(
    r'no column (?P<wanted>.+) for (?P<ours>\w+); the (?P<what>record|file) has (?P<have>"?.*)', re.DOTALL
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def check_files(paths: Sequence[str], format_name: str, columns: Mapping[str, str] | None = None) -> None:
    """Raise ``InputError`` before any work if no file in a sample of ``paths`` has the requested columns.

    ``check_columns`` checks up to five files, spread over all; a single odd file goes to the quarantine later.
    Parquet files of a Delta table are refused: reading them as files would bring deleted rows back.
    """
    if get_format(format_name, columns).container == "parquet":
        folder = find_delta_table(paths)
        if folder is not None:
            raise InputError(
                f"{shown(folder)}: is a Delta table, whose files also hold deleted rows: set input.format=delta"
            )
    step = max(1, -(-len(paths) // _FILES))
    first: InputError | None = None
    for path in paths[::step]:
        try:
            check_columns(path, format_name, columns)
        except InputError as error:
            first = first or error
        else:
            return
    if first is not None:
        raise first


def check_columns(path: str, format_name: str, columns: Mapping[str, str] | None = None) -> None:
    """Raise ``InputError`` before any work if ``path`` cannot have the requested columns.

    Parquet: the schema lacks the text column or a column that the caller mapped, or the text is not a string. JSON lines: the
    text column, or one that the caller mapped, is in none of the first 100 readable records, or the file is of another
    format. A file that cannot be read passes: reading it quarantines it.
    """
    found = get_format(format_name, columns)
    if found.container not in _CHECKS:
        return
    found = replace(found, required=found.required - mapped(folder_columns(path), found).keys())
    with WatchedFile(path) as file:
        try:
            _CHECKS[found.container](file, found)
        except (InputError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 -- any error becomes a row of quarantine when the file is read
            file.raise_failure()


def _check_parquet(file: WatchedFile, found: Format) -> None:
    path = file.path
    schema = pq.ParquetFile(cast(IO[bytes], file)).schema_arrow
    for ours in sorted(found.required | {"text"}):
        names: tuple[str, ...] = getattr(found, ours)
        have = [name for name in names if name in schema.names or name.split(".")[0] in schema.names]
        if not have:
            raise _missing(path, ours, names, schema.names)
        if have[0] in schema.names and schema.names.count(have[0]) > 1:
            raise InputError(
                f"{shown(path)}: two columns are called {have[0]!r}: map input.columns.{ours} to another one"
            )
        if ours == "text" and have[0] in schema.names:
            kind = schema.field(have[0]).type
            # If all texts of a file are null, the column has the null type.
            if not is_text(kind) and not pa.types.is_null(kind):
                raise InputError(
                    f"{shown(path)}: column {have[0]!r} for text contains {kind}, not strings: map input.columns.text"
                )


def _check_json(file: WatchedFile, found: Format) -> None:
    path = file.path
    seen: set[str] = set()
    records = 0
    lacking = {"text", *found.required}
    try:
        for line in lines(decompressed(file)):
            try:
                record = orjson.loads(line or b"")
            except orjson.JSONDecodeError:
                continue
            if isinstance(record, dict):
                records += 1
                seen.update(record)
                lacking = {
                    ours for ours in lacking if not any(has_column(record, name) for name in getattr(found, ours))
                }
            if not lacking or records == _SAMPLE:
                break
    except Damaged as damage:
        if damage.error_class == "WrongFormat":
            raise InputError(f"{shown(path)}: {damage}") from damage
    file.raise_failure()
    if records:
        for ours in sorted(lacking):
            raise _missing(path, ours, getattr(found, ours), sorted(seen))


_CHECKS: dict[str, Callable[[WatchedFile, Format], None]] = {"parquet": _check_parquet, "json": _check_json}


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold texts: strings or bytes of any layout, dictionary-coded or JSON, too."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
    )
    return any(test(kind) for test in tests)


def has_column(record: dict[str, Any], name: str) -> bool:
    """Whether ``record`` has the column ``name``, or the field that a dotted name means."""
    if name in record:
        return True
    top, _, rest = name.partition(".")
    inner = record.get(top)
    return bool(rest) and isinstance(inner, dict) and has_column(inner, rest)


def take_column(record: dict[str, Any], names: tuple[str, ...]) -> tuple[bool, Any]:
    """Whether ``record`` has one of ``names``, and the first one's value. A column is removed from it, a field is not."""
    for name in names:
        if name in record:
            return True, record.pop(name)
        if "." in name and has_column(record, name):
            return True, _inner(record, name)
    return False, None


def _inner(record: dict[str, Any], name: str) -> Any:
    if name in record:
        return record[name]
    top, _, rest = name.partition(".")
    return _inner(record[top], rest)


@dataclass(frozen=True)
class Lacking:
    """A missing column of a record or a file: the ``wanted`` names for our column ``ours``, and the names it does have."""

    wanted: tuple[str, ...]
    ours: str
    what: Literal["record", "file"]
    have: tuple[str, ...]

    def message(self) -> str:
        """The message for the row of quarantine: as many names as fit, likely ones first; unprintable characters are replaced.

        >>> Lacking(("text",), "text", "record", ("URL", "content")).message()
        'no column text for text; the record has "content", "URL"'
        """
        names: list[str] = []
        size = 0
        for name in sorted(self.have, key=lambda name: (name.lower() not in _USUAL, name)):
            plain = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
            names.append(json.dumps(plain if len(plain) <= _NAME else f"{plain[: _NAME - 1]}…", ensure_ascii=False))
            size += len(names[-1]) + 2
            if size > _NAMES:
                break
        more = f" and {len(self.have) - len(names)} more" if len(names) < len(self.have) else ""
        have = (", ".join(names) or "none") + more
        return f"no column {' or '.join(self.wanted)} for {self.ours}; the {self.what} has {have}"

    @classmethod
    def of(cls, message: str) -> "Lacking | None":
        """Parses a ``message`` back, as far as it is complete; ``None`` for other messages."""
        found = _LACKS.fullmatch(message)
        if found is None:
            return None
        have = tuple(json.loads(name) for name in _QUOTED.findall(found["have"]))
        what: Any = found["what"]
        return cls(tuple(found["wanted"].split(" or ")), found["ours"], what, have)


def likely_column(ours: str, wanted: str, have: Iterable[str]) -> str | None:
    """The column in ``have`` that was probably meant; ``None`` if none is likely.

    >>> likely_column("text", "text", ["URL", "content"]), likely_column("doc_id", "key", ["keys", "b"])
    ('content', 'keys')
    """
    names = list(have)
    by_lower = {name.lower(): name for name in names}
    usual = [by_lower[name] for name in _USUAL if name in by_lower] if ours == "text" else []
    return usual[0] if usual else nearest(wanted, names)


def _missing(path: str, ours: str, theirs: tuple[str, ...], have: list[str]) -> InputError:
    wanted = " or ".join(map(repr, theirs))
    likely = likely_column(ours, theirs[0], have)
    advice = f"set input.columns.{ours}{f'={likely}' if likely else ''} or another input.format"
    return InputError(f"{shown(path)}: no column {wanted} for {ours} ({hint(theirs[0], have)}): {advice}")
