"""The representation of programs, the same for all dialects, and its printers."""

from dataclasses import dataclass, field
from typing import Literal

from prox_spark.programs.operations import BY_NAME

Outcome = Literal["ok", "malformed", "truncated", "unknown", "prose"]
Dialect = Literal["paper", "released", "positional"]

OUTCOMES: tuple[Outcome, ...] = ("ok", "malformed", "truncated", "unknown", "prose")

MAX_LINE = 10**18
"""Line numbers saturate at this value, positive or negative: far beyond any document, and sums of two fit into 64 bits."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a program.

    ``operation`` is one of ``operations.NAMES``: ``unknown`` if the outcome is, and if a program breaks off in a name.
    ``line_start`` and ``line_end`` (both included) are set for ``remove_lines``; for ``remove_str`` and ``replace_str``
    both are the line, and for ``add_line`` the line before the new one, whose text is ``target``; ``index`` orders new lines at
    the same place. ``target`` is ``None`` if ``normalize`` has one argument (remove the string).
    Only a call with the outcome ``ok`` has arguments. ``start`` and ``end`` are its character offsets in the program's
    text; equality ignores them.

    What the operations do (scope and counting: ``docs/programs.md``): ``remove_lines`` removes the lines of a range;
    ``remove_all`` every line of the chunk; ``normalize`` replaces all non-overlapping occurrences of a string, left to
    right, within single lines of the chunk; ``remove_str`` and ``replace_str`` do so in one line; ``add_line`` inserts one;
    the keep functions do nothing; ``drop_doc`` drops the document.
    """

    operation: str
    line_start: int | None = None
    line_end: int | None = None
    source: str | None = None
    target: str | None = None
    outcome: Outcome = "ok"
    index: int | None = None
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Program:
    """The calls of a program, in the order they were written."""

    calls: tuple[Call, ...] = ()


def render(program: Program, dialect: Dialect = "paper") -> str:
    """Write the ``ok`` calls of a program in a dialect, one per line: ``parse(render(p)) == p`` if all calls are ok.

    ``paper`` has ``line_start=``, ``line_end=``, ``keep_chunk()``; ``released`` has ``start=``, ``end=``,
    ``untouch_doc()``, ``remove_lines(all=True)``, as the released models write; ``positional`` has no argument names.

    >>> render(Program((Call("remove_lines", 0, 2), Call("normalize", source="Read more"))), "released")
    'remove_lines(start=0, end=2)\\nnormalize(source_str="Read more")'
    """
    return "\n".join(_printed(call, dialect) for call in program.calls if call.outcome == "ok")


_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"})


def _quote(string: str | None) -> str:
    return '"' + (string or "").translate(_ESCAPES) + '"'


def _printed(call: Call, dialect: Dialect) -> str:
    operation, released = BY_NAME[call.operation], dialect == "released"
    if released and operation.flag is not None:
        function, name = operation.flag
        return f"{function}({name}=True)"
    arguments = []
    for argument in operation.arguments:
        value = getattr(call, argument.sets[0])
        if argument.optional and value is None:
            continue
        name = (released and argument.released) or argument.names[0]
        written = _quote(value) if argument.kind == "string" else str(value)
        arguments.append(written if dialect == "positional" else f"{name}={written}")
    return f"{operation.released if released else operation.function}({', '.join(arguments)})"
