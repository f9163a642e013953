"""The JSON object in a model's answer, however the model wrapped and wrote it.

The standard library's parsers read the object. Only unambiguous faults are repaired: thoughts and drafts before the object,
a fence around it, line feeds and tabs in strings, commas before a closing bracket, single quotes and constants as Python
writes them, an object that is encoded as a JSON string. Nothing is guessed: an object that is cut off is not read.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_DOUBLE, _SINGLE, _BRACKETS = r'"(?:[^"\\]|\\.)*+("?)', r"'(?:[^'\\]|\\.)*+('?)", "[{}]"
_TOKENS = {
    lone: re.compile("|".join(parts), re.DOTALL)
    for lone, parts in {
        "": (_DOUBLE, _SINGLE, _BRACKETS),
        '"': (_SINGLE, _BRACKETS),
        "'": (_DOUBLE, _BRACKETS),
        "both": (_BRACKETS,),
    }.items()
}
"""Patterns of strings and brackets, by the kind of quote that opened an unterminated string. Later quotes of that kind are not
searched again, which would take quadratic time."""
_STRING_OR_SLIP = re.compile(r'("(?:[^"\\]|\\.)*+"?)|,(?=\s*[}\]])|\b(?:None|True|False)\b', re.DOTALL)
_AS_JSON = {",": "", "None": "null", "True": "true", "False": "false"}
_STRING = re.compile(r"""'(?:[^'\\]|\\.)*+'?|"(?:[^"\\]|\\.)*+\"?""", re.DOTALL)
_OPENING = re.compile(r"[{\[]")
_THOUGHTS = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_JSON = json.JSONDecoder(strict=False)
_MOST_STARTS = 200
"""Maximum number of brackets that do not start a readable object: each may cost a scan of the rest of the answer."""


def find_object(answer: str, names: Collection[str]) -> Mapping[str, Any] | None:
    """The last object in an answer with one of these ``names``; ``None`` if there is none, or where it cannot be read.

    >>> find_object("<think>{edu?}</think> {'edu': 3, 'format': 4,}", ("edu", "format"))
    {'edu': 3, 'format': 4}
    """
    found = None
    # A page, and so its answer, may tell of such tags itself.
    said = answer if isinstance(_loads(_bare(answer)), dict) else _THOUGHTS.sub("", answer)
    for value, text in _values(said):
        if isinstance(value, Mapping):
            if any(name in value for name in names):
                found = value
        elif value is None and any(f"{quote}{name}" in text for name in names for quote in "\"'"):
            # This object was meant as the answer; an earlier draft does not count.
            found = None
    return found


def is_plain(answer: str) -> bool:
    """Whether an answer is one JSON object and nothing else."""
    try:
        return isinstance(json.loads(answer), dict)
    except (ValueError, RecursionError):
        return False


def _values(said: str) -> Iterator[tuple[Any, str]]:
    """Everything that begins with a bracket, in order: value and text; the value is ``None`` if it cannot be read."""
    whole = _loads(_bare(said))
    if isinstance(whole, str):
        # The object is encoded as a JSON string.
        said = whole
    position = starts = 0
    while opening := _OPENING.search(said, position):
        start = opening.start()
        try:
            value, position = _JSON.raw_decode(said, start)
        except (ValueError, RecursionError):
            starts += 1
            if starts > _MOST_STARTS:
                # The search stops before the last object, so no earlier one counts either.
                yield None, said[start:]
                return
            value, position = _mended(said, start) if said[start] == "{" else (None, start + 1)
        yield (value[0] if isinstance(value, list) and len(value) == 1 else value), said[start:position]


def _bare(said: str) -> str:
    """The answer without a fence around it."""
    return said.strip().strip("`").removeprefix("json").strip()


def _mended(said: str, start: int) -> tuple[Any, int]:
    """The object that begins here, and its end; if it cannot be read, ``None`` and the position to search from."""
    if said.startswith('{\\"', start):
        # A string's content without its quotes.
        last = said.rfind("}") + 1
        value = _loads(f'"{said[start:last]}"')
        return (_loads(value) if isinstance(value, str) else None), max(last, start + 1)
    end = _closing(said, start)
    if end is None:
        return None, len(said)
    text = said[start:end]
    for value in (_loads(_without_slips(text)), _loads(_without_slips(_double_quoted(text)))):
        if isinstance(value, dict):
            return value, end
    return None, end


def _closing(said: str, start: int) -> int | None:
    """The position after the bracket that closes the one at ``start``; brackets in strings are ignored."""
    depth, position, lone = 0, start, ""
    while found := _TOKENS[lone].search(said, position):
        position = found.end()
        if found.lastindex and not found[found.lastindex]:
            lone, position = ("both" if lone else found[0][0]), found.start() + 1
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0 and found[0] == "}":
            return position
    return None


def _loads(text: str) -> Any:
    try:
        return _JSON.decode(text)
    except (ValueError, RecursionError):
        return None


def _without_slips(text: str) -> str:
    """The text without commas before a closing bracket, and with JSON's names for Python's constants."""
    return _STRING_OR_SLIP.sub(lambda found: found[1] or _AS_JSON[found[0]], text)


def _double_quoted(text: str) -> str:
    """The text with double quotes around each string, as Python may write single ones."""
    return _STRING.sub(lambda found: _in_double_quotes(found[0]), text)


def _in_double_quotes(string: str) -> str:
    if string[0] == '"':
        return string
    return '"' + string[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
