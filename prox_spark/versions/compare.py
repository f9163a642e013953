"""``compare``: two refinement versions side by side, as DataFrames over the store's tables."""

import json
import logging
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from prox_spark.tables.store import open_store
from prox_spark.versions.names import Version, open_version, own_rows

_log = logging.getLogger(__name__)

CHANGES = ("unchanged", "changed", "newly_dropped", "newly_kept", "dropped_in_both", "added", "removed")
"""What may have become of a document. A quarantined one is not kept, so it counts as dropped."""

LINE_CHANGES = ("newly_dropped", "newly_kept", "rewritten", "other_operation")
"""What may have become of a line; ``other_operation``: the same, by another operation."""

_NUMBERS = ("n_lines", "n_lines_removed", "n_lines_rewritten", "n_characters", "n_characters_removed")


@dataclass(frozen=True)
class Comparison:
    """What differs between two refinement versions. Nothing of it is computed before it is asked for.

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


def compare(spark: SparkSession, location: str, before: str, after: str) -> Comparison:
    """The comparison of two versions of one store, each named ``NAME``, ``NAME:VERSION`` or ``@N``.

    A document is unchanged where both versions have the same text of it. Equal logs make equal texts: the texts are only
    read where some log differs, which takes one look at the small columns.
    Raises ``UsageError`` for names that do not exist, ``StoreError`` for versions that are gone.
    """
    store = open_store(spark, location)
    one, other = open_version(store, before), open_version(store, after)
    values = {"store": store.location, "from_refinement": one.name, "to_refinement": other.name}
    _log.info("compare: %s with %s, store %s", one.name, other.name, store.location, extra=values)
    logs = (version.read("refined").select("doc_id", "log_hash") for version in (one, other))
    before_logs, after_logs = (rows.withColumnRenamed("log_hash", side) for rows, side in zip(logs, "ba", strict=True))
    same_logs = before_logs.join(after_logs, "doc_id").where("a != b").isEmpty()
    documents = _documents(one, other, with_text=not same_logs)
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


def _documents(one: Version, other: Version, *, with_text: bool) -> DataFrame:
    before, after = (_fates(version, with_text=with_text).alias(side) for version, side in ((one, "b"), (other, "a")))
    b, a = F.col("b.fate"), F.col("a.fate")
    both = (b == "refined") & (a == "refined")
    log_changed = F.coalesce(both & (F.col("b.log_hash") != F.col("a.log_hash")), F.lit(False))
    text_changed = log_changed & (F.col("b.text_hash") != F.col("a.text_hash")) if with_text else log_changed
    change = (
        F.when(b.isNull(), "added")
        .when(a.isNull(), "removed")
        .when(both, F.when(text_changed, "changed").otherwise("unchanged"))
        .when(b == "refined", "newly_dropped")
        .when(a == "refined", "newly_kept")
        .otherwise("dropped_in_both")
    )

    def side(name: str) -> Column:
        return F.struct(*(F.col(f"{name}.{column}") for column in ("fate", "reason", "characters")))

    either = [F.coalesce(f"b.{name}", f"a.{name}").alias(name) for name in ("doc_id", "unit", "source", "url")]
    joined = before.join(after, F.col("b.doc_id") == F.col("a.doc_id"), "full_outer")
    return joined.select(
        *either,
        change.alias("change"),
        log_changed.alias("log_changed"),
        side("b").alias("before"),
        side("a").alias("after"),
    )


def _fates(version: Version, *, with_text: bool) -> DataFrame:
    """What the version made of each of its documents. By row conservation these are all of them, each once."""
    null = F.lit(None)
    text_hash = F.xxhash64("text") if with_text else null.cast("long")
    refined = version.read("refined").select(
        *("doc_id", "unit", "source", "url", "log_hash"),
        text_hash.alias("text_hash"),
        F.lit("refined").alias("fate"),
        null.cast("string").alias("reason"),
        F.col("n_characters").alias("characters"),
    )
    dropped = version.read("dropped_documents").select(
        *("doc_id", "unit", "reason"), F.lit("dropped").alias("fate"), F.lit(0).alias("characters")
    )
    quarantined = own_rows(version, "quarantine").select(
        *("doc_id", F.col("error_class").alias("reason")),
        F.lit("quarantined").alias("fate"),
        F.lit(0).alias("characters"),
    )
    parts = (refined, dropped, quarantined.distinct())
    return reduce(lambda all_, part: all_.unionByName(part, allowMissingColumns=True), parts)


def line_changes(one: Version, other: Version, documents: DataFrame, *about: Column) -> DataFrame:
    """``Comparison.lines``, with other columns of ``dropped_lines`` (or made from them) in the place of ``text``."""
    chosen = documents.where("log_changed").select("doc_id", "unit")
    names = [*("operation", "replacement"), "about"]

    def logged(version: Version, side: str) -> DataFrame:
        # What is asked about a line is taken before the join: of its text often no more than the length has to travel.
        rows = version.read("dropped_lines").select(
            *("doc_id", "unit", "line_number", "operation", "replacement"), F.struct(*about).alias("about")
        )
        # By the unit, too: files without the units that were chosen are not read. A semi join: Spark could take the log, of
        # which the files say too little (equal lines compress to nothing), for the small side of another and broadcast it.
        joined = rows.join(chosen, ["doc_id", "unit"], "left_semi")
        return joined.select("doc_id", "line_number", "unit", *(F.col(name).alias(f"{name}_{side}") for name in names))

    joined = logged(one, "before").join(logged(other, "after"), ["doc_id", "line_number", "unit"], "full_outer")
    before, after = (
        F.col(f"operation_{side}").isNotNull() & F.col(f"replacement_{side}").isNull() for side in ("before", "after")
    )
    same_operation = F.col("operation_before").eqNullSafe(F.col("operation_after"))
    same_replacement = F.col("replacement_before").eqNullSafe(F.col("replacement_after"))
    logged_in_both = F.col("operation_before").isNotNull() & F.col("operation_after").isNotNull()
    change = (
        F.when(after & ~before, "newly_dropped")
        .when(before & ~after, "newly_kept")
        .when(logged_in_both & same_replacement, "other_operation")
        .otherwise("rewritten")
    )
    sides = [f"{name}_{side}" for name in ("operation", "replacement") for side in ("before", "after")]
    differing = joined.where(~(same_operation & same_replacement))
    return differing.select(
        *("doc_id", "unit", "line_number"),
        change.alias("change"),
        *sides,
        F.coalesce("about_before", "about_after").alias("about"),
    ).select("doc_id", "unit", "line_number", "change", *sides, "about.*")


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
        {**flat(json.loads(version.row["configuration"])), **json.loads(version.row["identity"])}
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
