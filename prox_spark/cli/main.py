"""Verbs of ``prox-spark``: parse arguments, load the configuration, call one function, return an exit code."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

import prox_spark
from prox_spark.cli import groups, interrupts
from prox_spark.cli.causes import cause
from prox_spark.cli.evaluated import tables
from prox_spark.cli.exporting import export
from prox_spark.cli.keeping import forget, optimize, pin, rollback
from prox_spark.cli.libraries import presets, questions
from prox_spark.cli.logs import complain, logged
from prox_spark.cli.options import ConfigOption, OutputOption, Overrides, RetryOption, app, opened, session, start, tell
from prox_spark.cli.output import write_facts, write_json, write_line, write_table
from prox_spark.cli.reading import browse, compare, history, report, sql
from prox_spark.cli.starting import init
from prox_spark.config import load_config
from prox_spark.errors import (
    ConfigError,
    InstallationError,
    ProxSparkError,
    UsageError,
    first_line,
    store_damage,
    told_conflict,
)

# ClickException of the click that this typer uses. Newer typers have their own copy and export only its subclasses.
_WRONG_ARGUMENTS: Any = typer.BadParameter.__mro__[2]


def _version(asked: bool) -> None:
    if asked:
        write_line(f"prox-spark {prox_spark.__version__}")
        raise typer.Exit


@app.callback()
def _prox_spark(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Programming Every Example (ProX) on Spark: models write cleaning programs; Delta tables keep every version."""


@app.command(rich_help_panel=groups.REFINE)
def ingest(overrides: Overrides = None, config: ConfigOption = None, output: OutputOption = "text") -> None:
    """Read corpus files into `documents`."""
    loaded = load_config(config, overrides or ())
    done = prox_spark.ingest(lambda: session(loaded), loaded)
    tell({"store": loaded.store, "ingest": asdict(done)}, output)


@app.command(rich_help_panel=groups.REFINE)
def generate(
    overrides: Overrides = None,
    config: ConfigOption = None,
    output: OutputOption = "text",
    retry_failed: RetryOption = False,
) -> None:
    """Write programs for all documents that have none yet."""
    loaded = load_config(config, overrides or ())
    stages = prox_spark.generate(session(loaded), loaded, retry_failed=retry_failed)
    tell({"store": loaded.store, "generate": [asdict(stage) for stage in stages]}, output)


@app.command(rich_help_panel=groups.REFINE)
def execute(
    overrides: Overrides = None,
    config: ConfigOption = None,
    output: OutputOption = "text",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing. Execution keys may have lists of values.")
    ] = False,
    sample: Annotated[float, typer.Option("--sample", help="With --dry-run: share of documents to use.")] = 1.0,
) -> None:
    """Execute the programs and commit a refinement version."""
    if dry_run:
        _dry_run(overrides or [], config, output, sample)
        return
    loaded = load_config(config, overrides or ())
    tell({"store": loaded.store, **asdict(prox_spark.execute(session(loaded), loaded))}, output)


def _dry_run(overrides: list[str], config: str | None, output: str, sample: float) -> None:
    from prox_spark.refinement.dry_run import dry_run, expand

    runs = [load_config(config, chosen) for chosen in expand(overrides)]
    spark = session(runs[0])
    found = [asdict(dry_run(spark, loaded, sample)) for loaded in runs]
    if output == "json":
        write_json({"store": runs[0].store, "sample": sample, "runs": found})
        return
    swept = [key for key in found[0]["execution"] if len({str(run["execution"][key]) for run in found}) > 1]
    columns = [
        *swept,
        "refined",
        "dropped",
        "quarantined",
        "lines",
        "removed",
        "rewritten",
        "characters",
        "kept",
        "operations",
    ]
    write_table(columns, ([*(run["execution"][key] for key in swept), *_dry_run_row(run)] for run in found))


