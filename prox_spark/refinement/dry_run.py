"""``execute --dry-run``: counts what a refinement would keep and drop, without writing."""

import logging
from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import yaml
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from prox_spark.config.models import Config
from prox_spark.errors import ConfigError
from prox_spark.generation.plan import find_refiners
from prox_spark.generation.recorded import find_refiner
from prox_spark.progress import Progress
from prox_spark.refinement.fingerprint import fingerprint, identity, refinement_name
from prox_spark.refinement.standing import find_standing
from prox_spark.refinement.task import RESULTS, execute_documents
from prox_spark.refinement.work import METADATA, Work, batches, execute_rows, incomplete, measure, with_programs
from prox_spark.session import share_of_tasks
from prox_spark.tables.cache import cached
from prox_spark.tables.counts import matched
from prox_spark.tables.store import open_store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DryRun:
    """The counts of a refinement with these execution settings.

    ``documents``: total, refined, quarantined, and dropped by reason; ``lines``: total, removed, rewritten;
    ``characters``: total, kept; ``operations``: lines and their characters by operation, of refined documents.
    """

    execution: dict[str, Any]
    documents: dict[str, Any]
    lines: dict[str, int]
    characters: dict[str, int]
    operations: dict[str, dict[str, int]]


def expand(overrides: list[str]) -> list[list[str]]:
    """The overrides of every run of a sweep: an ``execution`` key with a list gives one run per value.

    >>> expand(["store=s", "execution.drop_line_below=[0.3, 0.5]"])
    [['store=s', 'execution.drop_line_below=0.3'], ['store=s', 'execution.drop_line_below=0.5']]
    """
    choices: list[list[str]] = []
    for override in overrides:
        key, _, text = override.partition("=")
        try:
            value = yaml.safe_load(text) if key.startswith("execution.") else None
        except (yaml.YAMLError, ValueError):  # `load_config` reports it
            value = None
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
    config, _ = find_standing(store, config, refiners)
    covered = identity(config, refiners)
    name = refinement_name(config, fingerprint(covered))
    heads = {f"{table}_version": store.version(table) for table in ("documents", "programs", "refinements")}
    _log.info(
        "execute --dry-run: executing programs of %.0f%% of the documents by version %d of the rules",
        *(100 * sample, config.execution.semantics),
    )
    work = Work(store, config, refiners, name, 0, covered, last=None, **heads, after_unit=-1, sample=sample)
    parts = batches(work, measure(work))
    sums = _Sums()
    total = sum(batch.documents for batch in parts)
    with Progress("execute --dry-run", total, "documents", running=share_of_tasks(spark)) as progress:
        for batch in parts:
            progress.expect(batch.documents)
            with with_programs(work, batch) as documents:
                seen = Observation()
                counted = documents.observe(seen, *matched(work.complete()))
                executed = execute_rows(work, counted, execute_documents, RESULTS, handed_on=())
                with cached(executed.drop(*METADATA, "replacement")) as results:
                    sums.add(results)
            if missing := seen.get["missing"]:
                raise incomplete(missing)
            progress.advance(batch.documents)
    return _summary(config, sums)


_SUMS = ("n_lines", "n_lines_removed", "n_lines_rewritten", "n_characters", "n_characters_removed")


class _Sums:
    """Sums over batches: documents by fate and reason, logged lines by operation."""

    def __init__(self) -> None:
        self.fates: dict[tuple[str, str | None], Counter[str]] = {}
        self.operations: dict[str, Counter[str]] = {}

    def add(self, results: DataFrame) -> None:
        """Add a batch's rows."""
        sums = [F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in _SUMS]
        documents = results.where("kind = 'document'").groupBy("fate", "reason")
        for row in documents.agg(F.count("*").alias("documents"), *sums).collect():
            counts = row.asDict()
            self.fates.setdefault((counts.pop("fate"), counts.pop("reason")), Counter()).update(counts)
        lines = results.where("kind = 'line'").groupBy("operation")
        for row in lines.agg(F.count("*").alias("lines"), F.sum(F.length("text")).alias("characters")).collect():
            counts = row.asDict()
            self.operations.setdefault(counts.pop("operation"), Counter()).update(counts)

    def total(self, name: str, fate: str | None = None) -> int:
        """The sum of ``name`` over all documents, or over those with one fate."""
        return sum(counts[name] for (found, _), counts in self.fates.items() if fate in (None, found))


def _summary(config: Config, sums: _Sums) -> DryRun:
    dropped = {reason or "": counts["documents"] for (fate, reason), counts in sums.fates.items() if fate == "dropped"}
    return DryRun(
        execution=config.execution.model_dump(mode="json"),
        documents={
            "total": sums.total("documents"),
            "refined": sums.total("documents", "refined"),
            "dropped": dict(sorted(dropped.items())),
            "quarantined": sums.total("documents", "quarantined"),
        },
        lines={
            "total": sums.total("n_lines"),
            "removed": sums.total("n_lines_removed", "refined"),
            "rewritten": sums.total("n_lines_rewritten", "refined"),
        },
        characters={
            "total": sums.total("n_characters") + sums.total("n_characters_removed", "refined"),
            "kept": sums.total("n_characters", "refined"),
        },
        operations={
            operation: {name: counts[name] for name in ("lines", "characters")}
            for operation, counts in sorted(sums.operations.items())
        },
    )
