"""Advice for a run that read no document because all its records are in quarantine for the same reason."""

import shlex
from collections.abc import Mapping

from prox_spark.corpora.columns import Lacking, likely_column
from prox_spark.corpora.formats import FORMATS

_OTHER_TEXT = "map another column with input.columns.text"
_AGAIN = "fetch or write the files again"
_FORMAT = "check input.format"
_IN_MESSAGE = ""
"""No advice: the message already has it, or nothing can be done."""

ADVICE: dict[str, str] = {
    "AmbiguousColumn": "map input.columns to other columns, or rename one of the two",
    "BrokenFile": _AGAIN,
    "DuplicateId": "the store has these documents already; if not, map another column with input.columns.doc_id",
    "Forgotten": _IN_MESSAGE,
    "LoneSurrogate": "mend what wrote the escapes",
    "MalformedHtml": "set another input.extract",
    "MalformedHttp": _FORMAT,
    "MalformedJson": _FORMAT,
    "MalformedWarc": _FORMAT,
    "MissingColumn": f"set input.columns, or {_FORMAT}",
    "NotAnObject": "write one JSON object on each line (jq -c '.[]')",
    "NotJsonLines": _IN_MESSAGE,
    "NotUtf8": f"convert the files to UTF-8 (iconv), or {_FORMAT}",
    "NullText": _OTHER_TEXT,
    "TooComplex": "set another input.extract",
    "TooLarge": "split the documents, or raise limits.max_bytes and limits.max_lines",
    "TruncatedFile": _AGAIN,
    "Unsupported": _IN_MESSAGE,
    "WrongFormat": _IN_MESSAGE,
    "WrongType": _OTHER_TEXT,
}
"""The advice for each error class."""


def advice(counts: Mapping[tuple[str, str], int], total: int, documents: int, format_name: str) -> str | None:
    """One line about a run without documents whose rows of quarantine all have the same error class; else ``None``.

    ``counts``: the run's rows of quarantine by error class and message, the most frequent ones of ``total``;
    ``documents``: the number of documents that the run found.

    >>> lacks = 'no column text for text; the record has "content", "id"'
    >>> advice({("MissingColumn", lacks): 2}, total=2, documents=0, format_name="json")
    'all 2 records lack `text`; the records have `content`: input.columns.text=content'
    >>> advice({("NotUtf8", "not UTF-8 at byte 1 of 2: invalid start byte"): 1}, total=1, documents=1, format_name="json") is None
    True
    """
    classes = {error_class for error_class, _ in counts}
    if documents or not total or len(classes) > 1:
        return None
    (error_class,) = classes
    lacking = [Lacking.of(message) for _, message in counts]
    found = [one for one in lacking if one is not None]
    if len(found) == len(lacking) and len({(one.wanted, one.ours, one.what) for one in found}) == 1:
        return _of_columns(found, total)
    message = max(counts, key=lambda key: counts[key])[1]
    rows = "the one row of quarantine is" if total == 1 else f"all {total:,} rows of quarantine are"
    example = "" if len(counts) == 1 else "for example "
    todo = ADVICE.get(error_class, _IN_MESSAGE)
    if "input.columns" in todo and not FORMATS[format_name].has_columns:
        todo = _IN_MESSAGE
    return f"no document was read: {rows} {error_class} ({example}{message})" + (f"; {todo}" if todo else "")


def _of_columns(found: list[Lacking], total: int) -> str:
    """All records lack the same column: suggest one that they have in common."""
    first = found[0]
    wanted = " or ".join(f"`{name}`" for name in first.wanted)
    common = [name for name in first.have if all(name in one.have for one in found)]
    likely = likely_column(first.ours, first.wanted[0], common)
    lack = f"the only {first.what} lacks" if total == 1 else f"all {total:,} {first.what}s lack"
    have = "it has" if total == 1 else f"the {first.what}s have"
    if likely is not None:
        return f"{lack} {wanted}; {have} `{likely}`: {shlex.quote(f'input.columns.{first.ours}={likely}')}"
    names = f"; {have} " + ", ".join(f"`{name}`" for name in common) if common else ""
    return f"{lack} {wanted}{names}: set input.columns.{first.ours}, or check input.format"
