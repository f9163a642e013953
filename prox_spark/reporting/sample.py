"""The sampled documents of a report. Nothing of the others is collected.

The same documents are drawn for the same seed, whatever the partitions: those with the smallest hash of id and seed.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from prox_spark.reporting.documents import MAX_CALLS, MAX_CHARACTERS, MAX_LINES, Found, ReportDocument, document
from prox_spark.reporting.lines import calls_of
from prox_spark.tables.units import in_units
from prox_spark.versions.names import Version, own_rows

_UNITS = 64
"""Units that documents are drawn from: their text is read, and that of a unit lies together."""

_CALLS_READ = 50 * MAX_CALLS
"""Calls of a program to search for the call of a line."""


def read_sample(readings: Sequence[Version], size: int, seed: int) -> tuple[ReportDocument, ...]:
    """About ``size`` documents of all versions, in the order of their draw, as every version has them."""
    drawn = _draw(readings, size, seed)
    executions = [json.loads(reading.row["configuration"])["execution"] for reading in readings]
    if not drawn:
        return ()
    chosen = readings[0].store.spark.createDataFrame([(row["doc_id"],) for row in drawn], "doc_id string")
    units = {row["unit"] for row in drawn}

    def own(rows: DataFrame) -> DataFrame:
        """Those of the drawn documents; files of other units are not read."""
        pruned = rows.where(in_units(units)) if "unit" in rows.columns else rows
        return pruned.join(F.broadcast(chosen), "doc_id", "left_semi")

    texts = _texts(readings, own)
    found = [_found(reading, own) for reading in readings]
    return tuple(document(texts[row["doc_id"]], [each(row["doc_id"]) for each in found], executions) for row in drawn)


def _documents(readings: Sequence[Version]) -> DataFrame:
    """The documents of all versions; those of the last come from it."""
    last = readings[-1].read("documents")
    if len({reading.row["documents_version"] for reading in readings}) == 1:
        return last
    gone = readings[0].read("documents").join(last.select("doc_id"), "doc_id", "left_anti")
    return last.unionByName(gone)


def _draw(readings: Sequence[Version], size: int, seed: int) -> list[Row]:
    """doc_id and unit of the drawn documents, in order."""
    documents = _documents(readings).select("doc_id", "unit")

    def place(column: str) -> Column:
        return F.xxhash64(column, F.lit(seed).cast("long"))

    units = documents.select("unit").distinct().orderBy(place("unit"), "unit").limit(_UNITS + 1).collect()
    if len(units) > _UNITS:
        documents = documents.where(in_units(row["unit"] for row in units[:_UNITS]))
    drawn: list[Row] = documents.orderBy(place("doc_id"), "doc_id").limit(size).collect()
    return drawn


Own = Callable[[DataFrame], DataFrame]


def _texts(readings: Sequence[Version], own: Own) -> dict[str, dict[str, Any]]:
    text = F.col("text")
    rows = own(_documents(readings)).select(
        *("doc_id", "source", "url"),
        F.substring(text, 1, MAX_CHARACTERS).alias("head"),
        F.length(text).alias("n_characters"),
        (F.length(text) - F.length(F.replace(text, F.lit("\n"))) + 1).alias("n_lines"),
    )
    return _by_document(rows.collect())


def _by_document(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    return {row["doc_id"]: row.asDict(recursive=True) for row in rows}


def _found(reading: Version, own: Own) -> Callable[[str], Found]:
    """What a version made of each drawn document."""
    reads = (_refined, _dropped, _quarantined, _log, _programs)
    with ThreadPoolExecutor(max_workers=2) as pool:
        tables = list(pool.map(lambda read: _by_document(read(reading, own).collect()), reads))
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


def _refined(reading: Version, own: Own) -> DataFrame:
    numbers = ("n_lines_removed", "n_lines_rewritten", "guard")
    return own(reading.read("refined")).select("doc_id", *numbers, F.xxhash64("text").alias("text_hash"))


def _dropped(reading: Version, own: Own) -> DataFrame:
    return own(reading.read("dropped_documents")).select("doc_id", "stage", "reason", "keep_score")


def _quarantined(reading: Version, own: Own) -> DataFrame:
    return own(own_rows(reading, "quarantine")).select("doc_id", "error_class", "message")


def _log(reading: Version, own: Own) -> DataFrame:
    """A row for each document: the logged lines that can be shown, and all operations of its log."""
    replacement = F.substring("replacement", 1, MAX_CHARACTERS).alias("replacement")
    line = F.struct("line_number", "operation", "score", replacement)
    return (
        own(reading.read("dropped_lines"))
        .groupBy("doc_id")
        .agg(
            F.collect_list(F.when(F.col("line_number") < MAX_LINES, line)).alias("lines"),
            F.sort_array(F.collect_set("operation")).alias("operations"),
        )
    )


def _programs(reading: Version, own: Own) -> DataFrame:
    """A row for each document: its programs in order, as far as they are about lines that can be shown."""
    program = F.struct(
        F.when(F.col("stage") == "chunk", F.col("chunk")).otherwise(-1).alias("order"),
        *("stage", "line_start", "line_end", "keep_score", "output", "line_offset"),
        F.slice("calls", 1, _CALLS_READ).alias("calls"),
        F.slice("line_scores", 1, MAX_LINES).alias("line_scores"),
    )
    shown = F.coalesce(F.col("line_start") < MAX_LINES, F.lit(True))
    rows = own(own_rows(reading, "programs")).where(shown)
    return rows.groupBy("doc_id").agg(F.sort_array(F.collect_list(program)).alias("programs"))
