"""The sampled documents of a report. Other documents are not collected.

A seed always draws the same documents, whatever the partitions: those with the smallest hash of id and seed.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from prox_spark.reporting.documents import IN_REPORT, MAX_CALLS, Extent, Found, ReportDocument, document
from prox_spark.reporting.lines import calls_of
from prox_spark.spark_api import tagged_pool
from prox_spark.tables.units import in_units
from prox_spark.versions.names import Version, own_rows

_UNITS = 64
"""Number of units to draw documents from: a unit's text is stored together, so few files are read."""

_CALLS_READ = 50 * MAX_CALLS
"""Maximum calls of a program that are searched for a line's call."""


def read_sample(readings: Sequence[Version], size: int, seed: int) -> tuple[ReportDocument, ...]:
    """About ``size`` documents of all versions, in drawing order, with every version's result."""
    return read_documents(readings, [(row["doc_id"], row["unit"]) for row in _draw(readings, size, seed)])


def read_documents(
    readings: Sequence[Version], places: Sequence[tuple[str, int]], extent: Extent = IN_REPORT
) -> tuple[ReportDocument, ...]:
    """The documents with these ids and units, in this order, with every version's result; unknown ones are skipped."""
    if not places:
        return ()
    executions = [json.loads(reading.row["configuration"])["execution"] for reading in readings]
    ids = [doc_id for doc_id, _ in places]
    units = {unit for _, unit in places}

    def own(rows: DataFrame) -> DataFrame:
        """Rows of the chosen documents; files of other units are not read."""
        pruned = rows.where(in_units(units)) if "unit" in rows.columns else rows
        if len(ids) == 1:
            # A condition that lets Spark skip files and parts of files.
            return pruned.where(F.col("doc_id") == ids[0])
        chosen = rows.sparkSession.createDataFrame([(doc_id,) for doc_id in ids], "doc_id string")
        return pruned.join(F.broadcast(chosen), "doc_id", "left_semi")

    texts = _texts(readings, own, extent)
    found = [_found(reading, own, extent) for reading in readings]
    return tuple(
        document(texts[doc_id], [each(doc_id) for each in found], executions, extent)
        for doc_id in ids
        if doc_id in texts
    )


Own = Callable[[DataFrame], DataFrame]


def documents_of(readings: Sequence[Version], own: Own = lambda rows: rows) -> DataFrame:
    """The documents of all versions that ``own`` selects; the last version's rows take precedence."""
    last = own(readings[-1].read("documents"))
    if len({reading.row["documents_version"] for reading in readings}) == 1:
        return last
    gone = own(readings[0].read("documents")).join(last.select("doc_id"), "doc_id", "left_anti")
    return last.unionByName(gone)


def _draw(readings: Sequence[Version], size: int, seed: int) -> list[Row]:
    """doc_id and unit of the drawn documents, in order."""
    documents = documents_of(readings).select("doc_id", "unit")

    def place(column: str) -> Column:
        return F.xxhash64(column, F.lit(seed).cast("long"))

    units = documents.select("unit").distinct().orderBy(place("unit"), "unit").limit(_UNITS + 1).collect()
    if len(units) > _UNITS:
        documents = documents.where(in_units(row["unit"] for row in units[:_UNITS]))
    drawn: list[Row] = documents.orderBy(place("doc_id"), "doc_id").limit(size).collect()
    return drawn


def _texts(readings: Sequence[Version], own: Own, extent: Extent) -> dict[str, dict[str, Any]]:
    text = F.col("text")
    rows = documents_of(readings, own).select(
        *("doc_id", "source", "url"),
        F.substring(text, 1, extent.characters).alias("head"),
        F.length(text).alias("n_characters"),
        (F.length(text) - F.length(F.replace(text, F.lit("\n"))) + 1).alias("n_lines"),
    )
    return _by_document(rows.collect())


def _by_document(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    return {row["doc_id"]: row.asDict(recursive=True) for row in rows}


def _found(reading: Version, own: Own, extent: Extent) -> Callable[[str], Found]:
    """A version's result for each drawn document."""
    reads = (_refined, _dropped, _quarantined, _log, _programs)
    with tagged_pool(reading.store.spark, 2) as pool:
        tables = list(pool.map(lambda read: _by_document(read(reading, own, extent).collect()), reads))
    refined, dropped, quarantined, log, programs = tables
    compat = json.loads(reading.row["configuration"])["execution"]["mode"] == "compat"
    semantics = 1 if compat else json.loads(reading.row["identity"])["semantics"]

    def of(doc_id: str) -> Found:
        lines = log.get(doc_id, {})
        return Found(
            refined.get(doc_id),
            dropped.get(doc_id),
            quarantined.get(doc_id),
            lines.get("lines", ()),
            lines.get("operations", ()),
            [
                {**program, "calls": calls_of(program, semantics)[:_CALLS_READ]}
                for program in programs.get(doc_id, {}).get("programs", ())
            ],
        )

    return of


def _refined(reading: Version, own: Own, _: Extent) -> DataFrame:
    numbers = ("n_lines_removed", "n_lines_rewritten", "guard")
    return own(reading.read("refined")).select("doc_id", *numbers, F.xxhash64("text").alias("text_hash"))


def _dropped(reading: Version, own: Own, _: Extent) -> DataFrame:
    return own(reading.read("dropped_documents")).select("doc_id", "stage", "reason", "keep_score")


def _quarantined(reading: Version, own: Own, _: Extent) -> DataFrame:
    return own(own_rows(reading, "quarantine")).select("doc_id", "error_class", "message")


def _log(reading: Version, own: Own, extent: Extent) -> DataFrame:
    """A row for each document: the logged lines that can be shown, and all operations of its log."""
    replacement = F.substring("replacement", 1, extent.characters).alias("replacement")
    line = F.struct("line_number", "operation", "score", replacement)
    return (
        own(reading.read("dropped_lines"))
        .groupBy("doc_id")
        .agg(
            F.collect_list(F.when(F.col("line_number") < extent.lines, line)).alias("lines"),
            F.sort_array(F.collect_set("operation")).alias("operations"),
        )
    )


def _programs(reading: Version, own: Own, extent: Extent) -> DataFrame:
    """A row for each document: its programs in order, if they cover lines that can be shown."""
    program = F.struct(
        F.when(F.col("stage") == "chunk", F.col("chunk")).otherwise(-1).alias("order"),
        *("stage", "line_start", "line_end", "keep_score", "output", "line_offset"),
        F.slice("calls", 1, _CALLS_READ).alias("calls"),
        F.slice("line_scores", 1, extent.lines).alias("line_scores"),
    )
    shown = F.coalesce(F.col("line_start") < extent.lines, F.lit(True))
    rows = own(own_rows(reading, "programs")).where(shown)
    return rows.groupBy("doc_id").agg(F.sort_array(F.collect_list(program)).alias("programs"))
