"""``compare``: two refinement versions side by side, as DataFrames and in numbers."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from prox_spark.credentials import stripped
from prox_spark.tables.cache import cached
from prox_spark.tables.store import open_store
from prox_spark.tables.units import in_units
from prox_spark.versions.changes import CHANGES, LINE_CHANGES, document_changes, line_changes
from prox_spark.versions.names import Version, open_version

_log = logging.getLogger(__name__)

_NUMBERS = ("n_lines", "n_lines_removed", "n_lines_rewritten", "n_characters", "n_characters_removed")


@dataclass(frozen=True)
class Comparison:
    """The differences between two refinement versions, as lazy DataFrames.

    ``documents``: a row for each document of either version: doc_id, unit, change (one of ``CHANGES``), log_changed, source
    and url (null where kept in neither), and ``before`` and ``after``: structs of fate (refined, dropped, quarantined; null
    where the version does not have the document), reason, characters kept.
    ``lines``: a row for each line that one version's log has and the other's has not, or has otherwise, in documents kept
    in both: doc_id, unit, line_number, change (one of ``LINE_CHANGES``), operation_before, operation_after,
    replacement_before, replacement_after, text.
    ``operations``, ``sources``, ``reasons``: lines and characters by operation and refiner (all logged lines), by source
    (kept documents), by stage, reason and refiner (dropped documents); each for both versions, told apart by ``side``
    (from, to).
    ``configuration``: the keys in which the two differ, each with both values.
    """

    before: Version
    after: Version
    documents: DataFrame
    lines: DataFrame
    operations: DataFrame
    sources: DataFrame
    reasons: DataFrame
    configuration: dict[str, dict[str, Any]]

    def summary(self, limit: int = 20, seed: int = 0) -> dict[str, Any]:
        """The comparison in numbers, as ``prox-spark compare --output json`` prints it.

        Of the corpus only the ``limit`` movers and sampled lines leave the executors.
        ``documents``: how many of each change (their sum is all documents of either version); ``quarantined``: how many of
        them each version has quarantined. ``lines``: ``by_change`` in documents kept in both; ``by_operation``,
        ``by_source``, ``by_reason`` for each version. ``configuration``: differing keys. ``movers``: the documents whose
        kept characters differ most. ``sample``: line differences, the same ones for the same seed.
        """
        with cached(self.documents) as documents, ThreadPoolExecutor(max_workers=4) as pool:
            counts = documents.groupBy("change", "before.fate", "after.fate").agg(F.count("*").alias("n"))
            fates = counts.toDF("change", "before", "after", "n").collect()
            lines = pool.submit(_line_counts, self, documents)
            sides = [
                pool.submit(_by_key, rows, keys)
                for rows, keys in (
                    (self.operations, ["operation", "refiner"]),
                    (self.sources, ["source"]),
                    (self.reasons, ["stage", "reason", "refiner"]),
                )
            ]
            moved = pool.submit(_movers, documents, limit)
            sampled = pool.submit(_sample, self, documents, limit, seed)
            operations, sources, reasons = (side.result() for side in sides)
            return {
                "from": _version(self.before),
                "to": _version(self.after),
                "documents": {change: sum(row["n"] for row in fates if row["change"] == change) for change in CHANGES},
                "quarantined": {
                    name: sum(row["n"] for row in fates if row[side] == "quarantined")
                    for name, side in (("from", "before"), ("to", "after"))
                },
                "lines": {
                    "by_change": lines.result(),
                    "by_operation": operations,
                    "by_source": sources,
                    "by_reason": reasons,
                },
                "configuration": self.configuration,
                "movers": moved.result(),
                "sample": sampled.result(),
            }


def compare(spark: SparkSession, store: str, before: str, after: str) -> Comparison:
    """What differs between two refinement versions of one store.

    ``store``: a path or a catalog's ``schema``. ``before``, ``after``: ``NAME`` (its newest version), ``NAME:VERSION``, or
    ``@N`` for version N of the table ``refined``.

    Returns a ``Comparison``: its DataFrames to ask further, its ``summary()`` in numbers.
    Raises ``UsageError`` for names that do not exist, ``StoreError`` for versions that are gone.

    >>> found = prox_spark.compare(spark, "my-store", "documents", "rules")
    >>> found.documents.groupBy("change").count().orderBy("change").collect()
    [Row(change='changed', count=2), Row(change='dropped_in_both', count=1)]
    >>> found.summary()["lines"]["by_change"]["newly_dropped"]["lines"]
    4
    """
    # A document is unchanged where both versions have the same text of it. Equal logs make equal texts: the texts are only
    # read where some log differs, which takes one look at the small columns.
    opened = open_store(spark, store)
    one, other = open_version(opened, before), open_version(opened, after)
    values = {"store": opened.location, "from_refinement": one.name, "to_refinement": other.name}
    _log.info("compare: %s with %s, store %s", one.name, other.name, opened.location, extra=values)
    logs = (version.read("refined").select("doc_id", "log_hash") for version in (one, other))
    before_logs, after_logs = (rows.withColumnRenamed("log_hash", side) for rows, side in zip(logs, "ba", strict=True))
    same_logs = before_logs.join(after_logs, "doc_id").where("a != b").isEmpty()
    documents = document_changes(one, other, with_text=not same_logs)
    return Comparison(
        one,
        other,
        documents,
        line_changes(one, other, documents, F.col("text")),
        _both(one, other, "dropped_lines", ["operation", "refiner"], lines=F.lit(1), characters=F.length("text")),
        _both(one, other, "refined", ["source"], documents=F.lit(1), **{name: F.col(name) for name in _NUMBERS}),
        _both(
            one,
            other,
            "dropped_documents",
            ["stage", "reason", "refiner"],
            documents=F.lit(1),
            lines=F.col("n_lines"),
            characters=F.col("n_characters"),
        ),
        _configuration(one, other),
    )


def _both(one: Version, other: Version, table: str, keys: list[str], **sums: Column) -> DataFrame:
    """Sums over the table's rows by key, for both versions."""

    def of(version: Version, side: str) -> DataFrame:
        grouped = version.read(table).groupBy(*keys)
        return grouped.agg(*(F.sum(column).alias(name) for name, column in sums.items())).withColumn(
            "side", F.lit(side)
        )

    return of(one, "from").unionByName(of(other, "to"))


