"""Verbs that read a store: ``history``, ``sql``, ``compare``, ``report`` and ``browse``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import prox_spark
from prox_spark.cli.options import ConfigOption, OutputOption, Overrides, StoreOption, session, store_of, tell
from prox_spark.cli.output import write_facts, write_json, write_line, write_table
from prox_spark.errors import InstallationError, UsageError
from prox_spark.tables.times import utc
from prox_spark.versions.questions import question


def history(
    overrides: Overrides = None, config: ConfigOption = None, store: StoreOption = None, output: OutputOption = "text"
) -> None:
    """List all refinement versions of the store."""
    location, loaded = store_of(store, config, overrides)
    rows = prox_spark.history(session(loaded), location)
    if output == "json":
        write_json(rows)
        return
    columns = (
        "refinement",
        "version",
        "verb",
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
    when = f"{utc(row['created_at']):%Y-%m-%d %H:%M:%S}"
    results = (counts["documents"], counts["refined"], counts["dropped_documents"], counts["lines_removed"], share)
    return (row["refinement"], row["version"], row["verb"], when, *results, row["refined_version"])


def sql(
    select: Annotated[
        str | None,
        typer.Argument(metavar="SELECT", help="The query. `refined@NAME:VERSION` reads another refinement version."),
    ] = None,
    overrides: Overrides = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    output: OutputOption = "text",
    asked: Annotated[
        str | None,
        typer.Option("--question", metavar="NAME", help="A query of the library (see `questions`) instead of SELECT."),
    ] = None,
    refinements: Annotated[
        list[str] | None,
        typer.Option("--refinement", metavar="A=NAME", help="The refinement for letter A of a question about several."),
    ] = None,
) -> None:
    """Query the tables of the store by their plain names."""
    from prox_spark.versions.sql import query

    if asked is not None:
        # The first override is in the position of the query.
        overrides = [*([select] if select else ()), *(overrides or ())]
        select = question(asked, _by_letter(refinements or []))
    elif select is None:
        raise UsageError("Missing argument 'SELECT': give a query, or --question NAME (see `prox-spark questions`)")
    elif refinements:
        raise UsageError("--refinement belongs to --question; in a query write `refined@NAME`")
    location, loaded = store_of(store, config, overrides)
    answer = query(session(loaded), location, select)
    if output == "json" and len(set(answer.columns)) < len(answer.columns):
        raise UsageError(f"SQL: two columns have the same name ({', '.join(answer.columns)}); rename them with AS")
    rows = answer.collect()
    if output == "json":
        write_json({"columns": answer.columns, "rows": [row.asDict(recursive=True) for row in rows]})
    else:
        write_table(answer.columns, rows)


def _by_letter(given: list[str]) -> dict[str, str]:
    found = {}
    for one in given:
        letter, equals, name = one.partition("=")
        if not letter or not equals or not name:
            raise UsageError(f"--refinement {one!r}: write it as A=NAME")
        found[letter] = name
    return found


def compare(
    before: Annotated[
        str, typer.Option("--from", metavar="A", help="Base version: NAME, NAME:VERSION or @N of `refined`.")
    ],
    after: Annotated[str, typer.Option("--to", metavar="B", help="Version to compare with.")],
    overrides: Overrides = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    output: OutputOption = "text",
    limit: Annotated[int, typer.Option("--limit", min=0, help="Rows to show per list.")] = 20,
    seed: Annotated[int, typer.Option("--seed", help="Random seed.")] = 0,
    table: Annotated[
        str | None,
        typer.Option("--table", metavar="T", help="Also write to this Delta table: a path, or catalog.schema.table."),
    ] = None,
) -> None:
    """Show the differences between two refinement versions."""
    from prox_spark.versions.compared import save

    location, loaded = store_of(store, config, overrides)
    comparison = prox_spark.compare(session(loaded), location, before, after)
    saved = {"table": asdict(save(comparison, table))} if table else {}
    found = comparison.summary(limit, seed) | saved
    if output == "json":
        write_json(found)
    else:
        _show_comparison(found)


def _show_comparison(found: dict[str, Any]) -> None:
    versions = [found[side] for side in ("from", "to")]
    names = [f"{version['refinement']}:{version['version']}" for version in versions]
    write_line("documents")
    write_facts(
        {**found["documents"], "quarantined": " -> ".join(str(found["quarantined"][s]) for s in ("from", "to"))}, "  "
    )
    write_table(
        ("key", *names), ([key, v["from"], v["to"]] for key, v in found["configuration"].items()), "configuration"
    )
    by_change = found["lines"]["by_change"]
    rows = ([change, n["lines"], n["characters"]] for change, n in by_change.items())
    write_table(("change", "lines", "characters"), rows, "lines of documents kept in both")
    for title, entries in found["lines"].items():
        if title != "by_change" and entries:
            _show_sides(title.replace("_", " "), names, entries)
    for title in ("movers", "sample"):
        if found[title]:
            write_table(list(found[title][0]), (list(row.values()) for row in found[title]), title)
    if "table" in found:
        write_line("table")
        write_facts(found["table"], "  ")


def _show_sides(title: str, names: list[str], entries: list[dict[str, Any]]) -> None:
    """Print a row for each key and a column for each number: before -> after."""
    keys = [key for key in entries[0] if key not in ("from", "to")]
    numbers = list(entries[0]["from"])
    rows = (
        [*(entry[key] for key in keys), *(f"{entry['from'][n]:,} -> {entry['to'][n]:,}" for n in numbers)]
        for entry in entries
    )
    write_table([*keys, *numbers], rows, f"{title}: {names[0]} -> {names[1]}")


def report(
    output_file: Annotated[Path, typer.Option("--output-file", metavar="FILE", help="HTML file to write.")],
    overrides: Overrides = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    output: OutputOption = "text",
    before: Annotated[str | None, typer.Option("--from", metavar="A", help="Version to compare with.")] = None,
    after: Annotated[
        str | None, typer.Option("--to", metavar="B", help="Version to report on. Default: the newest.")
    ] = None,
    sample: Annotated[int, typer.Option("--sample", min=1, max=5000, help="Documents in the sample.")] = 500,
    seed: Annotated[int, typer.Option("--seed", help="Random seed of the sample.")] = 0,
    evaluation: Annotated[
        Path | None,
        typer.Option("--evaluation", metavar="FILE", help="An evaluation.json, to show the compute of its models."),
    ] = None,
) -> None:
    """Write an HTML report on a refinement, or on the changes between two."""
    location, loaded = store_of(store, config, overrides)
    asked: dict[str, Any] = {"before": before, "after": after, "sample": sample, "seed": seed, "evaluation": evaluation}
    done = prox_spark.report(session(loaded), location, output_file, **asked)
    tell(asdict(done), output)


def browse(
    overrides: Overrides = None,
    config: ConfigOption = None,
    store: StoreOption = None,
    output: OutputOption = "text",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on this machine. Default: any free one.")
    ] = 0,
    deadline: Annotated[
        float, typer.Option("--deadline", min=1, metavar="SECONDS", help="Stop the queries of a page after this time.")
    ] = 120,
) -> None:
    """Show the store as a local web page: versions, documents, dropped lines, SQL. Writes nothing."""
    try:
        from prox_spark.browsing.site import Site
    except ModuleNotFoundError as error:
        raise InstallationError(
            f"browse needs {error.name}, which is not installed: pip install 'prox-spark[report]'"
        ) from None
    from prox_spark.browsing.server import bind

    location, loaded = store_of(store, config, overrides)
    bound = bind(Site(session(loaded), location, deadline), port)
    if output == "json":
        write_json({"url": bound.url})
    else:
        write_line(f"Open {bound.url}")
        write_line("Anyone with this address can read the store. Press Ctrl-C to stop.")
    bound.serve()
