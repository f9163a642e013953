"""Programs: their representation, the dialects for reading and writing them, and grammars for constrained decoding.

>>> from prox_spark.programs import parse
>>> parse("remove_lines(start=3, end=5)").calls[0]
Call(operation='remove_lines', line_start=3, line_end=5, source=None, target=None, outcome='ok', index=None, start=0, end=28)

The compiled parser, and numba with it, is imported with ``parse_batch`` and not before.
"""

from typing import TYPE_CHECKING, Any

from prox_spark.programs.model import Call, Dialect, Outcome, Program, render
from prox_spark.programs.parser import parse

if TYPE_CHECKING:
    from prox_spark.programs.batch import parse_batch

__all__ = ["Call", "Dialect", "Outcome", "Program", "parse", "parse_batch", "render"]


def __getattr__(name: str) -> Any:
    if name == "parse_batch":
        from prox_spark.programs.batch import parse_batch

        return parse_batch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
