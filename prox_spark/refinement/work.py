"""The work of a refinement version: its documents, programs and settings. Reads tables and writes none."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from prox_spark.config.models import Config
from prox_spark.errors import IncompleteError
from prox_spark.generation.plan import Refiners
from prox_spark.refinement.task import ExecutionParameters, columns_in
from prox_spark.schemas import PROGRAM_COUNTS
from prox_spark.tables.counts import program_counts
from prox_spark.tables.store import Store

# Programs are about a hundredth of their documents: those of this many units (8 GB of text by default) fit into a broadcast.
_UNITS_PER_JOIN = 32

_PROGRAM_KEY = ("doc_id", "content_hash", "stage", "chunk", "refiner")

NO_UNIT = 2**62
"""Beyond every unit."""


@dataclass(frozen=True)
class Work:
    """One refinement version in the making."""

    store: Store
    config: Config
    refiners: Refiners
    name: str
    version: int
    identity: dict[str, Any]
    last: Row | None
    documents_version: int
    programs_version: int
    refinements_version: int
    after_unit: int
    retried: DataFrame | None = None
    """doc_id of the documents of earlier versions whose failed programs were replaced since: they are executed again."""
    sample: float = 1.0

    def documents(self) -> DataFrame:
        """The documents that this version adds or replaces."""
        return self._in_version(self.store.read("documents", self.documents_version))

    def programs(self) -> DataFrame:
        """Their programs by this refinement's refiners."""
        wanted = F.lit(False)
        for one in (self.refiners.document, self.refiners.chunk):
            if one:
                wanted = wanted | ((F.col("stage") == one.stage) & (F.col("refiner") == one.refiner))
        return self._in_version(self.store.read("programs", self.programs_version).where(wanted))

    def _in_version(self, rows: DataFrame) -> DataFrame:
        new = rows.where(F.col("unit") > self.after_unit)
        if self.retried is not None:
            old = rows.where(F.col("unit") <= self.after_unit)
            new = new.unionByName(old.join(F.broadcast(self.retried), "doc_id", "left_semi"))
        return new.where(self._sampled()) if self.sample < 1 else new

    def replaced(self) -> "Work | None":
        """What the last version made of the documents that are executed again; None where there are none."""
        if self.last is None or self.retried is None:
            return None
        versions = {name: self.last[name] for name in ("documents_version", "programs_version")}
        return replace(self, **versions, after_unit=NO_UNIT)

    def _sampled(self) -> Column:
        """The same documents for the same share, whatever the partitions."""
        return F.pmod(F.xxhash64("doc_id"), F.lit(1_000_000)) < F.lit(round(self.sample * 1_000_000))


def retried(work: Work) -> DataFrame | None:
    """doc_id of the last version's documents whose failed programs were replaced since, None where there are none."""
    if work.last is None or work.last["programs_version"] == work.programs_version:
        return None
    old = replace(work, programs_version=work.last["programs_version"], after_unit=-1).programs()
    before = old.where((F.col("status") == "failed") & (F.col("unit") <= work.after_unit)).select(*_PROGRAM_KEY)
    still = replace(work, after_unit=-1).programs().where("status = 'failed'").select(*_PROGRAM_KEY)
    found = before.join(still, list(_PROGRAM_KEY), "left_anti").select("doc_id").distinct()
    return None if found.isEmpty() else found


def last_unit(store: Store, version: int) -> int:
    row = store.read("documents", version).agg(F.max("unit")).first()
    return -1 if row is None or row[0] is None else int(row[0])


