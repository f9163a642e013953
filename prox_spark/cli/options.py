"""What every verb shares: the application, the types of its options, store and session, what it tells at its end."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from prox_spark.cli.logs import Verbs
from prox_spark.cli.output import write_facts, write_json, write_line
from prox_spark.config import Config, load_config
from prox_spark.errors import UsageError

app = typer.Typer(cls=Verbs, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

ConfigOption = Annotated[
    str | None, typer.Option("--config", help="A preset's name (see `presets`), or the path of a YAML file.")
]
StoreOption = Annotated[str | None, typer.Option("--store", help="The store, instead of a configuration.")]
OutputOption = Annotated[
    Literal["text", "json"], typer.Option("--output", help="json: one document on standard output.")
]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="First ask again what failed before.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Keys of the configuration, values in YAML.")
]


def store_of(store: str | None, config: str | None, overrides: Sequence[str] | None) -> tuple[str, Config]:
    """Location and configuration of a reading verb, which may know the store alone."""
    if store is None and config is None and not overrides:
        raise UsageError("name the store: --store STORE or --config NAME")
    loaded = load_config(config, [*(overrides or ()), *([f"store={store}"] if store else [])])
    return loaded.store, loaded


def session(config: Config):  # type: ignore[no-untyped-def]
    return start(config.spark)


def start(settings: dict[str, str]):  # type: ignore[no-untyped-def]
    from pyspark.logger import PySparkLogger

    from prox_spark.session import get_session

    # PySpark logs a stack trace in JSON whenever the message of a failed query is read: our one line says the same.
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel("CRITICAL")
    return get_session(settings)


def tell(done: dict[str, Any], output: str) -> None:
    """What a writing verb did: the whole as JSON, or its facts in lines."""
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
