"""The JSON object in a model's answer, however the model wrapped and wrote it.

The standard library's parser reads the object. Only unambiguous faults are repaired: thoughts and drafts before the object, a
fence or another object around it, line feeds, tabs and unknown escapes in strings, commas before a closing bracket, comments,
names without quotes, other quotes, quotes within strings, Python's ``True`` and ``None``, an object that is encoded as a JSON
string. Nothing is guessed: an object that is cut off is not read.
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
_IGNORED = r"(?:\s|//[^\n]*|\#[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?+)*+"
"""Blanks and comments."""


def _parts(inside: str) -> re.Pattern[str]:
    """What is rewritten to JSON; ``inside`` follows a quote that does not end its string."""
    double, single = (rf"{quote}(?:[^{quote}\\]|\\.|{quote}{inside})*+{quote}?" for quote in "\"'")
    return re.compile(
        rf"(?P<string>{double}|{single}|[“„][^“”„]*+[“”])|(?P<comma>,(?={_IGNORED}[}}\]]))|(?P<name>\b[A-Za-z_]\w*+(?=\s*:))"
        r"|(?P<word>\b(?:True|False|None|undefined)\b)|(?P<ignored>//[^\n]*|\#[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?+"
        r"|[^\S \t\n\r]|[\u200b\ufeff])",
        re.DOTALL,
    )


_STRICT, _LOOSE = _parts("(?!)"), _parts(r"(?!\s*[,:}\]])")
"""By the second, only a quote before punctuation ends a string."""
_WORDS = {"True": "true", "False": "false", "None": "null", "undefined": "null"}
_ESCAPE = re.compile(r'\\(u[0-9a-fA-F]{4}|.)|"', re.DOTALL)
_BEGINNING = re.compile(
    rf"""\{{{_IGNORED}(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|[“„][^“”„]*+[“”]|\w++)\s*:""", re.DOTALL
)
"""An object up to its first value; what else begins with a brace is text of the answer."""
_ESCAPED = re.compile(r'\{(?:\\[nrt]|\s)*+\\"')
_DEEPEST = 3
"""Objects and lists around the object that is meant."""
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
    meant = re.compile(rf"""(?:["'“]|\b)(?:{"|".join(map(re.escape, names))})["'”]?(?:\s*:|\Z)""", re.IGNORECASE)
    # A page, and so its answer, may tell of such tags itself.
    said = answer if isinstance(_loads(_bare(answer)), dict) else _THOUGHTS.sub("", answer)
    for value, text in _values(said):
        inner = _with_names(value, names)
        # What cannot be read, or holds several, was meant as the answer, too: an earlier draft does not count.
        if inner is not None or meant.search(text):
            found = inner
    return found


def _with_names(value: Any, names: Collection[str], depth: int = 0) -> Mapping[str, Any] | None:
    """The object with one of the names: the value, or the only one within it; names are compared in lower case."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _loads(value)
    if not isinstance(value, dict | list) or depth > _DEEPEST:
        return None
    if isinstance(value, dict):
        known = {name.strip().lower(): part for name, part in value.items()}
        if any(name in known for name in names):
            return known
    parts = value.values() if isinstance(value, dict) else value
    found = [inner for part in parts if (inner := _with_names(part, names, depth + 1)) is not None]
    return found[0] if len(found) == 1 else None


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
        yield value, said[start:position]


def _bare(said: str) -> str:
    """The answer without a fence around it."""
    return said.strip().strip("`").removeprefix("json").strip()


def _mended(said: str, start: int) -> tuple[Any, int]:
    """The object that begins here, and its end; if it cannot be read, ``None`` and the position to search from."""
    if _ESCAPED.match(said, start):
        # A string's content without its quotes.
        last = said.rfind("}") + 1
        value = _loads(f'"{said[start:last]}"')
        return (_loads(value) if isinstance(value, str) else None), max(last, start + 1)
    if not _BEGINNING.match(said, start):
        return None, start + 1
    end = _closing(said, start)
    if end is None:
        return None, len(said)
    for parts in (_STRICT, _LOOSE):
        value = _loads(parts.sub(_rewritten, said[start:end]))
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


def _rewritten(part: re.Match[str]) -> str:
    """A part of an object as JSON writes it."""
    text = part[0]
    if part["string"]:
        return f'"{_ESCAPE.sub(_escaped, text[1:-1])}"'
    if part["name"]:
        return f'"{text}"'
    return _WORDS.get(text, " ")


def _escaped(found: re.Match[str]) -> str:
    """A quote or an escape in a string; one that JSON does not have is a backslash, but for a single quote."""
    following = found[1]
    if following is None:
        return '\\"'
    if following == "'":
        return following
    return found[0] if len(following) > 1 or following in '"\\/bfnrt' else f"\\\\{following}"
