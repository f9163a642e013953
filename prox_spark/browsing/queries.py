"""Documents and dropped lines of a page, and answers to SQL: a bounded number of rows of bounded length, read with Spark."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, NumericType

from prox_spark.browsing import asked
from prox_spark.browsing.paging import Page, Place, read_page
from prox_spark.reporting.sample import documents_of
from prox_spark.versions.changes import change_class
from prox_spark.versions.names import Version, own_rows
from prox_spark.versions.sql import query

_NAME = 300
_TEXT = 2_000
ROWS = 1_000
"""Maximum rows shown of an SQL result."""

_HOST = r"(?i)^[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?([^/:?#]+)"

Near = Callable[[DataFrame], DataFrame]


def find_documents(readings: Sequence[Version], wanted: asked.Documents, size: int) -> Page:
    """A page of documents in the last version; with two versions, also what changed between them.

    Rows: doc_id, unit, source, url, outcome, reason, n_lines_removed, n_lines_rewritten, characters, kept.
    """
    last_unit = max(int(reading.row["last_unit"]) for reading in readings)

    def find(first: int, last: int, limit: int) -> list[Row]:
        near = _within(first, last)
        texts = documents_of(readings, near).where(_after(wanted.after, with_line=False)).where(_about(wanted))
        if wanted.id:
            texts = texts.where(F.col("doc_id") == wanted.id)
        rows = texts.select("doc_id", "unit", *_names())
        for number, reading in enumerate(readings):
            rows = rows.join(_fates(reading, near).withColumnRenamed("fate", f"fate_{number}"), "doc_id", "left")
        outcome = _change() if len(readings) > 1 else _outcome()
        of_last = F.col(f"fate_{len(readings) - 1}")
        fields = ("reason", "n_lines_removed", "n_lines_rewritten", "characters", "kept")
        shown = rows.select(
            *("doc_id", "unit", "source", "url"),
            outcome.alias("outcome"),
            *(of_last[name].alias(name) for name in fields),
        )
        found: list[Row] = shown.where(_matches(wanted)).orderBy("unit", "doc_id").limit(limit).collect()
        return found

    # File statistics make the search for an id fast, so all units are searched at once.
    width = last_unit + 1 if wanted.id else 1
    return read_page(find, wanted.after, last_unit, of=_place, width=width, size=size)


def find_lines(readings: Sequence[Version], wanted: asked.Lines, size: int) -> Page:
    """A page of lines that the last version removed or changed; with two versions, only lines that the first leaves unchanged.

    Rows: doc_id, unit, line_number, operation, stage, score, replacement, text.
    """
    last_unit = int(readings[-1].row["last_unit"])

    def find(first: int, last: int, limit: int) -> list[Row]:
        near = _within(first, last)
        rows = near(readings[-1].read("dropped_lines")).where(_after(wanted.after, with_line=True))
        rows = rows.where(_contains(wanted.text)).where(_of_line(wanted))
        if wanted.source or wanted.domain:
            named = near(readings[-1].read("refined")).where(_from(wanted))
            rows = rows.join(named.select("doc_id"), "doc_id", "left_semi")
        for other in readings[:-1]:
            kept = near(other.read("refined")).select("doc_id")
            logged = near(other.read("dropped_lines")).select("doc_id", "line_number")
            rows = rows.join(kept, "doc_id", "left_semi").join(logged, ["doc_id", "line_number"], "left_anti")
        # One character more than is shown, to detect a cut.
        texts = (F.substring(name, 1, _TEXT + 1).alias(name) for name in ("replacement", "text"))
        shown = rows.orderBy("unit", "doc_id", "line_number").limit(limit)
        found: list[Row] = shown.select(
            "doc_id", "unit", "line_number", "operation", "stage", "score", *texts
        ).collect()
        return found

    return read_page(find, wanted.after, last_unit, of=_place_of_line, size=size)


@dataclass(frozen=True)
class Answer:
    """The first rows of an SQL result: numbers as they are, everything else as text, null as None.

    ``more``: whether the result has more rows.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool


def ask(spark: SparkSession, location: str, text: str, rows: int = ROWS) -> Answer:
    """The first ``rows`` rows of the result of one SELECT, as the verb ``sql`` reads it.

    Raises ``UsageError`` for SQL that is not a query, or uses unknown names.
    """
    answer = query(spark, location, text)
    # Two columns may have the same name.
    numbered = answer.toDF(*(f"c{number}" for number in range(len(answer.columns))))
    shown = [
        F.col(field.name)
        if isinstance(field.dataType, NumericType | BooleanType)
        else F.substring(F.col(field.name).cast("string"), 1, _TEXT + 1).alias(field.name)
        for field in numbered.schema
    ]
    found = numbered.limit(rows + 1).select(*shown).collect()
    return Answer(tuple(answer.columns), tuple(tuple(row) for row in found[:rows]), len(found) > rows)


