"""``execute``: one document."""

from collections.abc import Sequence
from typing import get_args

from prox_spark.errors import UsageError
from prox_spark.execution.compat import execute_compat
from prox_spark.execution.result import Result
from prox_spark.execution.settings import ExecutionSettings, Mode
from prox_spark.execution.strict import ChunkProgram, execute_strict

DEFAULTS = ExecutionSettings()


def check_mode(mode: str) -> None:
    """Raise ``UsageError`` for a mode that does not exist."""
    if mode not in get_args(Mode):
        raise UsageError(f"execution.mode is {mode!r}: it must be strict or compat")


def execute(
    text: str,
    program: str | Sequence[str | ChunkProgram],
    mode: Mode = "strict",
    *,
    settings: ExecutionSettings = DEFAULTS,
) -> Result:
    """Apply a program, or a list of them (one per chunk), to a document.

    ``strict``: the rules of ``docs/programs.md``; the scope of a string is the whole document, a ``ChunkProgram`` has the
    lines of its chunk. ``compat``: the published ProX executor, which takes programs joined by newlines; it reads only the
    output of a ``ChunkProgram``, and ``settings`` do not apply. Raises ``CompatError`` where that executor raises.

    >>> execute("Home | Login\\nThe page's own text.", "remove_lines(start=0, end=0)").text
    "The page's own text."
    """
    check_mode(mode)
    items = [program] if isinstance(program, str) else program
    chunks = [ChunkProgram(item) if isinstance(item, str) else item for item in items]
    if mode == "compat":
        return execute_compat(text, [chunk.output for chunk in chunks if chunk.output is not None])
    return execute_strict(text, chunks, settings)
