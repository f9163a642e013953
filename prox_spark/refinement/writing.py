"""Writing a batch of units: executes its documents, counts them and appends them to each result table."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from prox_spark.errors import ConservationError
from prox_spark.refinement.parts import PARTS, execute_part, of_all_lines
from prox_spark.refinement.reached import LAST, Reached, purpose
from prox_spark.refinement.work import METADATA, Work, batches, execute_rows, incomplete, measure, with_programs
from prox_spark.schemas import COUNTED, COUNTS, PROGRAM_COUNTS
from prox_spark.tables.commits import Commit, commit
from prox_spark.tables.counts import matched, totals
from prox_spark.tables.leases import Lease
from prox_spark.tables.refinements import check_chain
from prox_spark.tables.units import Batch


def write_batch(
    work: Work, batch: Batch, lease: Lease, reached: Reached, *, mode: Literal["append", "overwrite"], last: bool
) -> Reached:
    """Execute a batch's documents and commit the result to each table; returns the version's new progress.

    ``last``: no batch follows. Otherwise the batch ends with a commit to ``LAST`` even if it has no rows for that table.
    Raises ``IncompleteError`` for documents without programs and ``ConservationError`` if rows are lost: the batch is
    then ignored.
    """
    units = (batch.first, batch.last)
    own = purpose(work, units)
    heads = dict(reached.heads)

    def write(table: str, rows: DataFrame) -> Commit:
        done = commit(work.store, lease, table, rows, own, mode=mode)
        check_chain(work.store, {table: heads[table]}, {table: done.version})
        heads[table] = done.version
        return done

    with with_programs(work, batch) as documents, ThreadPoolExecutor(max_workers=2) as pool:
        all_matched, fates = Observation(), Observation()
        executed = _part(work, documents.observe(all_matched, *matched(work.complete())), "refined")
        refined = executed.observe(fates, *totals()).where("fate = 'refined'").drop("fate")
        # In parallel, because a commit mostly waits.
        refining = pool.submit(write, "refined", refined)
        lining = pool.submit(write, "dropped_lines", _part(work, documents, "dropped_lines"))
        written = refining.result()
        lining.result()
        counts = _counts(batch, all_matched.get, fates.get)
        _check_rows("refined", counts["refined"], written)
        if counts["quarantined"]:
            rows = _quarantined(work, _part(work, documents, "quarantined"), heads["quarantine"])
            heads["quarantine"] = commit(work.store, lease, "quarantine", rows, own).version
        if counts["dropped_documents"] or not last or _must_go(work, mode, heads[LAST]):
            rows = _part(work, documents, LAST)
            rows = rows if counts["dropped_documents"] else work.store.nothing(LAST)
            if not last:
                own = purpose(work, units, reached.plus(batch.last, heads, counts))
            _check_rows(LAST, counts["dropped_documents"], write(LAST, rows))
    return reached.plus(batch.last, heads, counts)


def count_documents(work: Work) -> dict[str, int]:
    """The ``COUNTS`` of all documents of this work, without writing."""
    found = dict.fromkeys(COUNTS, 0)
    for batch in batches(work, measure(work)):
        with with_programs(work, batch) as documents:
            first = documents.agg(*matched(work.complete())).first()
            second = _part(work, documents, "refined").agg(*totals()).first()
        assert first is not None, "an aggregate without groups has one row"
        assert second is not None, "an aggregate without groups has one row"
        counts = _counts(batch, first.asDict(), second.asDict())
        found = {name: found[name] + counts[name] for name in COUNTS}
    return found


def _counts(batch: Batch, documents: dict[str, int], fates: dict[str, int]) -> dict[str, int]:
    """A batch's ``COUNTS``. Raises an error if a document has no program or no fate."""
    if documents["missing"]:
        raise incomplete(documents["missing"])
    out = fates["refined"] + fates["dropped_documents"] + fates["quarantined"]
    if not documents["documents"] == batch.documents == out:
        raise ConservationError(
            f"units {batch.first} to {batch.last}: {batch.documents} documents, {documents['documents']} of them read, "
            f"{out} have a fate ({fates['refined']} refined, {fates['dropped_documents']} dropped, {fates['quarantined']} "
            "quarantined); nothing was committed"
        )
    own = {name: int(fates[name]) for name in COUNTED} | {name: int(documents[name]) for name in PROGRAM_COUNTS}
    return {"documents": batch.documents, **own}


def _check_rows(table: str, counted: int, written: Commit) -> None:
    if written.rows != counted:
        raise ConservationError(f"{table}: {counted} rows were executed, {written.rows} written; nothing was committed")


def _must_go(work: Work, mode: str, head: int) -> bool:
    """Whether the table has rows that an overwrite must remove although it adds none."""
    return mode == "overwrite" and not work.store.read(LAST, head).isEmpty()


def _part(work: Work, documents: DataFrame, part: str) -> DataFrame:
    """The rows of one part of these documents."""
    execute, schema = partial(execute_part, part=part), PARTS[part]
    rows = execute_rows(work, documents, execute, schema, METADATA if part == "refined" else ())
    if part != "dropped_lines":
        return rows
    # Constant columns: adding them here saves transferring them from Python for every line.
    chunk = work.refiners.chunk
    same = of_all_lines(chunk.refiner if chunk else None)
    return rows.withColumns({name: F.lit(value) for name, value in same.items()})


def _quarantined(work: Work, failed: DataFrame, head: int) -> DataFrame:
    """Rows of ``quarantine`` for failed documents that it does not contain yet."""
    there = work.store.read("quarantine", head).where(F.col("refinement") == work.name).select("doc_id")
    return failed.join(there, "doc_id", "left_anti").select(
        "doc_id",
        F.lit(None).alias("file"),
        F.lit(None).alias("position"),
        "stage",
        F.when(F.col("stage") == "execute", "CompatError").otherwise(F.col("reason")).alias("error_class"),
        F.col("reason").alias("message"),
        F.lit(work.name).alias("refinement"),
        F.current_timestamp().alias("quarantined_at"),
    )
