"""The numbers of a report, read from the tables: counts that ``refinements`` has, and group-bys of small columns."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from prox_spark.costs.refining import stages_of
from prox_spark.errors import UsageError
from prox_spark.reporting.figures import BINS, Drop, Facts, Model, Operation, Scores, Source, VersionFacts
from prox_spark.reporting.text import clean, shortened
from prox_spark.spark_api import tagged_pool
from prox_spark.tables.times import utc
from prox_spark.versions.names import Version, own_rows

_SOURCES = 12
"""Number of sources with a separate bar; all others share a bar."""
OTHERS = "all other sources"
_NO_SOURCE = "(no source)"
_NAME = 60


def read_facts(readings: Sequence[Version], models: tuple[Model, ...] = ()) -> Facts:
    """The page's facts about one or two versions, the newer last, and about models that were trained on them."""
    names = largest_sources(readings[-1])
    versions = tuple(_version(reading, names) for reading in readings)
    return Facts(readings[-1].store.location, versions, _differences(readings), models)


def read_models(file: Path) -> tuple[Model, ...]:
    """The models of an ``evaluation.json`` whose compute is known. Raises ``UsageError`` if the file is invalid or has none."""
    try:
        compute = json.loads(file.read_text(encoding="utf-8"))["compute"]
        found = tuple(
            Model(clean(row["model"]), row, tuple((float(x), float(y)) for x, y in compute["points"][row["model"]]))
            for row in compute["rows"]
        )
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{file}: not an evaluation.json of `evaluate` with evaluate.models") from None
    if not found:
        raise UsageError(f"{file}: its models were not trained by `pretrain`, so their compute is unknown")
    return found


def _version(reading: Version, names: Sequence[str]) -> VersionFacts:
    with tagged_pool(reading.store.spark, 2) as pool:
        sources = pool.submit(read_sources, reading, names)
        operations = pool.submit(_operations, reading)
        drops = pool.submit(read_drops, reading)
        scores = pool.submit(_scores, reading)
    return replace(
        counted(reading),
        sources=sources.result(),
        operations=operations.result(),
        drops=drops.result(),
        scores=scores.result(),
        stages=tuple(stages_of(reading)),
    )


def counted_facts(readings: Sequence[Version]) -> Facts:
    """The facts in the rows of ``refinements`` of one or two versions: counts and settings."""
    return Facts(readings[-1].store.location, tuple(map(counted, readings)), _differences(readings))


def counted(reading: Version) -> VersionFacts:
    """A version with the values of its row of ``refinements``; everything else is empty."""
    row = reading.row
    configuration = json.loads(row["configuration"])
    return VersionFacts(
        refinement=row["refinement"],
        version=row["version"],
        created_at=f"{utc(row['created_at']):%Y-%m-%d %H:%M} UTC",
        package_version=row["package_version"],
        counts=row["counts"].asDict(),
        execution=configuration["execution"],
        refiners=described_refiners(row, configuration),
    )


def described_refiners(row: Row, configuration: dict[str, Any]) -> dict[str, str]:
    """The engine and model of each stage, with the first digits of the refiner's fingerprint."""
    found = {}
    for stage in ("document", "chunk"):
        fingerprint = row[f"{stage}_refiner"]
        if fingerprint is not None:
            engine = (configuration.get(stage) or {}).get("engine") or {}
            words = [str(engine[key]) for key in ("kind", "model") if engine.get(key)]
            found[stage] = f"{clean(' '.join(words))} ({fingerprint[:8]})"
    return found


