"""``annotate``: a large model answers requests about a sample of ``documents``, in batches.

Pending work is derived from ``annotations`` alone (documents of the sample without an answer to a task's prompt by this
model), so an interrupted run resumes. A batch's answers are small: they are collected on the driver, so that each request
is sent once, even if the write is retried.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, from_arrow_type

from prox_spark.annotation.prompts import Prompt, load_prompts
from prox_spark.annotation.sample import sample
from prox_spark.annotation.task import ANNOTATED, WANTED, annotate_documents
from prox_spark.annotation.training import TrainingFiles, write_training
from prox_spark.config.annotate import AnnotateConfig
from prox_spark.config.models import Config
from prox_spark.errors import ConfigError
from prox_spark.generation.scheduling import default_partitions
from prox_spark.logs import chosen as chosen_log
from prox_spark.logs import follow
from prox_spark.progress import Progress, duration
from prox_spark.session import log_session, share_of_tasks
from prox_spark.spark_api import from_arrow, to_arrow
from prox_spark.tables.cache import cached
from prox_spark.tables.commits import Commit, commit, fence, merge
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.purpose import Purpose, check_transactions
from prox_spark.tables.store import Store, open_store

_log = logging.getLogger(__name__)

LEASE = "annotate"
STATUSES = ("ok", "refused", "malformed", "failed", "skipped")

_DOCUMENTS_PER_TASK = 16

_KEYS = ("doc_id", "task", "chunk", "prompt_version", "model")
_PURPOSE = Purpose("annotate")

Choice = Callable[[DataFrame, DataFrame], DataFrame]
"""Maps the sample and its annotations so far to doc_id, unit and ``wanted`` of the documents to ask about."""


@dataclass(frozen=True)
class TaskCounts:
    """One task's answers about the sample in the store, for this prompt and model: rows by status, and tokens."""

    task: str
    prompt_version: str
    ok: int = 0
    refused: int = 0
    malformed: int = 0
    failed: int = 0
    skipped: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Annotated:
    """The result of one ``annotate``.

    ``documents`` in the sample; ``answers`` that this run stored, for which ``retries`` requests were sent again and of which
    ``mended`` are used though they were not just the JSON that was asked for; ``tasks`` and ``training``: totals so far.
    """

    model: str
    documents: int
    answers: int
    mended: int
    retries: int
    seconds: float
    tasks: list[TaskCounts]
    training: TrainingFiles


@dataclass
class _Done:
    answers: int = 0
    mended: int = 0
    retries: int = 0


def annotate(spark: SparkSession, config: Config, *, retry_failed: bool = False) -> Annotated:
    """Send the pending requests about the sample, then write the training files.

    ``retry_failed`` first retries failed and malformed requests; any answer replaces the row.
    Raises ``ConfigError`` without ``annotate`` in the configuration, ``EngineError`` if the endpoint answers no request.
    """
    settings = config.annotate
    if settings is None:
        raise ConfigError("annotate is not set: set endpoint and output (see the preset large-model)")
    store = open_store(spark, config.store)
    prompts = load_prompts(settings)
    log_session(spark, config.model_dump(mode="json", exclude_defaults=True))
    if retry_failed:
        check_transactions(spark)
    began, done = time.monotonic(), _Done()
    with cached(sample(store.read("documents"), settings)) as chosen:
        if retry_failed:
            _run(store, settings, prompts, chosen, _failed, _retry, done)
        _run(store, settings, prompts, chosen, lambda c, rows: _pending(c, rows, prompts), _append, done)
        seconds = time.monotonic() - began
        tasks = _counts(store, settings, prompts, chosen)
        training = write_training(store, settings, chosen, answered(store, settings, prompts))
        values = {
            "store": store.location,
            "model": settings.endpoint.model,
            "answers": done.answers,
            "mended": done.mended,
            "retries": done.retries,
        }
        model, counts = settings.endpoint.model, (done.answers, done.mended, done.retries)
        told = "annotate finished: %d answers by %s in %s, %d of them not plain JSON; %d requests were sent again"
        _log.info(told, done.answers, model, duration(seconds), done.mended, done.retries, extra=values)
        return Annotated(model, chosen.count(), *counts, seconds, tasks, training)


def answered(store: Store, settings: AnnotateConfig, prompts: tuple[Prompt, ...]) -> DataFrame:
    """The rows of ``annotations`` by this model and these prompts."""
    versions = [prompt.version for prompt in prompts]
    return store.read("annotations").where(
        (F.col("model") == settings.endpoint.model) & F.col("prompt_version").isin(versions)
    )


def _pending(chosen: DataFrame, rows: DataFrame, prompts: tuple[Prompt, ...]) -> DataFrame:
    """The tasks of each document that have no answer yet."""
    tasks = F.explode(F.array(*(F.lit(prompt.task) for prompt in prompts))).alias("task")
    missing = chosen.select("doc_id", "unit", tasks).join(
        rows.select("doc_id", "task"), ["doc_id", "task"], "left_anti"
    )
    return _wanted(missing.withColumn("chunk", F.lit(None).cast("int")))


