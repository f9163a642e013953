"""``estimate``: estimates the work of generation from a sample, before any engine starts.

The sample runs through the real code, with an engine that returns empty answers, so tokenizer, template and chunking
are those of the run. It is stratified by length (strata of half an octave), because long documents are few and have most of
the tokens. Nothing is written.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from prox_spark.config.engines import ModelSettings
from prox_spark.config.models import Config
from prox_spark.corpora.formats import FORMATS
from prox_spark.engines.protocol import Completion, Request, Usage
from prox_spark.generation.pending import kept_documents, pending
from prox_spark.generation.plan import Plans, StagePlan, plan_stages
from prox_spark.generation.scheduling import default_partitions
from prox_spark.generation.task import run_stage
from prox_spark.ingestion.ingest import find_files, read_files
from prox_spark.ingestion.sample import choose_parts, read_parts
from prox_spark.ingestion.sources import open_source
from prox_spark.tables.store import Store, find_store
from prox_spark.tables.units import in_units

_log = logging.getLogger(__name__)

_BYTES_PER_DOCUMENT = 256 * 1024
_BYTES_AT_LEAST = 64 << 20
"""Bytes of a corpus's files to read for each document of the sample: 30 times a usual compressed page, so that
a corpus with no more documents than the sample is read in full."""

_UNITS = 8
"""Pending units of a store to read."""

_STRATUM_AT_LEAST = 8
_STAGES = ("document", "chunk")
_COUNTED = pa.schema(
    [
        ("stratum", pa.int32()),
        *((f"{stage}_{name}", pa.float64()) for stage in _STAGES for name in ("chunks", "requests", "prompt_tokens")),
    ]
)


@dataclass(frozen=True)
class StageEstimate:
    """The work of one stage; ``chunks`` is 0 for the document stage, as in the report of ``generate``.

    ``output_tokens_at_most`` counts every output at its token limit, and ``engine_hours`` includes them. Null: not known.
    """

    stage: str
    refiner: str
    documents: int
    chunks: int
    prompt_tokens: int
    output_tokens_at_most: int
    engine_hours: float | None
    price: float | None


@dataclass(frozen=True)
class Estimate:
    """A whole run's work: ``sampled`` of its ``documents`` were tokenised; ``notes`` list the assumptions."""

    documents: int
    sampled: int
    stages: list[StageEstimate]
    notes: list[str]


@dataclass(frozen=True)
class _Population:
    """The documents that are read, and the population that they represent.

    ``rows`` have ``text``, their weight in each stage (``document``, ``chunk``: the probability that the stage processes them)
    and ``read`` (bytes of a file that were read, in rows without a text). ``totals`` are the number of all documents and
    the sums of all weights, if known; else the rows represent ``size`` bytes, or (null) only themselves.
    """

    rows: DataFrame
    totals: dict[str, float] | None = None
    size: int | None = None


def estimate(
    spark: SparkSession,
    config: Config,
    *,
    sample: int = 1000,
    tokens_per_second: float | None = None,
    price_per_hour: float | None = None,
) -> Estimate:
    """Documents, chunks, tokens, engine hours and price of generation: for pending documents of the store, else for the input.

    About ``sample`` documents are tokenised (all, if there are no more). ``tokens_per_second`` is the speed of one engine, prompt
    and output together; the default is that refiner's speed in the store's ``metrics``. Raises ``ConfigError``,
    ``RefinerError``, ``InputError`` and ``StoreError`` as a run would.
    """
    plans = plan_stages(config)
    stages = [one for one in (plans.document, plans.chunk) if one]
    store = find_store(spark, config.store)
    notes: list[str] = []
    if store is not None and not store.read("documents").isEmpty():
        population = _of_store(store, config, plans, notes)
    else:
        population = _of_input(spark, config, sample, notes)
        if len(stages) == 2:
            notes.append(_ALL_KEPT)
    _log.info("estimate: tokenising a sample of %d documents", sample)
    totals, sampled, counted = _count(population, stages, sample, notes)
    found = []
    for one in stages:
        speed = tokens_per_second or (_measured(store, one, notes) if store else None)
        if isinstance(one.settings, ModelSettings) and speed is None:
            notes.append(
                f"{one.stage} stage: the speed of this refiner is unknown; set --tokens-per-second to get hours"
            )
        found.append(_stage(one, totals[one.stage], counted, speed, price_per_hour))
    if any(one.output_tokens_at_most for one in found):
        notes.append("output tokens, hours and price are upper bounds from the token limit")
    return Estimate(round(totals["all"]), sampled, found, notes)