def _texts_by_source(reading: Version) -> DataFrame:
    """source, documents, characters, kept: for each source, one row for kept and one for dropped documents.

    The source of dropped documents is only in ``documents``, whose small columns are joined to them.
    """
    name = F.coalesce("source", F.lit(_NO_SOURCE)).alias("source")
    kept = reading.read("refined").groupBy(name)
    dropped = reading.read("dropped_documents").select("doc_id", "n_characters")
    documents = reading.read("documents").select("doc_id", "source")
    return kept.agg(
        F.count("*").alias("documents"),
        F.sum(F.col("n_characters") + F.col("n_characters_removed")).alias("characters"),
        F.sum("n_characters").alias("kept"),
    ).unionByName(
        dropped.join(documents, "doc_id")
        .groupBy(name)
        .agg(F.count("*").alias("documents"), F.sum("n_characters").alias("characters"))
        .withColumn("kept", F.lit(0).cast("long"))
    )


def largest_sources(reading: Version) -> list[str]:
    """The sources with the most characters, which get separate figures."""
    characters = F.sum("characters").alias("characters")
    sources = _texts_by_source(reading).groupBy("source").agg(characters)
    return [row["source"] for row in sources.orderBy(F.desc("characters"), "source").limit(_SOURCES).collect()]


def read_sources(reading: Version, names: Sequence[str]) -> tuple[Source, ...]:
    """Figures of each of ``names``, in their order, and of all others together, which come last."""
    own = F.when(F.col("source").isin(list(names)), F.col("source")).alias("name")
    sums = [F.sum(column).alias(column) for column in ("documents", "characters", "kept")]
    rows = {row["name"]: row for row in _texts_by_source(reading).groupBy(own).agg(*sums).collect()}
    return tuple(
        Source(
            OTHERS if name is None else clean(name.replace("\n", " ")),
            *(rows[name][column] for column in ("documents", "characters", "kept")),
        )
        for name in (*names, None)
        if name in rows
    )


def _operations(reading: Version) -> tuple[Operation, ...]:
    sums = (F.count("*").alias("lines"), F.sum(F.length("text")).alias("characters"))
    rows = reading.read("dropped_lines").groupBy("operation").agg(*sums)
    found = rows.orderBy(F.desc("lines"), "operation").collect()
    return tuple(Operation(row["operation"], row["lines"], row["characters"]) for row in found)


def read_drops(reading: Version) -> tuple[Drop, ...]:
    """Dropped documents by stage and reason, the most frequent first."""
    sums = (F.count("*").alias("documents"), F.sum("n_characters").alias("characters"))
    rows = reading.read("dropped_documents").groupBy("stage", "reason").agg(*sums)
    found = rows.orderBy(F.desc("documents"), "stage", "reason").collect()
    return tuple(Drop(row["stage"], clean(row["reason"]), row["documents"], row["characters"]) for row in found)


def _scores(reading: Version) -> Scores:
    programs = own_rows(reading, "programs")
    chunks = programs.where(F.col("stage") == "chunk")
    confidences = F.explode(F.transform("calls", lambda call: call["confidence"]))
    return Scores(
        documents=_histogram(programs.where(F.col("stage") == "document").select(F.col("keep_score").alias("score"))),
        lines=_histogram(chunks.select(F.explode("line_scores").alias("score"))),
        calls=_histogram(chunks.select(confidences.alias("score"))),
    )


def _histogram(scores: DataFrame) -> tuple[int, ...]:
    """How many values of the column ``score`` are in each of ``BINS`` bins from 0 to 1; 1 is in the last."""
    score: Column = F.col("score").cast("double")
    place = F.least(F.lit(BINS - 1), F.floor(score * BINS).cast("int")).alias("bin")
    rows = scores.where(score.between(0.0, 1.0)).groupBy(place).count().collect()
    found = {row["bin"]: row["count"] for row in rows}
    return tuple(found.get(number, 0) for number in range(BINS))


def _differences(readings: Sequence[Version]) -> tuple[tuple[str, str, str], ...]:
    """The keys of two identities that differ, with both values."""
    if len(readings) < 2:
        return ()
    old, new = (json.loads(reading.row["identity"]) for reading in readings)
    changed = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return tuple((key, _setting(old.get(key)), _setting(new.get(key))) for key in changed)


def _setting(value: object) -> str:
    return "none" if value is None else clean(shortened(str(value), _NAME))
