"""The log of the command line: options that every verb takes, and where its lines go. ``jobs/*.py`` come through here, too."""

import logging
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Any, Literal

import typer

from prox_spark.cli.groups import GroupedVerbs
from prox_spark.logs import LogSettings, chosen, clean, written

_log = logging.getLogger(__name__)

_FORMAT, _VERBOSE = "--log-format", "--verbose"

_options = typer.Typer(add_completion=False)


@_options.command()
def _log_options(
    log_format: Annotated[
        Literal["text", "json"],
        typer.Option(_FORMAT, help="Log format on standard error: text, or json (one object per line)."),
    ] = "text",
    verbose: Annotated[
        bool, typer.Option(_VERBOSE, help="Also show progress messages on a terminal (default: warnings only).")
    ] = False,
) -> None:
    """Only its options count: ``Verbs`` gives them to every verb."""


class Verbs(GroupedVerbs):
    """All verbs, each with the options of the log: before the verb or after it."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        own = typer.main.get_command(_options).params
        for option in own:
            # Read by ``asked`` before anything is parsed: here they are checked, and shown by --help.
            option.expose_value = False
        for command in (self, *self.commands.values()):
            command.params = [*command.params, *own]


def asked(words: Sequence[str]) -> LogSettings:
    """What these words of a command line ask of the log; read before they are parsed, so that a wrong word is logged so, too."""
    format_ = ""
    # With no words the second list is the longer one.
    for word, after in zip(words, [*words[1:], ""], strict=False):
        if word == _FORMAT:
            format_ = after
        elif word.startswith(f"{_FORMAT}="):
            format_ = word.removeprefix(f"{_FORMAT}=")
    quiet = sys.stderr.isatty() and _VERBOSE not in words
    return LogSettings("json" if format_ == "json" else "text", logging.WARNING if quiet else logging.INFO)


def logged(words: Sequence[str]) -> AbstractContextManager[None]:
    """The log on standard error, as these words ask, for the length of a block."""
    return written(asked(words))


def complain(reason: str, code: int) -> None:
    """Why a verb ends with this exit code: one line; what an engine said last comes before it."""
    first, *rest = [clean(line.rstrip()) for line in reason.splitlines() if line.strip()] or ["no reason given"]
    settings = chosen()
    if settings is not None and settings.format == "json":
        _log.error("%s", first, extra={"exit_code": code, "details": rest})
        return
    sys.stderr.write("\n".join([*(f"  {line}" for line in rest), f"prox-spark: {first}"]) + "\n")
