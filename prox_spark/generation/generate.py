"""``generate``: writes the programs of all pending documents, one stage after the other, in batches of units.

Pending work is derived from the tables alone (documents without programs of this refiner and stage), so there is no other
state that could be lost or disagree.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cache

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from prox_spark.config.models import Config, ExecutionConfig
from prox_spark.generation.ahead import Answered, answer, in_the_air
from prox_spark.generation.batching import batches_of, one_batch
from prox_spark.generation.columns import check_column, with_score
from prox_spark.generation.kinds import kind_of
from prox_spark.generation.pending import Choice, Stage, Units, failed, failed_units, not_asked, pending_units
from prox_spark.generation.plan import Plans, StagePlan
from prox_spark.generation.recorded import record_refiner
from prox_spark.generation.scheduling import default_partitions, stage_profile
from prox_spark.generation.selftest import self_test
from prox_spark.generation.task import GENERATED, generate_programs
from prox_spark.logs import chosen, follow
from prox_spark.progress import Progress, duration
from prox_spark.session import log_session, share_of_tasks
from prox_spark.tables.cache import cached
from prox_spark.tables.commits import Commit, commit, fence, merge
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.purpose import Purpose, check_transactions
from prox_spark.tables.store import Store, open_store, spark_schema
from prox_spark.tables.units import Batch, in_units

_log = logging.getLogger(__name__)

Write = Callable[[Store, Lease, DataFrame, Batch, Purpose], Commit | None]
"""Returns the commit, or None where there was nothing to write."""

Judged = Callable[[Store], ExecutionConfig]
"""How the refinement of a store will execute the programs: by its own version of the rules where it exists."""

_KEYS = ("doc_id", "content_hash", "stage", "chunk", "refiner")

_BROADCAST_DOCUMENTS = 1_000_000
"""Documents of a batch whose keys are sent to every executor, at about 150 bytes each."""

_DOCUMENTS_PER_FILE = 100_000
"""Documents whose programs make a file: ten to a few hundred megabytes, by kind of program."""


@dataclass(frozen=True)
class Generated:
    """What one stage of one ``generate`` did: zeros when nothing was pending.

    ``engine_seconds`` and ``engine_busy_seconds`` are sums over tasks: how long their engine was ready, and for how much
    of that it had a request in flight.
    """

    stage: str
    refiner: str
    documents: int = 0
    chunks: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    restarts: int = 0
    retries: int = 0
    repeated: int = 0
    seconds: float = 0.0
    engine_seconds: float = 0.0
    engine_busy_seconds: float = 0.0

    def __add__(self, other: "Generated") -> "Generated":
        numbers = [field.name for field in fields(self)[2:]]
        return Generated(
            self.stage, self.refiner, **{name: getattr(self, name) + getattr(other, name) for name in numbers}
        )


def generate_stages(
    spark: SparkSession, config: Config, plans: Plans, judged_by: Judged, *, retry_failed: bool = False
) -> list[Generated]:
    """``prox_spark.generate`` with stages that were planned before; ``judged_by`` is asked before a model is tested."""
    store = open_store(spark, config.store)
    log_session(spark, config.model_dump(mode="json", exclude_defaults=True))
    done = []
    if plans.document:
        done.append(_run_stage(store, config, plans.document, None, judged_by, retry_failed))
    if plans.chunk:
        done.append(_run_stage(store, config, plans.chunk, plans.document, judged_by, retry_failed))
    return done


def _run_stage(
    store: Store, config: Config, plan: StagePlan, before: StagePlan | None, judged_by: Judged, retry_failed: bool
) -> Generated:
    """Retry failed requests if requested, then process pending ones; one check before the first work."""

    @cache  # Once for both.
    def check() -> None:
        check_column(store.read("documents"), plan)
        if config.generate.self_test:
            if kind_of(plan.settings).has_model:
                _log.info("generate %s: self-test of %s", plan.stage, plan.refiner.name)
            run_self_test(store.spark, plan, judged_by(store))

    def look() -> Stage:
        versions = [store.version(table) for table in ("documents", "programs")]
        return Stage(store, plan, before, config.min_keep_score, *versions)

    total = Generated(plan.stage, plan.fingerprint)
    if retry_failed:
        check_transactions(store.spark)
        total += _run_units(config, look, failed_units, failed, _retry, check)
    return total + _run_units(config, look, pending_units, not_asked, _append, check)


def _run_units(
    config: Config,
    look: Callable[[], Stage],
    find: Callable[[Stage], Units],
    choose: Choice,
    write: Write,
    check: Callable[[], None],
) -> Generated:
    """All units that ``find`` finds work in, a batch of them at a time; ``check`` comes before the first.

    No lease is taken where it finds none.
    """
    stage = look()
    store, plan = stage.store, stage.plan
    _log.info("generate %s: looking for pending documents", plan.stage, extra={"store": store.location})
    units = find(stage)
    together = kind_of(plan.settings).runs == "together"
    batches = one_batch(units) if together else batches_of(config, stage, units)
    _log_start(stage, config, units, batches)
    total = Generated(plan.stage, plan.fingerprint)
    if not batches:
        return total
    check()
    if kind_of(plan.settings).runs == "executor":
        # With Connect, Spark numbers a profile only in a thread that has a session, which those of batches have not.
        stage_profile(store.spark)
    run = uuid.uuid4().hex[:12]
    with (
        Progress(
            f"generate {plan.stage}",
            units.documents,
            "documents",
            running=share_of_tasks(store.spark),
            fields={"store": store.location, "stage": plan.stage, "refiner": plan.fingerprint[:8]},
        ) as progress,
        hold(store, f"generate/{plan.fingerprint}/{plan.stage}") as lease,
    ):
        fence(store, lease, ("programs", "signatures") if together else ("programs",))
        section = config.document if plan.stage == "document" else config.chunk
        assert section is not None, "a stage that is planned is configured"
        record_refiner(store, lease, plan, section)
        # Look again, now that the lease is held: work that another job committed before is not done twice.
        stage = look()
        if together:
            _sign(config, stage, lease, choose, batches[0])

        def begin(batch: Batch) -> Answered:
            progress.expect(batch.documents)
            return _answer(config, stage, choose, batch)

        began = time.monotonic()
        # Closed: where a commit fails, no engine goes on with a batch that nobody will write.
        with closing(in_the_air(store.spark, batches, begin)) as flying:
            for number, (batch, answered) in enumerate(flying):
                written = write(store, lease, answered.rows, batch, Purpose(f"generate {plan.stage}"))
                seconds, began = time.monotonic() - began, time.monotonic()
                done = Generated(plan.stage, plan.fingerprint, **answered.counts(), seconds=seconds)
                _write_metrics(store, lease, done, run, number)
                total += done
                rate = f"{total.prompt_tokens / max(total.seconds, 1e-9):,.0f} tokens/s"
                made = (
                    {} if written is None else {"table": "programs", "version": written.version, "rows": written.rows}
                )
                # Not what was counted: documents that are retried for some chunks only are not counted.
                progress.advance(batch.documents, rate, units=len(batch.units), unit=batch.last, **made)
                _log_trouble(done)
    _log_end(total)
    return total


def _log_start(stage: Stage, config: Config, units: Units, batches: Sequence[Batch]) -> None:
    """What this stage is about to do, with the versions that it reads."""
    store, plan = stage.store, stage.plan
    documents = units.documents
    values = {"store": store.location, "stage": plan.stage, "refiner": plan.fingerprint[:8], "documents": documents}
    named = (plan.stage, plan.refiner.name, plan.fingerprint[:8])
    if not batches:
        _log.info("generate %s: refiner %s (%s): no document is pending", *named, extra=values)
        return
    versions = {"documents_version": stage.documents_version, "programs_version": stage.programs_version}
    tasks = config.generate.partitions or default_partitions(store.spark)
    _log.info(
        "generate %s: refiner %s (%s), engine %s, %d documents in %d units pending, %d batches, %d tasks each; "
        "store %s, documents version %d, programs version %d",
        *(*named, plan.settings.kind, documents, len(units.pending), len(batches), tasks),
        *(store.location, *versions.values()),
        extra={**values, "units": len(units.pending), "batches": len(batches), "tasks": tasks, **versions},
    )


def _log_trouble(done: Generated) -> None:
    """What tasks met with, summed up: their own lines are in the executors' logs."""
    values = {"stage": done.stage, "restarts": done.restarts, "retries": done.retries, "failed": done.failed}
    if done.restarts:
        died = "generate %s: engines died %d times in this batch and were started again; %d requests were sent again"
        _log.warning(died, done.stage, done.restarts, done.retries, extra=values)
    elif done.retries:
        _log.info("generate %s: %d requests were sent again in this batch", done.stage, done.retries, extra=values)
    if done.failed:
        _log.warning("generate %s: %d requests of this batch failed for good", done.stage, done.failed, extra=values)


