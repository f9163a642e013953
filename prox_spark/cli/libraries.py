"""Verbs that show what ships with the package: ``presets`` and ``questions``."""

from typing import Annotated

import typer

from prox_spark.cli.options import OutputOption
from prox_spark.cli.output import write_json, write_table
from prox_spark.config.load import PRESETS
from prox_spark.library import Library
from prox_spark.versions.questions import QUESTIONS


def presets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this one, to start a file from.")] = None,
    output: OutputOption = "text",
) -> None:
    """List the configurations that `--config NAME` takes, or print one."""
    if name is not None:
        _print(PRESETS, name, output)
        return
    found = [
        {"name": one, "verb": PRESETS.group(one) or "refine", "about": PRESETS.about(one)} for one in PRESETS.names()
    ]
    _list(found, output)


def questions(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this one.")] = None,
    output: OutputOption = "text",
) -> None:
    """List the queries that `sql --question NAME` runs, or print one."""
    if name is not None:
        _print(QUESTIONS, name, output)
        return
    _list([{"name": one, "about": QUESTIONS.about(one)} for one in QUESTIONS.names()], output)


def _print(library: Library, name: str, output: str) -> None:
    text = library.read(name)
    if output == "json":
        write_json({"name": name, "text": text})
    else:
        typer.echo(text, nl=False)


def _list(found: list[dict[str, str]], output: str) -> None:
    if output == "json":
        write_json(found)
    else:
        write_table(list(found[0]), (list(row.values()) for row in found))
