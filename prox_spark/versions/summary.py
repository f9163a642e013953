"""A comparison in numbers: what ``prox-spark compare`` prints."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from prox_spark.tables.cache import cached
from prox_spark.versions.compare import CHANGES, LINE_CHANGES, Comparison, line_changes
from prox_spark.versions.names import Version


def summarize(comparison: Comparison, limit: int = 20, seed: int = 0) -> dict[str, Any]:
    """The comparison as one JSON object; of the corpus only the ``limit`` movers and sampled lines leave the executors.

    ``documents``: how many of each change (their sum is all documents of either version); ``quarantined``: how many of them
    each version has quarantined. ``lines``: ``by_change`` in documents kept in both; ``by_operation``, ``by_source``,
    ``by_reason`` for each version. ``configuration``: differing keys. ``movers``: the documents whose kept characters
    differ most. ``sample``: line differences, the same ones for the same seed.
    """
    with cached(comparison.documents) as documents, ThreadPoolExecutor(max_workers=4) as pool:
        counts = documents.groupBy("change", "before.fate", "after.fate").agg(F.count("*").alias("n"))
        fates = counts.toDF("change", "before", "after", "n").collect()
        lines = pool.submit(_line_counts, comparison, documents)
        sides = [
            pool.submit(by_key, rows, keys)
            for rows, keys in (
                (comparison.operations, ["operation", "refiner"]),
                (comparison.sources, ["source"]),
                (comparison.reasons, ["stage", "reason", "refiner"]),
            )
        ]
        moved = pool.submit(_movers, documents, limit)
        sampled = pool.submit(_sample, comparison, documents, limit, seed)
        operations, sources, reasons = (side.result() for side in sides)
        return {
            "from": _version(comparison.before),
            "to": _version(comparison.after),
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
            "configuration": comparison.configuration,
            "movers": moved.result(),
            "sample": sampled.result(),
        }


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


def by_key(rows: DataFrame, keys: list[str]) -> list[dict[str, Any]]:
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
    units = F.col("unit").isin(sorted({row["unit"] for row in chosen}))
    lines = line_changes(comparison.before, comparison.after, documents.where(own & units), F.col("text"))
    place = ("doc_id", "line_number")
    rows = lines.orderBy(order(*place), *place).limit(limit).collect()
    return [row.asDict() for row in sorted(rows, key=lambda row: tuple(row[name] for name in place))]
