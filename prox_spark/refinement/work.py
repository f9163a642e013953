"""The work of a refinement version: its documents, programs and settings. Only reads tables."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from prox_spark.config.models import Config
from prox_spark.errors import IncompleteError
from prox_spark.generation.plan import Refiners
from prox_spark.progress import quantity
from prox_spark.refinement.task import ExecutionParameters, columns_in
from prox_spark.session import cores
from prox_spark.tables.cache import cached
from prox_spark.tables.commits import changes
from prox_spark.tables.counts import program_counts
from prox_spark.tables.store import Store
from prox_spark.tables.units import Batch, by_unit, in_batches

_log = logging.getLogger(__name__)

BROADCAST_BYTES = 128 * 1024**2
"""Maximum size in memory of a batch's programs for a broadcast: the driver holds them too, and its heap may be 1 GB."""

_SHUFFLE_BYTES = 128 * 1024**2
"""Stored bytes of text per task of a join that shuffles text."""

_DOCUMENT_BYTES = 8192
"""Assumed size of a document if only the number of documents is known."""

BYTES_PER_CORE = 512 * 1024**2
"""Stored bytes of a batch per core: about a minute of work, much longer than the seconds for its commits."""

_PROGRAM_OVERHEAD = 128
"""Bytes of a program in memory besides its output and scores: keys, numbers, null bits."""

_REPLACING = ("MERGE", "DELETE", "UPDATE", "RESTORE")
"""Table operations that can replace rows of ``programs``; appends only add rows."""

_KEYS = ("doc_id", "content_hash")
_PROGRAM_KEY = ("doc_id", "content_hash", "stage", "chunk", "refiner")

NO_UNIT = 2**62
"""Greater than every unit."""


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
    """doc_id of earlier versions' documents whose failed programs were replaced later: they are executed again."""
    sample: float = 1.0

    def documents(self, batch: Batch | None = None) -> DataFrame:
        """The documents that this version adds or replaces, optionally of one batch."""
        return self._in_version(self.store.read("documents", self.documents_version), batch)

    def programs(self, batch: Batch | None = None) -> DataFrame:
        """Their programs by this refinement's refiners."""
        return self._in_version(self.own_programs(), batch)

    def own_programs(self) -> DataFrame:
        """All programs of this refinement's refiners."""
        wanted = F.lit(False)
        for one in (self.refiners.document, self.refiners.chunk):
            if one:
                wanted = wanted | ((F.col("stage") == one.stage) & (F.col("refiner") == one.refiner))
        return self.store.read("programs", self.programs_version).where(wanted)

    def _in_version(self, rows: DataFrame, batch: Batch | None = None) -> DataFrame:
        if batch is not None:
            rows = rows.where(F.col("unit").between(batch.first, batch.last))
        new = rows.where(F.col("unit") > self.after_unit)
        if self.retried is not None:
            old = rows.where(F.col("unit") <= self.after_unit)
            new = new.unionByName(old.join(F.broadcast(self.retried), "doc_id", "left_semi"))
        return new.where(self.sampled()) if self.sample < 1 else new

    def complete(self) -> Column:
        """Whether a document with its ``grouped`` programs is complete: it has a document program and, if that keeps it, chunk
        programs."""
        complete = F.lit(True)
        if self.refiners.document:
            complete = complete & F.coalesce("has_document", F.lit(False))
        if self.refiners.chunk:
            below = F.col("keep_score") < self.config.execution.drop_document_below
            kept_back = F.coalesce(below, F.lit(True)) if self.refiners.document else F.lit(False)
            complete = complete & (F.coalesce("has_chunk", F.lit(False)) | kept_back)
        return complete

    def replaced(self) -> "Work | None":
        """The last version's work on the documents that are executed again; None if there are none."""
        if self.last is None or self.retried is None:
            return None
        versions = {name: self.last[name] for name in ("documents_version", "programs_version")}
        return replace(self, **versions, after_unit=NO_UNIT)

    def sampled(self) -> Column:
        """Selects the sample: the same share always gives the same documents, whatever the partitions."""
        return F.pmod(F.xxhash64("doc_id"), F.lit(1_000_000)) < F.lit(round(self.sample * 1_000_000))


def retried(work: Work) -> DataFrame | None:
    """doc_id of the last version's documents whose failed programs were replaced later, None if there are none."""
    if work.last is None or work.last["programs_version"] == work.programs_version:
        return None
    since = changes(work.store, "programs", work.last["programs_version"], work.programs_version)
    if not any(one.operation in _REPLACING for one in since):
        return None
    old = replace(work, programs_version=work.last["programs_version"], after_unit=-1).programs()
    before = old.where((F.col("status") == "failed") & (F.col("unit") <= work.after_unit)).select(*_PROGRAM_KEY)
    still = replace(work, after_unit=-1).programs().where("status = 'failed'").select(*_PROGRAM_KEY)
    found = before.join(still, list(_PROGRAM_KEY), "left_anti").select("doc_id").distinct()
    return None if found.isEmpty() else found


def last_unit(store: Store, version: int) -> int:
    row = store.read("documents", version).agg(F.max("unit")).first()
    return -1 if row is None or row[0] is None else int(row[0])