_ALL_KEPT = (
    "the document stage has not run with this refiner; the chunk stage is estimated as if every document is kept"
)


def _of_store(store: Store, config: Config, plans: Plans, notes: list[str]) -> _Population:
    """The store's documents that are pending in any stage, from some units in order of arrival."""
    documents, programs = store.read("documents"), store.read("programs")
    if config.input is not None:
        notes.append("counts the pending documents of the store, not input files that are not ingested yet")
    keys = ["doc_id", "content_hash"]
    parts = []
    passed = documents
    if plans.document:
        unread = pending(documents, programs, plans.document)
        parts.append(_weighed(unread, document=1.0))
        if plans.chunk:
            share = _kept_share(programs, plans.document, config)
            parts.append(_weighed(pending(unread, programs, plans.chunk), chunk=1.0 if share is None else share))
            passed = documents.join(kept_documents(programs, plans.document, config.min_keep_score), keys, "left_semi")
            if share is None:
                notes.append(_ALL_KEPT)
            else:
                notes.append(
                    f"the document stage has kept {share:.1%} so far; the chunk stage is estimated with this share"
                )
    if plans.chunk:
        parts.append(_weighed(pending(passed, programs, plans.chunk), chunk=1.0))
    sums = [F.sum(stage).alias(stage) for stage in _STAGES]
    todo = reduce(DataFrame.unionByName, parts).groupBy(*keys, "unit").agg(*sums)
    units = todo.groupBy("unit").agg(F.count("*").alias("all"), *sums).orderBy("unit").collect()
    totals = {name: float(sum(row[name] for row in units)) for name in ("all", *_STAGES)}
    chosen = sorted({unit for stage in _STAGES for unit in _spread([r["unit"] for r in units if r[stage]], _UNITS)})
    if len(chosen) < len(units):
        notes.append(f"{len(chosen)} of {len(units)} pending units were read; the others are assumed to be similar")
    here = in_units(chosen)
    weights = F.broadcast(todo.where(here).drop("unit"))
    rows = documents.where(here).select(*keys, "text").join(weights, keys)
    return _Population(rows.select("text", *_STAGES, _nothing_read()), totals)


def _nothing_read() -> Column:
    return F.lit(None).cast("double").alias("read")


def _weighed(documents: DataFrame, *, document: float = 0.0, chunk: float = 0.0) -> DataFrame:
    weights = F.lit(document).alias("document"), F.lit(chunk).alias("chunk")
    return documents.select("doc_id", "content_hash", "unit", *weights)


def _kept_share(programs: DataFrame, document: StagePlan, config: Config) -> float | None:
    """The share of the documents that this refiner kept so far; ``None`` if it has seen none."""
    seen = programs.where((F.col("stage") == "document") & (F.col("refiner") == document.fingerprint))
    kept = F.coalesce(F.col("keep_score") >= config.min_keep_score, F.lit(False))
    row = seen.agg(F.avg(kept.cast("double"))).first()
    return None if row is None or row[0] is None else float(row[0])


def _spread(items: list[int], count: int) -> list[int]:
    """At most this many of the items, evenly spread."""
    if len(items) <= count:
        return items
    return [items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count)]