def _dry_run_row(run: dict[str, Any]) -> list[Any]:
    documents, lines, characters = run["documents"], run["lines"], run["characters"]
    kept = f"{characters['kept'] / characters['total']:.1%}" if characters["total"] else ""
    operations = "; ".join(
        f"{name}: {n['lines']:,} lines, {n['characters']:,} characters" for name, n in run["operations"].items()
    )
    dropped = [documents["refined"], documents["dropped"], documents["quarantined"]]
    return [*dropped, lines["total"], lines["removed"], lines["rewritten"], characters["total"], kept, operations]


@app.command(rich_help_panel=groups.REFINE)
def refine(
    overrides: Overrides = None,
    config: ConfigOption = None,
    output: OutputOption = "text",
    retry_failed: RetryOption = False,
) -> None:
    """Run ingest, generate and execute."""
    loaded = load_config(config, overrides or ())
    done = prox_spark.refine(lambda: session(loaded), loaded, retry_failed=retry_failed)
    tell(asdict(done), output)


@app.command(rich_help_panel=groups.REFINE)
def estimate(
    overrides: Overrides = None,
    config: ConfigOption = None,
    output: OutputOption = "text",
    sample: Annotated[int, typer.Option("--sample", min=1, help="Number of documents to tokenise.")] = 1000,
    tokens_per_second: Annotated[
        float | None,
        typer.Option("--tokens-per-second", help="Speed of one engine. Default: the speed in the store's metrics."),
    ] = None,
    price_per_hour: Annotated[
        float | None, typer.Option("--price-per-hour", min=0, help="Price of one engine, in any currency.")
    ] = None,
) -> None:
    """Estimate the documents, chunks, tokens, hours and price of generation. Writes nothing and starts no engine."""
    from prox_spark.costs.estimate import estimate as run

    if tokens_per_second is not None and tokens_per_second <= 0:
        raise UsageError(f"--tokens-per-second {tokens_per_second:g}: must be above 0")
    loaded = load_config(config, overrides or ())
    spark = session(loaded)
    found = asdict(
        run(spark, loaded, sample=sample, tokens_per_second=tokens_per_second, price_per_hour=price_per_hour)
    )
    if output == "json":
        write_json(found)
        return
    write_facts({name: found[name] for name in ("documents", "sampled")})
    columns = ("stage", "documents", "chunks", "prompt_tokens", "output_tokens_at_most", "engine_hours", "price")
    write_table(columns, ([stage[name] for name in columns] for stage in found["stages"]))
    for note in found["notes"]:
        write_line(f"- {note}")


