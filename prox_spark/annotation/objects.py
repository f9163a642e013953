"""The JSON object in a model's answer, however the model wrapped and wrote it.

The standard library's parsers do the reading. What is mended has one meaning only: thoughts and drafts before the object, a
fence around it, line feeds and tabs in strings, commas before a closing bracket, single quotes, an object that is a JSON
string once more. Nothing is guessed: an object that is cut off stays unread.
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
"""Strings and brackets; by which quote has begun a string that does not end. All later quotes of its kind are such, too: they
are not looked for again, which would take quadratic time."""
_STRING_OR_COMMA = re.compile(r'("(?:[^"\\]|\\.)*+"?)|,(?=\s*[}\]])', re.DOTALL)
_STRING = re.compile(r"""'(?:[^'\\]|\\.)*+'?|"(?:[^"\\]|\\.)*+\"?""", re.DOTALL)
_OPENING = re.compile(r"[{\[]")
_THOUGHTS = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_JSON = json.JSONDecoder(strict=False)
_MOST_STARTS = 200
"""Brackets that begin nothing that can be read, at most: each may cost a look at the rest of the answer."""


def find_object(answer: str, names: Collection[str]) -> Mapping[str, Any] | None:
    """The last object in an answer with one of these ``names``; ``None`` where there is none, or where it cannot be read.

    >>> find_object("<think>{edu?}</think> {'edu': 3, 'format': 4,}", ("edu", "format"))
    {'edu': 3, 'format': 4}
    """
    found = None
    for value, text in _values(_THOUGHTS.sub("", answer)):
        if isinstance(value, Mapping):
            if any(name in value for name in names):
                found = value
        elif value is None and any(f"{quote}{name}" in text for name in names for quote in "\"'"):
            # It was meant as the answer: an earlier draft is none.
            found = None
    return found


def is_plain(answer: str) -> bool:
    """Whether an answer is one JSON object and nothing else."""
    try:
        return isinstance(json.loads(answer), dict)
    except (ValueError, RecursionError):
        return False


def _values(said: str) -> Iterator[tuple[Any, str]]:
    """What begins with a bracket, in order: its value and its text; ``None`` as the value where it cannot be read."""
    whole = _loads(said.strip().strip("`").removeprefix("json").strip())
    if isinstance(whole, str):
        # The object as a string, once more.
        said = whole
    position = starts = 0
    while opening := _OPENING.search(said, position):
        start = opening.start()
        try:
            value, position = _JSON.raw_decode(said, start)
        except (ValueError, RecursionError):
            starts += 1
            if starts > _MOST_STARTS:
                # Whatever comes last is not seen: nothing before it counts.
                yield None, said[start:]
                return
            value, position = _mended(said, start) if said[start] == "{" else (None, start + 1)
        yield (value[0] if isinstance(value, list) and len(value) == 1 else value), said[start:position]


def _mended(said: str, start: int) -> tuple[Any, int]:
    """The object that begins here, and where it ends; ``None``, and where to look on, if it cannot be read."""
    if said.startswith('{\\"', start):
        # A string's content without its quotes.
        last = said.rfind("}") + 1
        value = _loads(f'"{said[start:last]}"')
        return (_loads(value) if isinstance(value, str) else None), max(last, start + 1)
    end = _closing(said, start)
    if end is None:
        return None, len(said)
    text = said[start:end]
    without_commas = _STRING_OR_COMMA.sub(lambda found: found[1] or "", text)
    for value in (_loads(without_commas), _literal(text)):
        if isinstance(value, dict):
            return value, end
    return None, end


def _closing(said: str, start: int) -> int | None:
    """Behind the bracket that closes the one at ``start``, strings left out."""
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


def _literal(text: str) -> Any:
    """An object in single quotes, as Python writes it: its strings in double quotes are JSON."""
    return _loads(_STRING.sub(lambda found: _double_quoted(found[0]), text))


def _double_quoted(string: str) -> str:
    if string[0] == '"':
        return string
    return '"' + string[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