def _of_input(spark: SparkSession, config: Config, sample: int, notes: list[str]) -> _Population:
    """The documents of the configured corpus."""
    files = find_files(config)
    source = config.input
    assert source is not None, "find_files raises without an input"
    if FORMATS[source.format].read_by_spark:
        rows, columns = open_source(spark, source)
        return _everything(rows.select(F.col(f"`{columns['text']}`").cast("string").alias("text"), _nothing_read()))
    if source.limit:
        read = read_files(spark, config, source, files, 0).where("kind = 'document'")
        return _everything(read.select("text", _nothing_read()))
    parts = choose_parts(files, max(_BYTES_AT_LEAST, sample * _BYTES_PER_DOCUMENT))
    size, chosen = sum(file.size for file in files), sum(part.size for part in parts)
    if chosen < size:
        notes.append(
            f"about {chosen / size:.1%} of the input's bytes were read, in {len(parts)} of {len(files)} files; "
            "the rest is assumed to be similar"
        )
    return _everything(read_parts(spark, parts, source), size)


def _everything(rows: DataFrame, size: int | None = None) -> _Population:
    ones = [F.when(F.col("text").isNotNull(), 1.0).alias(stage) for stage in _STAGES]
    return _Population(rows.select("text", *ones, "read"), size=size)


