"""The log of the command line: the options that every verb takes, and the output. ``jobs/*.py`` use it, too."""

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
    """Defines the options that ``Verbs`` adds to every verb."""


class Verbs(GroupedVerbs):
    """All verbs. Each accepts the log's options before or after its name."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        own = typer.main.get_command(_options).params
        for option in own:
            # ``asked`` reads them before parsing; here they are checked and shown by --help.
            option.expose_value = False
        for command in (self, *self.commands.values()):
            command.params = [*command.params, *own]


def asked(words: Sequence[str]) -> LogSettings:
    """The log options in these words of a command line, read before parsing, so that they also apply to parsing errors."""
    format_ = ""
    # Without words the second list is longer.
    for word, after in zip(words, [*words[1:], ""], strict=False):
        if word == _FORMAT:
            format_ = after
        elif word.startswith(f"{_FORMAT}="):
            format_ = word.removeprefix(f"{_FORMAT}=")
    quiet = sys.stderr.isatty() and _VERBOSE not in words
    return LogSettings("json" if format_ == "json" else "text", logging.WARNING if quiet else logging.INFO)


def logged(words: Sequence[str]) -> AbstractContextManager[None]:
    """Log to standard error with the options in these words during the block."""
    return written(asked(words))


def complain(reason: str, code: int) -> None:
    """Write the reason for this exit code in one line, after the tail of an engine's log, if any."""
    first, *rest = [clean(line.rstrip()) for line in reason.splitlines() if line.strip()] or ["no reason given"]
    settings = chosen()
    if settings is not None and settings.format == "json":
        _log.error("%s", first, extra={"exit_code": code, "details": rest})
        return
    sys.stderr.write("\n".join([*(f"  {line}" for line in rest), f"prox-spark: {first}"]) + "\n")