def _log_end(total: Generated) -> None:
    told = "generate %s finished: %d documents, %d chunks, %d failed, %d prompt tokens, %d output tokens in %s"
    counts = (total.documents, total.chunks, total.failed, total.prompt_tokens, total.output_tokens)
    _log.info(told, total.stage, *counts, duration(total.seconds), extra=asdict(total))


def _sign(config: Config, stage: Stage, lease: Lease, choose: Choice, batch: Batch) -> None:
    """Write down what the documents of all units are compared by."""
    # Compiled code, which only some refiners need.
    from prox_spark.generation.duplicates import sign_new

    sign_new(config, stage, lease, choose(stage, in_units(batch.units)), batch)


def _answer(config: Config, stage: Stage, choose: Choice, batch: Batch) -> Answered:
    """Generate the programs of one batch of units."""
    where = in_units(batch.units)
    todo = choose(stage, where)
    if kind_of(stage.plan.settings).runs == "together":
        from prox_spark.generation.duplicates import decide

        with ExitStack() as stack:
            return answer(decide(config, stage, todo, batch, stack), _counts())
    # Few enough to be everywhere; of more the text, which is spread out anyway, meets them on the way.
    todo = F.broadcast(todo) if batch.documents <= _BROADCAST_DOCUMENTS else todo
    documents = stage.store.read("documents", stage.documents_version).where(where)
    rows = with_score(documents, stage.plan).drop("unit").join(todo, ["doc_id", "content_hash"])
    generated = generate_rows(stage.store.spark, rows, stage.plan, config.generate.partitions)
    return answer(generated, _counts())