def _count(
    population: _Population, stages: list[StagePlan], sample: int, notes: list[str]
) -> tuple[dict[str, float], int, dict[str, float]]:
    """Totals of the population; the number of tokenised documents; sums of ``_COUNTED`` over the population."""
    rows = population.rows.withColumn("stratum", F.floor(2 * F.log2(F.length("text") + 1)).cast("int"))
    sums = [F.sum(name).alias(name) for name in (*_STAGES, "read")]
    strata = rows.groupBy("stratum").agg(F.count("text").alias("all"), *sums).collect()
    numbers = {row["stratum"]: int(row["all"]) for row in strata if row["all"]}
    read = {name: float(sum(row[name] or 0.0 for row in strata)) for name in ("all", *_STAGES, "read")}
    documents = sum(numbers.values())
    if not documents:
        return dict.fromkeys(("all", *_STAGES), 0.0), 0, {}
    factor = population.size / read["read"] if population.size and read["read"] else 1.0
    totals = population.totals or {name: read[name] * factor for name in ("all", *_STAGES)}
    chosen = rows.where(F.col("text").isNotNull())
    if documents > sample:
        fractions = {one: min(1.0, max(sample / documents, _STRATUM_AT_LEAST / n)) for one, n in numbers.items()}
        chosen = chosen.sampleBy("stratum", fractions, seed=0)
    partitions = default_partitions(rows.sparkSession)
    counted = (
        chosen.select("stratum", "text", *_STAGES)
        .repartition(min(partitions, 1 + sample // 100))
        .mapInArrow(_task(stages), from_arrow_schema(_COUNTED))
        .groupBy("stratum")
        .agg(F.count("*").alias("sampled"), *(F.sum(name).alias(name) for name in _COUNTED.names[1:]))
        .collect()
    )
    sampled = int(sum(row["sampled"] for row in counted))
    if sampled < round(totals["all"]):
        notes.append(f"{sampled:,} of {round(totals['all']):,} documents were tokenised")
    whole = dict.fromkeys(_COUNTED.names[1:], 0.0)
    for stratum, number in numbers.items():
        # A stratum without samples is assumed to be like the nearest one.
        like = min(counted, key=lambda row, at=stratum: abs(row["stratum"] - at))  # type: ignore[misc]
        for name in whole:
            stage = name.partition("_")[0]
            scale = totals[stage] / read[stage] if read[stage] else 0.0
            whole[name] += scale * number * like[name] / like["sampled"]
    return totals, sampled, whole


def _task(stages: list[StagePlan]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        received = list(batches)
        if not received:
            return
        table = pa.Table.from_batches(received)
        columns: dict[str, Any] = {"stratum": table.column("stratum").combine_chunks()}
        columns |= {name: pa.array([0.0] * table.num_rows) for name in _COUNTED.names[1:]}
        texts = table.column("text").to_pylist()
        for stage in stages:
            weights = table.column(stage.stage).to_pylist()
            asked = count_requests(
                [text if weight else None for text, weight in zip(texts, weights, strict=True)], stage
            )
            for place, name in enumerate(("chunks", "requests", "prompt_tokens")):
                values = [weight * counts[place] for weight, counts in zip(weights, asked, strict=True)]
                columns[f"{stage.stage}_{name}"] = pa.array(values, pa.float64())
        yield pa.RecordBatch.from_arrays([columns[name] for name in _COUNTED.names], schema=_COUNTED)

    return task


def count_requests(texts: list[str | None], plan: StagePlan) -> list[tuple[int, int, int]]:
    """For each text: its chunks (0 in the document stage), its requests to a model, and their prompt tokens."""
    found = [(0, 0, 0)] * len(texts)
    wanted = [number for number, text in enumerate(texts) if text is not None]
    nothing = pa.nulls(len(wanted))
    columns = {
        "doc_id": pa.array(map(str, wanted), pa.string()),
        "content_hash": nothing.cast(pa.string()),
        "unit": nothing.cast(pa.int64()),
        "text": pa.array([texts[number] for number in wanted], pa.string()),
    }
    for batch in run_stage(iter([pa.RecordBatch.from_pydict(columns)]), plan, _Silent()):
        answered = (batch.column(name).to_pylist() for name in ("doc_id", "line_start", "prompt_tokens"))
        for doc_id, line_start, tokens in zip(*answered, strict=True):
            chunks, requests, total = found[int(doc_id)]
            found[int(doc_id)] = chunks + (line_start is not None), requests + (tokens > 0), total + tokens
    return found


class _Silent:
    """An engine without a model, whose answers are all empty: only its requests are counted."""

    def stream(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """See ``Engine``."""
        return (Completion(id=request.id, output="") for request in requests)

    def usage(self) -> Usage:
        """See ``Engine``."""
        return Usage()

    def close(self) -> None:
        """See ``Engine``."""


def _measured(store: Store, plan: StagePlan, notes: list[str]) -> float | None:
    """Tokens a second of this refiner's earlier batches, by the store's ``metrics``."""
    mine = store.read("metrics").where((F.col("refiner") == plan.fingerprint) & (F.col("stage") == plan.stage))
    row = mine.agg(F.sum(F.col("prompt_tokens") + F.col("output_tokens")), F.sum("seconds")).first()
    if row is None or not row[0] or not row[1]:
        return None
    speed = float(row[0]) / float(row[1])
    notes.append(
        f"{plan.stage} stage: {speed:,.0f} tokens/s in earlier runs on this store, all engines together; "
        "hours are hours of the same machines"
    )
    return speed


def _stage(
    plan: StagePlan, documents: float, counted: dict[str, float], speed: float | None, price_per_hour: float | None
) -> StageEstimate:
    chunks, requests, prompt = (
        round(counted.get(f"{plan.stage}_{name}", 0.0)) for name in ("chunks", "requests", "prompt_tokens")
    )
    decides = plan.refiner.decision is not None or plan.refiner.label is not None
    output = 0 if decides else requests * plan.refiner.max_tokens
    # Computed from the reported whole numbers, so that readers can reproduce the hours.
    hours: float | None = 0.0
    if isinstance(plan.settings, ModelSettings):
        hours = (prompt + output) / speed / 3600 if speed else None
    return StageEstimate(
        stage=plan.stage,
        refiner=plan.fingerprint,
        documents=round(documents),
        chunks=chunks,
        prompt_tokens=prompt,
        output_tokens_at_most=output,
        engine_hours=hours,
        price=None if hours is None or price_per_hour is None else hours * price_per_hour,
    )
