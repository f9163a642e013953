"""Programming Every Example (ProX, arXiv 2409.17115) on Spark: data cleaning as programming, at corpus scale.

The public API is what ``__all__`` names. Each function is imported when it is first used: ``import prox_spark`` loads
neither Spark nor a model library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prox_spark.config.load import load_config
    from prox_spark.exporting.export import export
    from prox_spark.ingestion.ingest import ingest
    from prox_spark.pipeline import generate, refine
    from prox_spark.refinement.execute import execute
    from prox_spark.reporting.report import report
    from prox_spark.versions.compare import compare
    from prox_spark.versions.history import history

__version__ = "0.3.0"

__all__ = [
    "compare",
    "execute",
    "export",
    "generate",
    "history",
    "ingest",
    "load_config",
    "refine",
    "report",
]

_MODULES = {
    "compare": "prox_spark.versions.compare",
    "execute": "prox_spark.refinement.execute",
    "export": "prox_spark.exporting.export",
    "generate": "prox_spark.pipeline",
    "history": "prox_spark.versions.history",
    "ingest": "prox_spark.ingestion.ingest",
    "load_config": "prox_spark.config.load",
    "refine": "prox_spark.pipeline",
    "report": "prox_spark.reporting.report",
}
"""The module of each function; type checkers use the imports above."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