def grouped(work: Work) -> DataFrame:
    """The programs of this work by document: its keep_score, its chunk programs in order, which stages there are, sums.

    A hundredth of its documents; ``measure`` and every part read it, so it is worth keeping (``tables.cache.cached``).
    """
    is_chunk = F.col("stage") == "chunk"
    chunk = F.struct(
        "chunk",
        "line_start",
        "line_end",
        "line_offset",
        "output",
        "line_scores",
        F.transform("calls", lambda call: call["confidence"]).alias("confidences"),
        "status",
    )
    asked = is_chunk & F.col("line_start").isNotNull()
    return (
        work.programs()
        .groupBy("doc_id", "content_hash", "unit")
        .agg(
            F.max(F.when(~is_chunk, F.col("keep_score"))).alias("keep_score"),
            F.sort_array(F.collect_list(F.when(asked, chunk))).alias("chunks"),
            F.max(~is_chunk).alias("has_document"),
            F.max(is_chunk).alias("has_chunk"),
            *program_counts(),
        )
    )


@dataclass(frozen=True)
class Extent:
    """How much work there is: documents by unit, and what their programs count."""

    units: dict[int, int]
    programs: dict[str, int]

    @property
    def documents(self) -> int:
        """All documents of this work."""
        return sum(self.units.values())


def measure(work: Work, programs: DataFrame) -> Extent:
    """The extent of the work, in one look at its documents and one at its ``grouped`` programs.

    Raises ``IncompleteError`` unless every document has its document program and, where that keeps it, chunk programs.
    """
    execution = work.config.execution
    complete = F.lit(True)
    if work.refiners.document:
        complete = complete & F.col("has_document")
    if work.refiners.chunk:
        kept_back = F.coalesce(F.col("keep_score") < execution.drop_document_below, F.lit(True))
        complete = complete & (F.col("has_chunk") | (kept_back if work.refiners.document else F.lit(False)))
    totals = [F.coalesce(F.sum(f"n_{name}"), F.lit(0)).alias(name) for name in PROGRAM_COUNTS]
    with ThreadPoolExecutor(max_workers=1) as pool:
        counting = pool.submit(work.documents().groupBy("unit").count().orderBy("unit").collect)
        row = programs.agg(F.count_if(complete).alias("complete"), *totals).first()
        units = {unit["unit"]: unit["count"] for unit in counting.result()}
    assert row is not None, "an aggregate without groups has one row"
    extent = Extent(units, {name: row[name] for name in PROGRAM_COUNTS})
    missing = extent.documents - row["complete"]
    if missing:
        raise IncompleteError(
            f"{missing} documents lack programs of this refinement; run `prox-spark generate` with the same configuration first"
        )
    return extent


Task = Callable[[Iterator[pa.RecordBatch], ExecutionParameters], Iterator[pa.RecordBatch]]

METADATA = ("source", "url", "metadata")
"""What stands beside a document's text and is only handed on."""


def execute_work(
    work: Work,
    programs: DataFrame,
    extent: Extent,
    execute: Task,
    schema: pa.Schema,
    handed_on: Sequence[str] = METADATA,
) -> DataFrame:
    """Every document of this work with its ``grouped`` programs through ``execute``, whose output has ``schema``.

    ``handed_on`` are the columns of ``METADATA`` that ``execute`` needs. The programs travel to the documents, never the
    other way round.
    """
    documents = work.documents()
    units = list(extent.units)
    stage = work.config.execution
    refiners = [one.refiner if one else None for one in (work.refiners.document, work.refiners.chunk)]
    parameters = ExecutionParameters(
        stage.mode, stage.settings(), stage.drop_document_below, stage.on_failed_chunk, refiners[0], refiners[1]
    )

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return execute(batches, parameters)

    def part(first: int, last: int) -> DataFrame:
        between = F.col("unit").between(first, last)
        own = programs.where(between).select("doc_id", "content_hash", "keep_score", "chunks")
        joined = documents.where(between).join(F.broadcast(own), ["doc_id", "content_hash"], "left")
        return joined.select(*columns_in(handed_on)).mapInArrow(task, from_arrow_schema(schema))

    groups = [units[start : start + _UNITS_PER_JOIN] for start in range(0, len(units), _UNITS_PER_JOIN)] or [[-1]]
    return reduce(DataFrame.unionByName, (part(group[0], group[-1]) for group in groups))
