"""The one representation of a program, whatever dialect it was written in, and its printers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["ok", "malformed", "truncated", "unknown"]
Dialect = Literal["paper", "released", "positional"]

OUTCOMES: tuple[Outcome, ...] = ("ok", "malformed", "truncated", "unknown")

OPERATIONS = (
    "unknown",
    "remove_lines",
    "remove_all",
    "normalize",
    "remove_str",
    "replace_str",
    "keep_chunk",
    "keep_doc",
    "drop_doc",
)
"""Names of the representation; a position in this tuple is the operation's code in the compiled kernels."""

SPELLINGS = {
    "remove_lines": "remove_lines",
    "remove_all": "remove_all",
    "normalize": "normalize",
    "remove_str": "remove_str",
    "replace_str": "replace_str",
    "keep_chunk": "keep_chunk",
    "untouch_doc": "keep_chunk",
    "keep_all": "keep_chunk",
    "keep_doc": "keep_doc",
    "drop_doc": "drop_doc",
}
"""Every function name that is read, and the operation it stands for.

``remove_lines``, ``normalize``, ``keep_chunk``, ``keep_doc`` and ``drop_doc`` are the functions of ProX
(arXiv 2409.17115, table 1); ``untouch_doc`` is what its released chunk refiners write. ``remove_str``, ``keep_all`` and
``remove_all`` follow the deletion programs of RefineX (arXiv 2507.03253); ``replace_str`` is this project's.
"""

MAX_LINE = 10**18
"""Line numbers saturate here, at either sign: far beyond any document, and sums of two still fit into 64 bits."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a program.

    ``operation`` is one of ``OPERATIONS``: ``unknown`` where the outcome is, and where a program breaks off in a name.
    ``line_start`` and ``line_end`` (both included) are set for ``remove_lines``; for ``remove_str`` and ``replace_str``
    both are the line. ``target`` is ``None`` where ``normalize`` has one argument (remove the string).
    Only a call with the outcome ``ok`` has arguments. ``start`` and ``end`` are its character offsets in the program's
    text; they take no part in equality.

    What the operations do (scope and counting: ``docs/programs.md``): ``remove_lines`` removes the lines of a range;
    ``remove_all`` every line of the chunk; ``normalize`` replaces all non-overlapping occurrences of a string, left to
    right, within single lines of the chunk; ``remove_str`` and ``replace_str`` do so in one line; the keep functions do
    nothing; ``drop_doc`` drops the document.
    """

    operation: str
    line_start: int | None = None
    line_end: int | None = None
    source: str | None = None
    target: str | None = None
    outcome: Outcome = "ok"
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Program:
    """The calls of a program, in the order they were written."""

    calls: tuple[Call, ...] = ()


def render(program: Program, dialect: Dialect = "paper") -> str:
    """Write the ``ok`` calls of a program in a dialect, one a line: ``parse(render(p)) == p`` where all calls are ok.

    ``paper`` has ``line_start=``, ``line_end=``, ``keep_chunk()``; ``released`` has ``start=``, ``end=``,
    ``untouch_doc()``, ``remove_lines(all=True)``, as the released models write; ``positional`` has no argument names.

    >>> render(Program((Call("remove_lines", 0, 2), Call("normalize", source="Read more"))), "released")
    'remove_lines(start=0, end=2)\\nnormalize(source_str="Read more")'
    """
    return "\n".join(_PRINTERS[call.operation](call, dialect) for call in program.calls if call.outcome == "ok")


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"})


def _quote(string: str | None) -> str:
    return '"' + (string or "").translate(_ESCAPES) + '"'


def _arguments(names: tuple[str, ...], values: tuple[str, ...], dialect: Dialect) -> str:
    if dialect == "positional":
        return ", ".join(values)
    return ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=False))


def _remove_lines(call: Call, dialect: Dialect) -> str:
    names = ("start", "end") if dialect == "released" else ("line_start", "line_end")
    return f"remove_lines({_arguments(names, (str(call.line_start), str(call.line_end)), dialect)})"


def _normalize(call: Call, dialect: Dialect) -> str:
    values = (_quote(call.source),) if call.target is None else (_quote(call.source), _quote(call.target))
    return f"normalize({_arguments(('source_str', 'target_str'), values, dialect)})"


def _remove_str(call: Call, dialect: Dialect) -> str:
    values = (str(call.line_start), _quote(call.source))
    return f"remove_str({_arguments(('line', 'source_str'), values, dialect)})"


def _replace_str(call: Call, dialect: Dialect) -> str:
    values = (str(call.line_start), _quote(call.source), _quote(call.target))
    return f"replace_str({_arguments(('line', 'source_str', 'target_str'), values, dialect)})"


_PRINTERS: dict[str, Callable[[Call, Dialect], str]] = {
    "remove_lines": _remove_lines,
    "normalize": _normalize,
    "remove_str": _remove_str,
    "replace_str": _replace_str,
    "remove_all": lambda call, dialect: "remove_lines(all=True)" if dialect == "released" else "remove_all()",
    "keep_chunk": lambda call, dialect: "untouch_doc()" if dialect == "released" else "keep_chunk()",
    "keep_doc": lambda call, dialect: "keep_doc()",
    "drop_doc": lambda call, dialect: "drop_doc()",
}