def measure(work: Work) -> list[tuple[int, int, int]]:
    """Number, documents and stored bytes (of text and programs) of every unit of this work, in order.

    Reads narrow columns only. Raises ``IncompleteError`` if the counts show that documents lack programs; if one program is
    missing and another is surplus, the error comes when the batch is executed.
    """
    after = F.col("unit") > work.after_unit
    sampled = after & work.sampled() if work.sample < 1 else after
    documents = work.store.read("documents", work.documents_version).where(sampled)
    programs = work.own_programs().where(sampled)
    is_document = F.col("stage") == "document"
    kept = F.col("keep_score") >= work.config.execution.drop_document_below
    counts = {
        "document": F.count_if(is_document),
        "kept": F.count_if(is_document & kept),
        "chunk": F.count_if(~is_document & (F.col("chunk") == 0)),
    }
    with ThreadPoolExecutor(max_workers=1) as pool:
        reading = pool.submit(by_unit, programs, **counts)
        found = by_unit(documents, documents=F.count("*"))
        written = {row["unit"]: row for row in reading.result()}
    if any(_lacks(work, row["documents"], written.get(row["unit"])) for row in found):
        missing = (
            work.documents().select(*_KEYS).join(grouped(work), list(_KEYS), "left").where(~work.complete()).count()
        )
        raise incomplete(missing)
    units = {}
    for row in found:
        own = written.get(row["unit"])
        size = row["bytes"] + (own["bytes"] if own else 0)
        units[row["unit"]] = (row["unit"], row["documents"], int(size * work.sample))
    for row in _again(work):
        units[row["unit"]] = (row["unit"], row["count"], row["count"] * _DOCUMENT_BYTES)
    return [units[unit] for unit in sorted(units)]


def _lacks(work: Work, documents: int, programs: Row | None) -> bool:
    if programs is None:
        return documents > 0
    judged = programs["document"] if work.refiners.document else documents
    to_refine = programs["kept"] if work.refiners.document else documents
    return judged < documents or (work.refiners.chunk is not None and programs["chunk"] < to_refine)


def _again(work: Work) -> list[Row]:
    """Unit and count of the documents that are executed again."""
    if work.retried is None:
        return []
    rows: list[Row] = work.documents().where(F.col("unit") <= work.after_unit).groupBy("unit").count().collect()
    return rows


def incomplete(missing: int) -> IncompleteError:
    """The error for a refinement with documents that lack programs."""
    return IncompleteError(
        f"{missing} documents lack programs of this refinement; run `prox-spark generate` with the same configuration first"
    )


def batches(work: Work, units: list[tuple[int, int, int]]) -> list[Batch]:
    """The units of this work, in batches."""
    return list(in_batches(units, work.config.execute.batch_bytes or cores(work.store.spark) * BYTES_PER_CORE))


def grouped(work: Work, batch: Batch | None = None) -> DataFrame:
    """The programs of this work by document: its keep_score, its chunk programs in order, the existing stages, sums.

    ``n_bytes`` is their approximate size in memory.
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
    held = [F.coalesce(F.octet_length("output"), F.lit(0)), F.greatest(F.size("line_scores"), F.lit(0)) * F.lit(4)]
    return (
        work.programs(batch)
        .groupBy(*_KEYS)
        .agg(
            F.max(F.when(~is_chunk, F.col("keep_score"))).alias("keep_score"),
            F.sort_array(F.collect_list(F.when(asked, chunk))).alias("chunks"),
            F.max(~is_chunk).alias("has_document"),
            F.max(is_chunk).alias("has_chunk"),
            (F.sum(held[0] + held[1] + F.lit(_PROGRAM_OVERHEAD)) + F.lit(_PROGRAM_OVERHEAD)).alias("n_bytes"),
            *program_counts(),
        )
    )


@contextmanager
def with_programs(work: Work, batch: Batch) -> Iterator[DataFrame]:
    """The batch's documents, each with its ``grouped`` programs, for the duration of the block.

    The programs are broadcast if they are small enough for each executor. Otherwise text is shuffled
    once and cached.
    """
    documents = work.documents(batch)
    with cached(grouped(work, batch)) as programs:
        row = programs.agg(F.sum("n_bytes")).first()
        size = (row[0] if row else None) or 0
        if size <= BROADCAST_BYTES:
            yield documents.join(F.broadcast(programs), list(_KEYS), "left")
            return
        _log.info(
            "execute: programs of units %d to %d take %s, too much for a copy on each executor; joined by a shuffle",
            *(batch.first, batch.last, quantity(size, "bytes")),
        )
        parts = max(1, -(-batch.bytes // _SHUFFLE_BYTES), cores(work.store.spark))
        moved = documents.repartition(parts, *_KEYS)
        rows = moved.join(programs.repartition(parts, *_KEYS).hint("merge"), list(_KEYS), "left")
        with cached(rows) as kept:
            yield kept


Task = Callable[[Iterator[pa.RecordBatch], ExecutionParameters], Iterator[pa.RecordBatch]]

METADATA = ("source", "url", "metadata")
"""The columns beside a document's text, which are only passed through."""


def execute_rows(
    work: Work, documents: DataFrame, execute: Task, schema: pa.Schema, handed_on: Sequence[str] = METADATA
) -> DataFrame:
    """Runs documents from ``with_programs`` through ``execute``, whose output has ``schema``.

    ``handed_on`` are the columns of ``METADATA`` that ``execute`` needs.
    """
    stage = work.config.execution
    refiners = [one.refiner if one else None for one in (work.refiners.document, work.refiners.chunk)]
    parameters = ExecutionParameters(
        stage.mode, stage.settings(), stage.drop_document_below, stage.on_failed_chunk, refiners[0], refiners[1]
    )

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return execute(batches, parameters)

    return documents.select(*columns_in(handed_on)).mapInArrow(task, from_arrow_schema(schema))
