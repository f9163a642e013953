"""Verbs that read a store: ``history`` and ``sql``."""

from typing import Annotated, Any

import typer

from prox_spark.cli.options import ConfigOption, OutputOption, Overrides, StoreOption, session, store_of
from prox_spark.cli.output import write_json, write_table


def history(
    overrides: Overrides = None, config: ConfigOption = None, store: StoreOption = None, output: OutputOption = "text"
) -> None:
    """Every refinement version of the store."""
    from prox_spark.versions.history import history as run

    location, loaded = store_of(store, config, overrides)
    rows = run(session(loaded), location)
    if output == "json":
        write_json(rows)
        return
    columns = (
        "refinement",
        "version",
        "created_at",
        "documents",
        "refined",
        "dropped",
        "lines removed",
        "characters kept",
        "refined_version",
    )
    write_table(columns, (_history_row(row) for row in rows))


def _history_row(row: dict[str, Any]) -> tuple[Any, ...]:
    counts = row["counts"]
    share = f"{counts['characters_kept'] / counts['characters']:.1%}" if counts["characters"] else ""
    when = f"{row['created_at']:%Y-%m-%d %H:%M:%S}"
    results = (counts["documents"], counts["refined"], counts["dropped_documents"], counts["lines_removed"], share)
    return (row["refinement"], row["version"], when, *results, row["refined_version"])


def sql(
    question: Annotated[
        str, typer.Argument(metavar="SELECT", help="The query; `refined@NAME:VERSION` reads an older refinement.")
    ],
    overrides: Overrides = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    output: OutputOption = "text",
) -> None:
    """Ask the tables of the store, by their plain names."""
    from prox_spark.versions.sql import query

    location, loaded = store_of(store, config, overrides)
    answer = query(session(loaded), location, question)
    rows = answer.collect()
    if output == "json":
        write_json({"columns": answer.columns, "rows": [row.asDict(recursive=True) for row in rows]})
    else:
        write_table(answer.columns, rows)
