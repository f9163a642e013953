"""Verbs that maintain a store: ``pin``, ``rollback``, ``optimize`` and ``forget``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from prox_spark.cli.options import ConfigOption, OutputOption, Overrides, StoreOption, session, store_of, tell
from prox_spark.errors import UsageError

Name = Annotated[str, typer.Argument(metavar="NAME", help="NAME, NAME:VERSION, or @N for version N of `refined`.")]


def pin(
    name: Name,
    overrides: Overrides = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    output: OutputOption = "text",
    copy: Annotated[bool, typer.Option("--copy", help="Also copy its tables; a copy survives any VACUUM.")] = False,
) -> None:
    """Pin a refinement version, so that it is kept."""
    from prox_spark.versions.pin import pin as run

    location, loaded = store_of(store, config, overrides)
    tell({"store": location, **asdict(run(session(loaded), location, name, copy=copy))}, output)


def rollback(
    name: Name,
    overrides: Overrides = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    output: OutputOption = "text",
) -> None:
    """Make an earlier refinement version the newest again."""
    from prox_spark.versions.rollback import rollback as run

    location, loaded = store_of(store, config, overrides)
    tell({"store": location, **asdict(run(session(loaded), location, name))}, output)


def optimize(
    overrides: Overrides = None, config: ConfigOption = None, store: StoreOption = None, output: OutputOption = "text"
) -> None:
    """Compact small files of the tables; all versions stay readable."""
    from prox_spark.versions.optimize import optimize as run

    location, loaded = store_of(store, config, overrides)
    tell({"store": location, **asdict(run(session(loaded), location))}, output)


def forget(
    doc_ids: Annotated[list[str] | None, typer.Argument(metavar="[DOC_ID]...", help="Ids of documents.")] = None,
    ids: Annotated[str | None, typer.Option("--ids", help="File with one id per line.")] = None,
    where: Annotated[str | None, typer.Option("--where", help="SQL condition on the columns of `documents`.")] = None,
    history: Annotated[bool, typer.Option("--history", help="Also erase from table history (VACUUM).")] = False,
    config: ConfigOption = None,
    store: StoreOption = None,
    output: OutputOption = "text",
) -> None:
    """Delete documents from all tables of the store. This cannot be undone."""
    from prox_spark.versions.forget import forget as run

    listed = [*(doc_ids or ()), *(_read_ids(ids) if ids else ())]
    location, loaded = store_of(store, config, None)
    done = run(session(loaded), location, listed, where=where, history=history)
    tell({"store": location, **asdict(done)}, output)


def _read_ids(path: str) -> list[str]:
    try:
        # Not `splitlines`, which also splits at other characters: an id may contain anything but line ends.
        lines = [line.removesuffix("\r") for line in Path(path).read_text(encoding="utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--ids {path}: cannot be read ({error})") from None
    return [line for line in lines if line]
