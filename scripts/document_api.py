"""Write docs/api.md from the docstrings of the public functions: ``python scripts/document_api.py``."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prox_spark
from prox_spark import functions
from prox_spark.session import get_session

HEAD = """# Python functions

`prox_spark.NAME` is the public name of each function; [stability](stability.md) says how they may change. Most take a Spark
session: in a notebook `spark`, elsewhere what `get_session` returns. `scripts/document_api.py` generates this page from the
docstrings, whose examples run as tests.
"""
VERBS = ("load_config", "refine", "ingest", "generate", "execute", "history", "compare", "report", "export")
COLUMNS = """
## In your own Spark jobs

`prox_spark.functions` has the package's steps as functions of columns, to use with `select` and `withColumn`.
"""


def document() -> str:
    """The page as Markdown."""
    parts = [HEAD, _described("##", "prox_spark.session.get_session", get_session)]
    parts += [_described("##", f"prox_spark.{name}", getattr(prox_spark, name)) for name in VERBS]
    parts.append(COLUMNS)
    parts += [
        _described("###", f"prox_spark.functions.{name}", value)
        for name, value in inspect.getmembers(functions, inspect.isfunction)
        if value.__module__ == functions.__name__ and not name.startswith("_")
    ]
    return "\n".join(parts)


def _described(level: str, name: str, value: Callable[..., Any]) -> str:
    short = name.rpartition(".")[2]
    return f"{level} `{short}`\n\n```python\n{name}{_signature(value)}\n```\n\n{_text(inspect.getdoc(value) or '')}\n"


def _signature(value: Callable[..., Any]) -> str:
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", str(inspect.signature(value)))
    parts = re.split(r", (?=[a-z_*]+(?::|,|\)))", text[1:].rpartition(") ->")[0])
    answer = text.rpartition("-> ")[2]
    joined = ", ".join(parts)
    return f"({joined}) -> {answer}" if len(joined) < 90 else "(\n    " + ",\n    ".join(parts) + f",\n) -> {answer}"


def _text(docstring: str) -> str:
    """A docstring as Markdown: examples become code, and paragraphs about arguments become lists."""
    blocks = []
    for block in docstring.split("\n\n"):
        lines = block.splitlines()
        if lines and lines[0].startswith(">>> "):
            blocks.append("```python\n" + block + "\n```")
        else:
            listed = any(re.match(r"``\w+``: ", line) for line in lines)
            blocks.append("\n".join(_listed(lines) if listed else lines))
    return re.sub(r"(?<!`)``([^`]+)``(?!`)", r"`\1`", "\n\n".join(blocks))


def _listed(lines: list[str]) -> list[str]:
    """A paragraph with one or more lines per argument, as a list."""
    return [f"* {line}" if re.match(r"``\w+``: ", line) else f"  {line}" for line in lines]


if __name__ == "__main__":
    (Path(__file__).resolve().parents[1] / "docs" / "api.md").write_text(document(), encoding="utf-8")
