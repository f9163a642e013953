"""``execute --dry-run``: what a refinement would keep and drop, without a write."""

import logging
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import yaml
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from prox_spark.config.models import Config
from prox_spark.errors import ConfigError
from prox_spark.generation.plan import find_refiners
from prox_spark.generation.recorded import find_refiner
from prox_spark.refinement.fingerprint import fingerprint, identity, refinement_name
from prox_spark.refinement.task import RESULTS, execute_documents
from prox_spark.refinement.work import METADATA, Work, execute_work, grouped, measure
from prox_spark.tables.cache import cached
from prox_spark.tables.store import open_store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DryRun:
    """What would be kept and dropped with these execution settings.

    ``documents``: total, refined, quarantined, and dropped by reason; ``lines``: total, removed, rewritten;
    ``characters``: total, kept; ``operations``: lines and their characters by operation, of refined documents.
    """

    execution: dict[str, Any]
    documents: dict[str, Any]
    lines: dict[str, int]
    characters: dict[str, int]
    operations: dict[str, dict[str, int]]


def expand(overrides: list[str]) -> list[list[str]]:
    """The overrides of every run of a sweep: an ``execution`` key with a list stands for each of its values.

    >>> expand(["store=s", "execution.drop_line_below=[0.3, 0.5]"])
    [['store=s', 'execution.drop_line_below=0.3'], ['store=s', 'execution.drop_line_below=0.5']]
    """
    choices: list[list[str]] = []
    for override in overrides:
        key, _, text = override.partition("=")
        value = yaml.safe_load(text) if key.startswith("execution.") else None
        choices.append([f"{key}={one}" for one in value] if isinstance(value, list) else [override])
    return [list(choice) for choice in product(*choices)]


def dry_run(spark: SparkSession, config: Config, sample: float = 1.0) -> DryRun:
    """Execute the programs of all documents, or of a share of them (the same documents for the same share), and count.

    Raises ``IncompleteError`` when programs are missing, ``ConfigError`` for a share outside of (0, 1].
    """
    if not 0.0 < sample <= 1.0:
        raise ConfigError(f"--sample {sample}: must be above 0 and at most 1")
    store = open_store(spark, config.store)
    refiners = find_refiners(config, partial(find_refiner, store, config.refinement))
    covered = identity(config, refiners)
    name = refinement_name(config, fingerprint(covered))
    heads = {f"{table}_version": store.version(table) for table in ("documents", "programs", "refinements")}
    _log.info("execute --dry-run: executing programs of %.0f%% of the documents", 100 * sample)
    work = Work(store, config, refiners, name, 0, covered, last=None, **heads, after_unit=-1, sample=sample)
    with cached(grouped(work)) as programs:
        executed = execute_work(work, programs, measure(work, programs), execute_documents, RESULTS, handed_on=())
        with cached(executed.drop(*METADATA, "replacement")) as results:
            return _summary(config, results)


def _summary(config: Config, results: DataFrame) -> DryRun:
    names = ("n_lines", "n_lines_removed", "n_lines_rewritten", "n_characters", "n_characters_removed")
    sums = [F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in names]
    fates: list[Row] = (
        results.where("kind = 'document'").groupBy("fate", "reason").agg(F.count("*").alias("n"), *sums).collect()
    )
    refined = [row for row in fates if row["fate"] == "refined"]
    dropped = {row["reason"]: row["n"] for row in fates if row["fate"] == "dropped"}
    logged = results.where("kind = 'line'")
    operations = logged.groupBy("operation").agg(
        F.count("*").alias("lines"), F.sum(F.length("text")).alias("characters")
    )

    def total(rows: list[Row], name: str) -> int:
        return sum(row[name] for row in rows)

    kept_characters = total(refined, "n_characters")
    return DryRun(
        execution=config.execution.model_dump(mode="json"),
        documents={
            "total": total(fates, "n"),
            "refined": total(refined, "n"),
            "dropped": dict(sorted(dropped.items())),
            "quarantined": total([row for row in fates if row["fate"] == "quarantined"], "n"),
        },
        lines={
            "total": total(fates, "n_lines"),
            "removed": total(refined, "n_lines_removed"),
            "rewritten": total(refined, "n_lines_rewritten"),
        },
        characters={
            "total": total(fates, "n_characters") + total(refined, "n_characters_removed"),
            "kept": kept_characters,
        },
        operations={
            row["operation"]: {"lines": row["lines"], "characters": row["characters"]}
            for row in operations.orderBy("operation").collect()
        },
    )