def _configuration(one: Version, other: Version) -> dict[str, dict[str, Any]]:
    before, after = (
        {**flat(stripped(json.loads(version.row["configuration"]))), **json.loads(version.row["identity"])}
        for version in (one, other)
    )
    keys = sorted(before.keys() | after.keys())
    return {key: {"from": before.get(key), "to": after.get(key)} for key in keys if before.get(key) != after.get(key)}


def flat(configuration: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots.

    >>> flat({"store": "s", "chunk": {"window": 1500}})
    {'store': 's', 'chunk.window': 1500}
    """
    found: dict[str, Any] = {}
    for key, value in configuration.items():
        nested = isinstance(value, dict) and value
        found |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return found


def _version(version: Version) -> dict[str, Any]:
    names = ("refinement", "version", "refined_version", "created_at")
    return {**{name: version.row[name] for name in names}, "counts": version.row["counts"].asDict()}


def _line_counts(comparison: Comparison, documents: DataFrame) -> dict[str, dict[str, int]]:
    """Lines and their characters by what became of them."""
    characters = F.length("text").alias("characters")
    lines = line_changes(comparison.before, comparison.after, documents, characters)
    found = {
        row["change"]: {"lines": row["lines"], "characters": row["characters"]}
        for row in lines.groupBy("change")
        .agg(F.count("*").alias("lines"), F.sum("characters").alias("characters"))
        .collect()
    }
    return {change: found.get(change, {"lines": 0, "characters": 0}) for change in LINE_CHANGES}


def _by_key(rows: DataFrame, keys: list[str]) -> list[dict[str, Any]]:
    """Rows of both sides as one object a key: its columns, ``from`` and ``to``; what one side lacks counts 0 there."""
    names = [name for name in rows.columns if name not in (*keys, "side")]
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows.collect():
        key = tuple(row[name] for name in keys)
        empty = {side: dict.fromkeys(names, 0) for side in ("from", "to")}
        entry = found.setdefault(key, {**dict(zip(keys, key, strict=True)), **empty})
        entry[row["side"]] = {name: row[name] or 0 for name in names}
    return [found[key] for key in sorted(found, key=lambda key: tuple(str(part or "") for part in key))]


def _movers(documents: DataFrame, limit: int) -> list[dict[str, Any]]:
    before, after = (F.coalesce(f"{side}.characters", F.lit(0)) for side in ("before", "after"))
    moved = documents.select(
        *("doc_id", "source", "url", "change"),
        before.alias("characters_from"),
        after.alias("characters_to"),
        (after - before).alias("difference"),
    )
    in_both = moved.where("difference != 0 AND change NOT IN ('added', 'removed')")
    return [row.asDict() for row in in_both.orderBy(F.desc(F.abs("difference")), "doc_id").limit(limit).collect()]


def _sample(comparison: Comparison, documents: DataFrame, limit: int, seed: int) -> list[dict[str, Any]]:
    """Line differences of some documents: as many documents as lines, of all their differences so many lines."""

    def order(*columns: str) -> Column:
        return F.xxhash64(F.lit(seed), *columns)

    changed = documents.where("log_changed").select("doc_id", "unit")
    chosen: list[Row] = changed.orderBy(order("doc_id"), "doc_id").limit(limit).collect()
    if not chosen:
        return []
    own = F.col("doc_id").isin([row["doc_id"] for row in chosen])
    units = in_units({row["unit"] for row in chosen})
    lines = line_changes(comparison.before, comparison.after, documents.where(own & units), F.col("text"))
    place = ("doc_id", "line_number")
    rows = lines.orderBy(order(*place), *place).limit(limit).collect()
    return [row.asDict() for row in sorted(rows, key=lambda row: tuple(row[name] for name in place))]
