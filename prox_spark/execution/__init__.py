"""Executing programs: for one document (``execute``) and for Arrow arrays of them (``execute_batch``).

>>> from prox_spark.execution import execute
>>> execute("Home | Login\\nThe page's own text.", "remove_lines(start=0, end=0)").text
"The page's own text."

The compiled kernels, and numba with them, are imported with ``execute_batch`` and not before.
"""

from typing import TYPE_CHECKING, Any

from prox_spark.execution.document import DroppedLine
from prox_spark.execution.result import DROPPED_LINES, OUTCOME, BatchResult, Counts, Result
from prox_spark.execution.scalar import execute
from prox_spark.execution.settings import SEMANTICS, ExecutionSettings, Mode
from prox_spark.execution.strict import ChunkProgram

if TYPE_CHECKING:
    from prox_spark.execution.batch import execute_batch

__all__ = [
    "DROPPED_LINES",
    "OUTCOME",
    "SEMANTICS",
    "BatchResult",
    "ChunkProgram",
    "Counts",
    "DroppedLine",
    "ExecutionSettings",
    "Mode",
    "Result",
    "execute",
    "execute_batch",
]


def __getattr__(name: str) -> Any:
    if name == "execute_batch":
        from prox_spark.execution.batch import execute_batch

        return execute_batch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
