"""``generate``: every pending document gets its programs, one stage after the other, a batch of units at a time.

What is pending follows from the tables alone (documents without programs of this refiner and stage), so there is no other
state that could be lost or disagree.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from prox_spark.config.models import Config
from prox_spark.errors import ConfigError
from prox_spark.generation.plan import StagePlan, plan_stage
from prox_spark.generation.selftest import self_test
from prox_spark.generation.task import generate_programs
from prox_spark.progress import Progress
from prox_spark.tables.commits import Purpose, commit, fence
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.store import Store, open_store, spark_schema


@dataclass(frozen=True)
class Generated:
    """What one stage of one ``generate`` did: zeros when nothing was pending."""

    stage: str
    refiner: str
    documents: int
    chunks: int
    failed: int
    prompt_tokens: int
    output_tokens: int
    seconds: float


@dataclass(frozen=True)
class Plans:
    """The stages of a refinement; null where one is skipped."""

    document: StagePlan | None
    chunk: StagePlan | None


def plan(config: Config) -> Plans:
    """The stages that ``config`` asks for, with their refiners' fingerprints. No Spark needed.

    Raises ``ConfigError`` when both are null, ``RefinerError`` when a refiner cannot be used.
    """
    if config.document is None and config.chunk is None:
        raise ConfigError(
            "document and chunk are both null: there is nothing to refine with; configure at least one stage"
        )
    document = plan_stage("document", config.document) if config.document else None
    return Plans(document, plan_stage("chunk", config.chunk) if config.chunk else None)


def generate(spark: SparkSession, config: Config) -> list[Generated]:
    """Run both stages over the documents that the store holds now."""
    plans = plan(config)
    store = open_store(spark, config.store)
    done = []
    if plans.document:
        done.append(_run_stage(store, config, plans.document, store.read("documents")))
    if plans.chunk:
        documents = store.read("documents")
        if plans.document:
            documents = documents.join(
                kept_documents(store.read("programs"), plans.document, config), ["doc_id", "content_hash"], "left_semi"
            )
        done.append(_run_stage(store, config, plans.chunk, documents))
    return done


def kept_documents(programs: DataFrame, document: StagePlan, config: Config) -> DataFrame:
    """doc_id, content_hash and unit of the documents that the document stage passes on to the chunk stage."""
    chosen = programs.where((F.col("stage") == "document") & (F.col("refiner") == document.fingerprint))
    return chosen.where(F.col("keep_score") >= config.min_keep_score).select("doc_id", "content_hash", "unit")


def pending(documents: DataFrame, programs: DataFrame, plan: StagePlan) -> DataFrame:
    """doc_id, content_hash and unit of the documents without programs of this refiner and stage."""
    done = programs.where((F.col("stage") == plan.stage) & (F.col("refiner") == plan.fingerprint))
    keys = ["doc_id", "content_hash"]
    return documents.select(*keys, "unit").join(done.select(*keys), keys, "left_anti")


def _run_stage(store: Store, config: Config, plan: StagePlan, documents: DataFrame) -> Generated:
    todo = pending(documents, store.read("programs"), plan)
    units = {row["unit"]: row["count"] for row in todo.groupBy("unit").count().collect()}
    total = Generated(plan.stage, plan.fingerprint, 0, 0, 0, 0, 0, 0.0)
    if not units:
        return total
    if config.generate.self_test:
        run_self_test(store.spark, plan)
    run = uuid.uuid4().hex[:12]
    ordered = sorted(units)
    progress = Progress(f"generate {plan.stage}", sum(units.values()), "documents")
    with hold(store, f"generate/{plan.fingerprint}/{plan.stage}") as lease:
        fence(store, lease, ("programs",))
        for number, start in enumerate(range(0, len(ordered), config.generate.batch_units)):
            batch = ordered[start : start + config.generate.batch_units]
            done = _run_batch(store, config, lease, plan, documents, batch)
            _write_metrics(store, lease, done, run, number)
            total = _sum(total, done)
            progress.advance(done.documents, f"{total.prompt_tokens / max(total.seconds, 1e-9):,.0f} tokens/s")
    progress.done()
    return total


def _run_batch(
    store: Store, config: Config, lease: Lease, plan: StagePlan, documents: DataFrame, units: list[int]
) -> Generated:
    """Generate and commit one batch of units: one append to ``programs``."""
    in_batch = F.col("unit").between(units[0], units[-1]) & F.col("unit").isin(units)
    documents = documents.where(in_batch)
    # Asked again, now that the lease is held: what another job committed before is not done twice.
    todo = pending(documents, store.read("programs").where(in_batch), plan)
    rows = documents.join(F.broadcast(todo.drop("unit")), ["doc_id", "content_hash"], "left_semi")
    partitions = config.generate.partitions or 2 * int(store.spark.conf.get("spark.sql.shuffle.partitions") or 2)
    generated = (
        rows.select("doc_id", "content_hash", "unit", "text")
        # Set explicitly: the files of `documents` decide otherwise, and one large file would feed one task.
        .repartition(partitions)
        .mapInArrow(_task(plan), spark_schema("programs"))
    )
    seen = Observation()
    counted = generated.observe(
        seen,
        # Every document has exactly one row of number 0.
        F.count_if(F.col("chunk") == 0).alias("documents"),
        F.count("line_start").alias("chunks"),
        F.count_if(F.col("status") == "failed").alias("failed"),
        F.coalesce(F.sum("prompt_tokens"), F.lit(0)).alias("prompt_tokens"),
        F.coalesce(F.sum("output_tokens"), F.lit(0)).alias("output_tokens"),
    )
    started = time.monotonic()
    commit(store, lease, "programs", counted, Purpose(f"generate {plan.stage}"))
    return Generated(plan.stage, plan.fingerprint, **seen.get, seconds=time.monotonic() - started)


def _write_metrics(store: Store, lease: Lease, done: Generated, run: str, number: int) -> None:
    row = {
        "run": run,
        "batch": number,
        "refiner": done.refiner,
        "stage": done.stage,
        "documents": done.documents,
        "chunks": done.chunks,
        "prompt_tokens": done.prompt_tokens,
        "output_tokens": done.output_tokens,
        "seconds": done.seconds,
        "tokens_per_second": (done.prompt_tokens + done.output_tokens) / max(done.seconds, 1e-9),
        "created_at": datetime.now(UTC),
    }
    schema = spark_schema("metrics")
    rows = store.spark.createDataFrame([tuple(row.get(name) for name in schema.names)], schema)
    commit(store, lease, "metrics", rows, Purpose(f"generate {done.stage}"))


def run_self_test(spark: SparkSession, plan: StagePlan) -> None:
    """Let the stage's refiner answer pages of boilerplate, in a task as the documents' are: see ``self_test``."""
    self_test(spark, plan, _task(plan))


def _task(plan: StagePlan) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        gpus = context.resources().get("gpu") if context else None
        return generate_programs(batches, plan, gpu=gpus.addresses[0] if gpus else None)

    return task


def _sum(a: Generated, b: Generated) -> Generated:
    return Generated(
        a.stage,
        a.refiner,
        a.documents + b.documents,
        a.chunks + b.chunks,
        a.failed + b.failed,
        a.prompt_tokens + b.prompt_tokens,
        a.output_tokens + b.output_tokens,
        a.seconds + b.seconds,
    )
