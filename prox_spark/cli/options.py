"""Shared by all verbs: the application, option types, store and session, and the final output."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Annotated, Any, Literal

import typer

from prox_spark.cli import interrupts
from prox_spark.cli.logs import Verbs
from prox_spark.cli.output import write_facts, write_json, write_line
from prox_spark.config import Config, load_config
from prox_spark.errors import UsageError

app = typer.Typer(cls=Verbs, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

ConfigOption = Annotated[
    str | None, typer.Option("--config", help="A preset's name (see `presets`), or the path of a YAML file.")
]
StoreOption = Annotated[str | None, typer.Option("--store", help="Store path or schema (instead of --config).")]
OutputOption = Annotated[Literal["text", "json"], typer.Option("--output", help="text or json.")]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Retry failed requests first.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...", help="Overrides of configuration keys; strings as they are, other values in YAML."
    ),
]


def store_of(store: str | None, config: str | None, overrides: Sequence[str] | None) -> tuple[str, Config]:
    """Location and configuration for a verb that may be called with only a store."""
    if store is None and config is None and not overrides:
        raise UsageError("name the store with --store STORE or --config NAME")
    loaded = load_config(config, [*(overrides or ()), *([f"store={store}"] if store else [])])
    return loaded.store, loaded


opened: ContextVar[str | None] = ContextVar("opened", default=None)
"""The verb's store, for error messages; None before it is known."""


def session(config: Config):  # type: ignore[no-untyped-def]
    opened.set(config.store)
    return start(config.spark)


def start(settings: dict[str, str]):  # type: ignore[no-untyped-def]
    from prox_spark.session import get_session
    from prox_spark.spark_api import quiet_queries

    # Our error line contains the same message.
    quiet_queries()
    session = get_session(settings)
    interrupts.watch()
    return session


def tell(done: dict[str, Any], output: str) -> None:
    """Print the result of a writing verb: as JSON, or one fact per line."""
    if output == "json":
        write_json(done)
        return
    for name, value in done.items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                write_line(name)
                write_facts(part, indent="  ")
            else:
                write_line(f"{name}: {part}")