@app.command(rich_help_panel=groups.START)
def doctor(overrides: Overrides = None, config: ConfigOption = None, output: OutputOption = "text") -> None:
    """Check the installation; with a configuration, also its store, refiners and prompt templates."""
    from prox_spark.doctor import examine

    checks = [asdict(check) for check in examine(config, overrides or (), start)]
    failed = [check["name"] for check in checks if check["status"] == "failed"]
    if output == "json":
        write_json({"ok": not failed, "checks": checks})
    else:
        columns = ("name", "status", "found", "advice")
        write_table(columns, ([check[name] for name in columns] for check in checks))
    if failed:
        raise InstallationError(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


@app.command(rich_help_panel=groups.MAKE)
def annotate(
    overrides: Overrides = None,
    config: ConfigOption = None,
    output: OutputOption = "text",
    retry_failed: RetryOption = False,
) -> None:
    """Label a sample of documents with a large model, and write training files for refiners."""
    from prox_spark.annotation.annotate import annotate as run

    loaded = load_config(config, overrides or ())
    tell({"store": loaded.store, "annotate": asdict(run(session(loaded), loaded, retry_failed=retry_failed))}, output)


@app.command(rich_help_panel=groups.MAKE)
def adapt(overrides: Overrides = None, config: ConfigOption = None, output: OutputOption = "text") -> None:
    """Train a refiner from labels or a target corpus, for `chunk.engine.model` or `document.engine.model`."""
    from prox_spark.adapt.adapt import adapt as run
    from prox_spark.training.distributed import show

    loaded = load_config(config, overrides or ())
    if loaded.adapt is None:
        raise ConfigError("adapt is not set: set name, output, train and validation (see the preset web-lines)")
    if loaded.adapt.task == "selection":
        from prox_spark.adapt.selection import fit

        tell(asdict(fit(session(loaded), loaded)), output)
        return
    if loaded.adapt.processes > 1:
        session(loaded)
    tell(asdict(run(loaded.adapt, show)), output)


@app.command(rich_help_panel=groups.MEASURE)
def pretrain(overrides: Overrides = None, config: ConfigOption = None, output: OutputOption = "text") -> None:
    """Train a causal model on exported token shards, to compare corpora (see `evaluate.models`)."""
    from prox_spark.pretraining.pretrain import pretrain as run
    from prox_spark.training.distributed import show

    loaded = load_config(config, overrides or ())
    if loaded.pretrain is None:
        raise ConfigError("pretrain is not set: set name, data, output, tokens and shape (see the preset tiny)")
    if loaded.pretrain.processes > 1:
        session(loaded)
    tell(asdict(run(loaded.pretrain, show)), output)


@app.command(rich_help_panel=groups.MEASURE)
def evaluate(overrides: Overrides = None, config: ConfigOption = None, output: OutputOption = "text") -> None:
    """Measure the refiners on labelled pages and documents, and pretrained models on clean text and tasks."""
    from prox_spark.evaluation.evaluate import evaluate as run

    loaded = load_config(config, overrides or ())
    found = run(lambda: session(loaded), loaded)
    if output == "json":
        write_json(asdict(found))
        return
    for columns, rows, title in tables(found):
        write_table(columns, rows, title)
    for note in found.compute.get("notes", ()):
        write_line(f"- {note}")
    write_line(f"all results, with sources, page types and thresholds: {found.output}/evaluation.json")


for heading, verbs in (
    (groups.START, (init, presets)),
    (groups.LOOK, (history, sql, questions, compare, report, browse)),
    (groups.KEEP, (export, pin, rollback, optimize, forget)),
):
    for verb in verbs:
        app.command(rich_help_panel=heading)(verb)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 success, 2 wrong usage or configuration, 130 Ctrl-C, 1 any other error."""
    words = sys.argv[1:] if arguments is None else arguments
    # SQL may begin with a comment, which must not be parsed as an option.
    words = [f" {word}" if word.startswith("-- ") else word for word in words]
    with logged(words), interrupts.watched():
        return _run(words)


def _run(words: Sequence[str]) -> int:
    opened.set(None)
    try:
        code = app(args=words, prog_name="prox-spark", standalone_mode=False)
    except typer.Abort as error:
        # Typer also turns the end of any file into an Abort.
        return _explained(error.__cause__) if isinstance(error.__cause__, EOFError) else _interrupted()
    except KeyboardInterrupt:
        return _interrupted()
    except _WRONG_ARGUMENTS as error:
        return _fail(error.format_message(), 2)
    except Exception as error:
        if os.environ.get("PROX_SPARK_TRACE") and not isinstance(error, ProxSparkError):
            raise
        return _explained(error)
    if code == interrupts.EXIT_CODE:
        # Newer typers return the exit code without a message.
        return _interrupted()
    return code if isinstance(code, int) else 0


def _interrupted() -> int:
    return _fail("interrupted", interrupts.EXIT_CODE)


def _explained(error: BaseException) -> int:
    """Report the error in one line, and return the exit code."""
    if interrupts.interrupted():
        # A call into the JVM that Ctrl-C interrupted ends with another error.
        return _interrupted()
    if isinstance(error, ProxSparkError):
        return _fail(str(error), 2 if isinstance(error, UsageError) else 1)
    known = cause(error) or told_conflict(error) or store_damage(error, opened.get())
    said = f"{type(error).__name__}: {first_line(error)} (set PROX_SPARK_TRACE=1 for a stack trace)"
    return _fail(said if known is None else str(known), 1)


def _fail(reason: str, code: int) -> int:
    """Report the reason, and return the exit code."""
    complain(reason, code)
    return code