def _counts() -> list[Column]:
    """What is counted of a batch's rows."""
    return [
        # Every document has at most one row of number 0; of one that is asked again for some chunks only that may lack.
        F.count_if(F.col("chunk") == 0).alias("documents"),
        F.count("line_start").alias("chunks"),
        F.count_if(F.col("status") == "failed").alias("failed"),
        *(F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in ("prompt_tokens", "output_tokens")),
        *(F.coalesce(F.sum(f"engine_{name}"), F.lit(0)).alias(name) for name in ("restarts", "retries", "repeated")),
        *(F.coalesce(F.sum(name), F.lit(0.0)).alias(name) for name in ("engine_seconds", "engine_busy_seconds")),
    ]


def _append(store: Store, lease: Lease, rows: DataFrame, batch: Batch, purpose: Purpose) -> Commit:
    """Append a batch's rows in few files, each of whole units."""
    files = max(1, min(len(batch.units), batch.documents // _DOCUMENTS_PER_FILE))
    return commit(store, lease, "programs", rows.repartition(files, "unit").sortWithinPartitions("unit"), purpose)


def _retry(store: Store, lease: Lease, rows: DataFrame, batch: Batch, purpose: Purpose) -> Commit | None:
    """Requests that fail again keep their rows; other answers replace the failed rows, in one MERGE."""
    # Kept, as a MERGE reads its source twice.
    with cached(rows) as answered:
        answers = answered.where("status != 'failed'").select(*spark_schema("programs").names)
        return None if answers.isEmpty() else merge(store, lease, "programs", answers, _KEYS, purpose, batch.units)


def generate_rows(
    spark: SparkSession, documents: DataFrame, plan: StagePlan, partitions: int | None = None
) -> DataFrame:
    """Rows of ``prox_spark.generation.task.GENERATED`` for documents (columns as ``generate_programs`` takes them)."""
    profile = stage_profile(spark) if kind_of(plan.settings).runs == "executor" else None
    names = [
        name for name in ("doc_id", "content_hash", "unit", "text", "chunks", "score") if name in documents.columns
    ]
    # Set explicitly: the files of `documents` decide otherwise, and one large file would feed one task.
    # Equal texts go to the same task, which asks about them once.
    spread = documents.select(*names).repartition(partitions or default_partitions(spark), "content_hash")
    if profile is None:
        return spread.mapInArrow(_task(plan), from_arrow_schema(GENERATED))
    return spread.mapInArrow(_task(plan), from_arrow_schema(GENERATED), profile=profile)


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
        "busy_share": done.engine_busy_seconds / done.engine_seconds if done.engine_seconds else None,
        "restarts": done.restarts,
        "retries": done.retries,
        "repeated": done.repeated,
        "created_at": datetime.now(UTC),
    }
    schema = spark_schema("metrics")
    rows = store.spark.createDataFrame([tuple(row.get(name) for name in schema.names)], schema)
    commit(store, lease, "metrics", rows, Purpose(f"generate {done.stage}"))


def run_self_test(spark: SparkSession, plan: StagePlan, execution: ExecutionConfig) -> None:
    """Let the stage's refiner answer pages of boilerplate, in a task as the documents' are: see ``self_test``."""
    self_test(spark, plan, lambda pages: generate_rows(spark, pages, plan, partitions=1), execution)


def _task(plan: StagePlan) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    log = chosen()

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        follow(log)
        context = TaskContext.get()
        gpus = context.resources().get("gpu") if context else None
        return generate_programs(batches, plan, gpu=gpus.addresses[0] if gpus else None)

    return task