def _failed(chosen: DataFrame, rows: DataFrame) -> DataFrame:
    """The questions without a usable answer. A refusal counts as an answer."""
    again = rows.where(F.col("status").isin("failed", "malformed")).select("doc_id", "unit", "task", "chunk")
    return _wanted(again.join(chosen.select("doc_id"), "doc_id", "left_semi"))


def _wanted(questions: DataFrame) -> DataFrame:
    return questions.groupBy("doc_id", "unit").agg(F.collect_list(F.struct("task", "chunk")).alias("wanted"))


def _run(
    store: Store,
    settings: AnnotateConfig,
    prompts: tuple[Prompt, ...],
    chosen: DataFrame,
    choose: Choice,
    write: Callable[[Store, Lease, pa.Table], tuple[int, Commit | None]],
    done: _Done,
) -> None:
    """Everything that ``choose`` finds, a batch at a time; without pending work, no lease is taken."""
    if choose(chosen, answered(store, settings, prompts)).isEmpty():
        _log.info("annotate: nothing is pending", extra={"store": store.location})
        return
    with hold(store, LEASE) as lease:
        fence(store, lease, ("annotations",))
        # Look again, now that no other job writes answers.
        questions = choose(chosen, answered(store, settings, prompts)).collect()
        # In order of their units, so that a batch's documents are in few files.
        questions.sort(key=lambda row: (row["unit"], row["doc_id"]))
        values = {"store": store.location, "model": settings.endpoint.model, "documents": len(questions)}
        told = "annotate: %d documents of the sample are pending, model %s, prompts %s; store %s"
        versions = ", ".join(f"{prompt.task} {prompt.version}" for prompt in prompts)
        _log.info(told, len(questions), settings.endpoint.model, versions, store.location, extra=values)
        running = share_of_tasks(store.spark)
        with Progress("annotate", len(questions), "documents", running=running, fields=values) as progress:
            for start in range(0, len(questions), settings.batch_documents):
                batch = questions[start : start + settings.batch_documents]
                progress.expect(len(batch))
                answers = _ask(store, settings, prompts, batch)
                done.retries += sum(answers.column("retries").drop_null().to_pylist())
                done.mended += sum(answers.column("mended").drop_null().to_pylist())
                stored, made = write(store, lease, answers.drop_columns(["mended", "retries"]))
                done.answers += stored
                table: dict[str, Any] = (
                    {} if made is None else {"table": "annotations", "version": made.version, "rows": made.rows}
                )
                progress.advance(len(batch), **table)


def _ask(store: Store, settings: AnnotateConfig, prompts: tuple[Prompt, ...], batch: list[Row]) -> pa.Table:
    """The answers about one batch of documents."""
    spark = store.spark
    schema = f"doc_id string, wanted {from_arrow_type(WANTED).simpleString()}"
    wanted = spark.createDataFrame([(row["doc_id"], row["wanted"]) for row in batch], schema)
    documents = store.read("documents").where(F.col("unit").between(batch[0]["unit"], batch[-1]["unit"]))
    rows = documents.select("doc_id", "content_hash", "unit", "text").join(F.broadcast(wanted), "doc_id")
    # A minimum of documents per task: with only one or two, a task cannot keep its open requests busy.
    spread = rows.repartition(min(default_partitions(spark), max(len(batch) // _DOCUMENTS_PER_TASK, 1)))
    return to_arrow(spread.mapInArrow(_task(settings, prompts), from_arrow_schema(ANNOTATED)))


def _task(
    settings: AnnotateConfig, prompts: tuple[Prompt, ...]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    log = chosen_log()

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        follow(log)
        return annotate_documents(batches, settings, prompts)

    return task


def _append(store: Store, lease: Lease, answers: pa.Table) -> tuple[int, Commit | None]:
    """How many answers are stored, and the commit."""
    return answers.num_rows, commit(store, lease, "annotations", from_arrow(store.spark, answers), _PURPOSE)


def _retry(store: Store, lease: Lease, answers: pa.Table) -> tuple[int, Commit | None]:
    """The same. Requests that fail again keep their old rows; all other answers replace the unusable rows."""
    better = answers.filter(pc.field("status") != "failed")
    if better.num_rows == 0:
        return 0, None
    rows = from_arrow(store.spark, better)
    return better.num_rows, merge(store, lease, "annotations", rows, _KEYS, _PURPOSE)


def _counts(store: Store, settings: AnnotateConfig, prompts: tuple[Prompt, ...], chosen: DataFrame) -> list[TaskCounts]:
    rows = answered(store, settings, prompts).join(chosen.select("doc_id"), "doc_id", "left_semi")
    sums = [F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in ("prompt_tokens", "output_tokens")]
    by_status = [F.count_if(F.col("status") == status).alias(status) for status in STATUSES]
    found: dict[str, dict[str, Any]] = {
        row["task"]: row.asDict() for row in rows.groupBy("task").agg(*by_status, *sums).collect()
    }
    return [
        TaskCounts(**{"task": prompt.task, **found.get(prompt.task, {}), "prompt_version": prompt.version})
        for prompt in prompts
    ]