def _within(first: int, last: int) -> Near:
    """The rows of these units; files of other units are not read."""
    return lambda rows: rows.where(F.col("unit").between(first, last))


def _place(row: Row) -> Place:
    return Place(row["unit"], row["doc_id"])


def _place_of_line(row: Row) -> Place:
    return Place(row["unit"], row["doc_id"], row["line_number"])


def _after(place: Place, *, with_line: bool) -> Column:
    """Rows after a place, in the order of unit, id and line."""
    unit, doc_id = F.col("unit"), F.col("doc_id")
    if place.doc_id is None:
        return unit >= place.unit
    same = F.lit(False)
    if with_line:
        same = (doc_id == place.doc_id) & (F.col("line_number") > place.line)
    return (unit > place.unit) | ((unit == place.unit) & ((doc_id > place.doc_id) | same))


def _names() -> tuple[Column, ...]:
    return tuple(F.substring(name, 1, _NAME).alias(name) for name in ("source", "url"))


def _all(conditions: Sequence[Column]) -> Column:
    return reduce(lambda a, b: a & b, conditions, F.lit(True))


def _contains(text: str) -> Column:
    return F.lower("text").contains(text.lower()) if text else F.lit(True)


def _from(wanted: asked.Documents | asked.Lines) -> Column:
    conditions = [F.col("source") == wanted.source] if wanted.source else []
    if wanted.domain:
        host = F.lower(F.regexp_extract("url", _HOST, 1))
        conditions.append((host == wanted.domain) | host.endswith(f".{wanted.domain}"))
    return _all(conditions)


def _about(wanted: asked.Documents) -> Column:
    return _from(wanted) & _contains(wanted.text)


def _of_line(wanted: asked.Lines) -> Column:
    conditions = [F.col("operation") == wanted.operation] if wanted.operation else []
    if wanted.kind:
        removed = F.col("replacement").isNull()
        conditions.append(removed if wanted.kind == "removed" else ~removed)
    if wanted.least is not None:
        conditions.append(F.col("score") >= wanted.least)
    if wanted.most is not None:
        conditions.append(F.col("score") <= wanted.most)
    return _all(conditions)


def _fates(version: Version, near: Near) -> DataFrame:
    """doc_id and ``fate``, a struct with the version's result for the document."""
    none, number = F.lit(None).cast("string"), F.lit(None).cast("long")

    def row(fate: str, reason: Column, *numbers: Column, log_hash: Column = number) -> Column:
        names = ("n_lines_removed", "n_lines_rewritten", "characters", "kept")
        counts = (column.cast("long").alias(name) for name, column in zip(names, numbers, strict=True))
        fields = (F.lit(fate).alias("fate"), reason.alias("reason"), *counts, log_hash.alias("log_hash"))
        return F.struct(*fields).alias("fate")

    refined, dropped = near(version.read("refined")), near(version.read("dropped_documents"))
    quarantined = own_rows(version, "quarantine").where(F.col("doc_id").isNotNull())
    characters = F.col("n_characters") + F.col("n_characters_removed")
    counts = (F.col("n_lines_removed"), F.col("n_lines_rewritten"), characters, F.col("n_characters"))
    parts = (
        refined.select("doc_id", row("refined", none, *counts, log_hash=F.col("log_hash"))),
        dropped.select("doc_id", row("dropped", F.col("reason"), number, number, F.col("n_characters"), F.lit(0))),
        quarantined.select("doc_id", row("quarantined", F.col("error_class"), *(number,) * 4)).distinct(),
    )
    return reduce(lambda all_, part: all_.unionByName(part), parts)


def _outcome() -> Column:
    fate = F.col("fate_0")
    edited = (fate["n_lines_removed"] + fate["n_lines_rewritten"]) > 0
    kept = F.when(edited, "edited").otherwise("untouched")
    return F.when(fate.isNull(), "absent").when(fate["fate"] == "refined", kept).otherwise(fate["fate"])


def _change() -> Column:
    before, after = F.col("fate_0"), F.col("fate_1")
    return change_class(before["fate"], after["fate"], before["log_hash"] != after["log_hash"])


def _matches(wanted: asked.Documents) -> Column:
    conditions = [F.col("reason") == wanted.reason] if wanted.reason else []
    if wanted.outcome == "kept":
        conditions.append(F.col("outcome").isin("untouched", "edited"))
    elif wanted.outcome:
        conditions.append(F.col("outcome") == wanted.outcome)
    return _all(conditions)
