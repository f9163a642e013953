"""Text for messages: the nearest known name for an unknown one, or all known names; and lists of names."""

import difflib
from collections.abc import Iterable

_SHOWN = 30
_CUTOFF = 0.55


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` probably misspells, ignoring case; ``None`` if none is similar.

    >>> nearest("Finewep", ["c4", "fineweb", "fineweb-edu"])
    'fineweb'
    """
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=_CUTOFF)
    return by_lower[near[0]] if near else None


def hint(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a question; if none is similar, the known names.

    >>> hint("chunks", ["chunk", "document"])
    "did you mean 'chunk'?"
    >>> hint("metrics", ["chunk", "document"])
    'known: chunk, document'
    """
    names = list(known)
    near = nearest(name, names)
    if near is not None:
        return f"did you mean {near!r}?"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"known: {', '.join(names[:_SHOWN]) or 'none'}{more}"


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The reason for refusing ``name``.

    >>> unknown("format", "jsn", ["json", "parquet"])
    "unknown format 'jsn' (did you mean 'json'?)"
    """
    return f"unknown {what} {name!r} ({hint(name, known)})"


def either(names: Iterable[object]) -> str:
    """The names as a choice.

    >>> either((17, 21)), either(["3.5", "4.0", "4.1"])
    ('17 or 21', '3.5, 4.0 or 4.1')
    """
    *others, last = map(str, names)
    return f"{', '.join(others)} or {last}" if others else last
