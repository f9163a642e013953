"""The verb ``export``."""

from dataclasses import asdict
from typing import Annotated

import typer

import prox_spark
from prox_spark.cli.options import ConfigOption, OutputOption, Overrides, StoreOption, session, store_of, tell
from prox_spark.exporting.formats import Format


def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="NAME, NAME:VERSION, or @N for version N of `refined`.")],
    folder: Annotated[str, typer.Option("--to", metavar="FOLDER", help="Output folder: a path or a URL.")],
    format: Annotated[Format, typer.Option("--format", help="Output format.")],
    overrides: Overrides = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    output: OutputOption = "text",
    tokenizer: Annotated[
        str | None,
        typer.Option("--tokenizer", help="Tokenizer for tokens: a folder, or a repository on the model hub."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Random seed of the order of documents.")] = 0,
    raw: Annotated[bool, typer.Option("--raw", help="Export the original documents that this version covers.")] = False,
) -> None:
    """Write a refinement as files: Parquet, JSON lines, a Hugging Face dataset, or token shards to train on."""
    location, loaded = store_of(store, config, overrides)
    done = prox_spark.export(
        lambda: session(loaded), location, name, folder, format, tokenizer=tokenizer, seed=seed, raw=raw
    )
    tell({"store": location, **asdict(done)}, output)
