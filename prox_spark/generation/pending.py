"""Which documents a stage still has to be asked about: what the tables say, and no other state that could disagree.

Sets of ids are compared first, by a count and a checksum for each unit: nothing is shuffled but those. Keys are compared in
the units that differ.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from prox_spark.generation.plan import StagePlan
from prox_spark.tables.store import Store
from prox_spark.tables.units import by_unit, in_units

KEYS = ("doc_id", "content_hash")
"""What a document and its programs are matched by."""

Choice = Callable[["Stage", Column], DataFrame]
"""From a stage and a condition on ``unit`` to the documents to ask: doc_id, content_hash, unit, perhaps ``chunks``."""


@dataclass(frozen=True)
class Stage:
    """A stage of a store, at versions of its tables: an append that reads a version conflicts with nobody's.

    ``before`` is the document stage's plan where this one is asked only about the documents that it passes on, those with
    at least ``min_keep_score``.
    """

    store: Store
    plan: StagePlan
    before: StagePlan | None
    min_keep_score: float
    documents_version: int
    programs_version: int

    def documents(self, where: Column) -> DataFrame:
        """The documents of this stage, with all their columns."""
        rows = self.store.read("documents", self.documents_version).where(where)
        if self.before is None:
            return rows
        return rows.join(self.passed(where).select(*KEYS), list(KEYS), "left_semi")

    def programs(self, where: Column) -> DataFrame:
        """The stage's own programs."""
        return written(self.store.read("programs", self.programs_version), self.plan).where(where)

    def passed(self, where: Column) -> DataFrame:
        """doc_id, content_hash and unit of the documents that the document stage passes on."""
        assert self.before is not None, "there is a document stage"
        rows = self.store.read("programs", self.programs_version).where(where)
        return kept_documents(rows, self.before, self.min_keep_score)


@dataclass(frozen=True)
class Units:
    """How many documents of each unit are pending, and what a document of it takes, as stored."""

    pending: dict[int, int] = field(default_factory=dict)
    bytes: dict[int, int] = field(default_factory=dict)

    @property
    def documents(self) -> int:
        """Of all units."""
        return sum(self.pending.values())

    def sized(self) -> list[tuple[int, int, int]]:
        """Number, pending documents and their bytes of every unit that has any, in order."""
        return [(unit, n, n * self.bytes.get(unit, 0)) for unit, n in sorted(self.pending.items())]


def written(programs: DataFrame, plan: StagePlan) -> DataFrame:
    """The programs of this refiner and stage."""
    return programs.where((F.col("stage") == plan.stage) & (F.col("refiner") == plan.fingerprint))


def kept_documents(programs: DataFrame, document: StagePlan, min_keep_score: float) -> DataFrame:
    """doc_id, content_hash and unit of the documents that the document stage passes on to the chunk stage."""
    return written(programs, document).where(F.col("keep_score") >= min_keep_score).select(*KEYS, "unit")


def pending(documents: DataFrame, programs: DataFrame, plan: StagePlan) -> DataFrame:
    """doc_id, content_hash and unit of the documents without programs of this refiner and stage."""
    done = written(programs, plan).select(*KEYS)
    return documents.select(*KEYS, "unit").join(done, list(KEYS), "left_anti")


def not_asked(stage: Stage, where: Column) -> DataFrame:
    """The documents without programs."""
    return pending(stage.documents(where), stage.programs(where), stage.plan)


def failed(stage: Stage, where: Column) -> DataFrame:
    """The documents with failed rows, and the ``chunks`` that failed.

    ``chunks`` is null where the whole document has to be asked again: not even its chunks are known.
    """
    rows = stage.programs(where).where("status = 'failed'")
    # collect_set leaves null out: a null line_start is that of a row without a chunk.
    chunks = F.when(F.bool_and(F.col("line_start").isNotNull()), F.collect_set("chunk"))
    return rows.groupBy(*KEYS, "unit").agg(chunks.alias("chunks"))


def pending_units(stage: Stage) -> Units:
    """The units with documents that were not asked about."""
    everything = F.lit(True)
    documents = stage.passed(everything) if stage.before else stage.store.read("documents", stage.documents_version)
    with ThreadPoolExecutor(max_workers=1) as pool:
        asking = pool.submit(_sets, stage.programs(everything).where("chunk = 0"))
        wanted, asked = _sets(documents), asking.result()
    new = {unit: n for unit, (n, _) in wanted.items() if unit not in asked}
    differ = [unit for unit, found in wanted.items() if unit in asked and asked[unit] != found]
    if differ:
        new |= _counted(not_asked(stage, in_units(differ)))
    return _sized(stage, new)


def failed_units(stage: Stage) -> Units:
    """The units with documents that have failed rows."""
    return units_of(stage, failed(stage, F.lit(True)))


def units_of(stage: Stage, rows: DataFrame) -> Units:
    """The units of documents: a row of ``rows`` for each."""
    return _sized(stage, _counted(rows))


def _sets(rows: DataFrame) -> dict[int, tuple[int, int]]:
    """For each unit how many documents its rows are of, one row for each, and a checksum of their ids: equal for equal sets."""
    found = rows.groupBy("unit").agg(F.count("*").alias("n"), F.bit_xor(F.xxhash64("doc_id")).alias("ids")).collect()
    return {row["unit"]: (row["n"], row["ids"]) for row in found}


def _counted(rows: DataFrame) -> dict[int, int]:
    return {row["unit"]: row["n"] for row in rows.groupBy("unit").agg(F.count("*").alias("n")).collect()}


def _sized(stage: Stage, counts: dict[int, int]) -> Units:
    if not counts:
        return Units()
    documents = stage.store.read("documents", stage.documents_version)
    sizes = by_unit(documents.where(in_units(counts)), n=F.count("*"))
    return Units(counts, {row["unit"]: row["bytes"] // max(row["n"], 1) for row in sizes})
