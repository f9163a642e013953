"""``adapt`` with ``task: selection``: DSIR fitted to a target corpus and a store's documents.

The driver only receives sums, one row per bucket of n-grams or of weights: their size does not grow with the corpora.
"""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from prox_spark import __version__
from prox_spark.adapt.adapt import free_output
from prox_spark.adapt.selection_card import card
from prox_spark.atomic import whole_folder
from prox_spark.config.adapt import AdaptConfig
from prox_spark.config.models import Config, InputConfig
from prox_spark.config.target import STORE, TargetConfig
from prox_spark.corpora.formats import FORMATS
from prox_spark.errors import ConfigError, InputError, TrainingError
from prox_spark.ingestion.ingest import find_files, read_files
from prox_spark.ingestion.sources import open_source, read_source
from prox_spark.ingestion.task import Task
from prox_spark.programs.bytes_kernels import Floats, Integers
from prox_spark.selection.dsir import Dsir, bins, fit_log_ratio, fit_quantiles, noisy_weights
from prox_spark.selection.folder import save_dsir
from prox_spark.selection.ngrams import BUCKETS, add_counts
from prox_spark.tables.store import Store, open_store
from prox_spark.versions.sql import query

_log = logging.getLogger(__name__)

_COUNTED = pa.schema([("bucket", pa.int32()), ("count", pa.int64())])
_BINNED = pa.schema([("bin", pa.int32())])
_DOCUMENTS = -1
"""Pseudo-bucket for the number of counted documents."""
_TEXTS = 256


@dataclass(frozen=True)
class Corpus:
    """The counts of a corpus."""

    documents: int
    ngrams: int


@dataclass(frozen=True)
class Fitted:
    """A fitted selection: its folder and both corpora. ``sampled`` of the store's ``documents`` form the raw corpus.

    ``short`` is the share of the raw documents with fewer than ``adapt.min_words`` words.
    """

    output: str
    target: Corpus
    raw: Corpus
    documents: int
    documents_version: int
    short: float
    seconds: float


def fit(spark: SparkSession, config: Config) -> Fitted:
    """Fit with the settings of ``config.adapt``; the folder is created atomically.

    It holds ``refiner.json``, ``model.safetensors``, ``training.json`` and a card. Same settings, documents and target give
    the same bytes of the first two. Raises ``TrainingError`` if the output exists or the documents are too few or short,
    ``ConfigError``, ``InputError`` and ``StoreError`` if a corpus cannot be read.
    """
    settings = config.adapt
    if settings is None or settings.target is None:
        raise ConfigError(
            "adapt.target is not set: set the corpus that chosen documents should resemble (see the preset dsir)"
        )
    started = time.monotonic()
    output = free_output(settings)
    store = open_store(spark, config.store)
    _log.info("adapt: counting n-grams of the target %s", settings.target.path)
    target, target_counts = _counts(_target(spark, config, settings.target))
    if not target.ngrams:
        found = "no documents" if not target.documents else f"{target.documents} documents without words"
        raise TrainingError(f"adapt.target: {found} in {settings.target.path}")
    version = store.version("documents")
    raw_documents, total = _sample(store, version, settings)
    _log.info("adapt: counting n-grams of %s, sampled from %d documents", store.location, total)
    raw, raw_counts = _counts(raw_documents)
    if not raw.ngrams:
        raise TrainingError(
            f"{store.location}: no words in {raw.documents} documents; `prox-spark ingest` reads a corpus"
        )
    log_ratio = fit_log_ratio(target_counts, raw_counts)
    _log.info("adapt: ranking the documents by weight")
    quantiles, short = _ranks(raw_documents, log_ratio, settings)
    dsir = Dsir(log_ratio, quantiles, short, settings.min_words, settings.seed)
    done = Fitted(settings.output, target, raw, total, version, short, time.monotonic() - started)
    _write(dsir, settings, config.store, done, output)
    return done


def _sample(store: Store, version: int, settings: AdaptConfig) -> tuple[DataFrame, int]:
    """doc_id and text of the raw corpus, and how many documents the store has."""
    documents = store.read("documents", version).where("text IS NOT NULL").select("doc_id", "text")
    total = documents.count()
    if total <= settings.raw_documents:
        return documents, total
    # A different hash from the noise's: the noise must keep its distribution in the sample.
    hashed = F.xxhash64(F.lit(settings.seed).cast("long"), F.col("doc_id"))
    place = F.shiftrightunsigned(hashed, 11) / F.lit(float(2**53))
    return documents.where(place < settings.raw_documents / total), total


def _target(spark: SparkSession, config: Config, target: TargetConfig) -> DataFrame:
    """The target's texts."""
    if target.format == STORE:
        assert isinstance(target.path, str), "checked with the settings"
        if target.refinement is None:
            return open_store(spark, target.path).read("documents").select("text")
        name = target.refinement.replace("`", "``")
        return query(spark, target.path, f"SELECT text FROM `refined@{name}`")
    source = InputConfig(path=target.path, format=target.format, columns=target.columns)
    try:
        if FORMATS[target.format].read_by_spark:
            rows = read_source(open_source(spark, source)[0], source, 0, config.ingest.unit_bytes, config.limits)
        else:
            files = find_files(config.model_copy(update={"input": source}))
            rows = read_files(spark, config, source, files, 0)
    except (ConfigError, InputError) as error:
        raise type(error)(f"adapt.target: {error}") from None
    return rows.where("kind = 'document'").select("text")


def _counts(documents: DataFrame) -> tuple[Corpus, Integers]:
    """N-grams of each bucket (int64): the driver gets one row per bucket, however many documents there are."""
    rows = documents.where("text IS NOT NULL").select("text").mapInArrow(_count_task, from_arrow_schema(_COUNTED))
    found = {row["bucket"]: row["n"] for row in rows.groupBy("bucket").agg(F.sum("count").alias("n")).collect()}
    documents_counted = found.pop(_DOCUMENTS, 0)
    counts = np.zeros(BUCKETS, np.int64)
    counts[list(found)] = list(found.values())
    return Corpus(documents_counted, int(counts.sum())), counts


def _count_task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    counts, documents = np.zeros(BUCKETS, np.int64), 0
    for batch in batches:
        documents += batch.num_rows
        for start in range(0, batch.num_rows, _TEXTS):
            add_counts(batch.column("text").slice(start, _TEXTS).to_pylist(), counts)
    (there,) = np.nonzero(counts)
    buckets, sums = np.append(there, _DOCUMENTS).astype(np.int32), np.append(counts[there], documents)
    yield pa.RecordBatch.from_arrays([pa.array(buckets), pa.array(sums)], schema=_COUNTED)


def _ranks(documents: DataFrame, log_ratio: Floats, settings: AdaptConfig) -> tuple[Floats, float]:
    """The table of quantiles, and the share of short documents: the driver gets one row per bin."""
    task = _bin_task(log_ratio, settings.min_words, settings.seed)
    rows = documents.mapInArrow(task, from_arrow_schema(_BINNED)).groupBy("bin").count().collect()
    counts: dict[int | None, int] = {row[0]: row[1] for row in rows}
    short = counts.pop(None, 0)
    if not counts:
        raise TrainingError(
            f"none of {short} documents has {settings.min_words} words; lower adapt.min_words, or ingest longer ones"
        )
    ordered = np.array(sorted((number, n) for number, n in counts.items() if number is not None), np.int64)
    return fit_quantiles(ordered[:, 0], ordered[:, 1]), short / (short + int(ordered[:, 1].sum()))


def _bin_task(log_ratio: Floats, min_words: int, seed: int) -> Task:
    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, _TEXTS):
                ids, texts = (batch.column(name).slice(start, _TEXTS).to_pylist() for name in ("doc_id", "text"))
                weights = noisy_weights(texts, ids, log_ratio, min_words, seed)
                short = np.isneginf(weights)
                numbers = bins(np.where(short, 0.0, weights))
                yield pa.RecordBatch.from_arrays([pa.array(numbers, pa.int32(), mask=short)], schema=_BINNED)

    return task


def _write(dsir: Dsir, settings: AdaptConfig, store: str, done: Fitted, output: Path) -> None:
    with whole_folder(output) as work:
        save_dsir(dsir, settings.name, work)
        assert settings.target is not None, "checked before"
        training: dict[str, Any] = {
            "settings": {
                **settings.model_dump(mode="json", include={"name", "task", "min_words", "raw_documents", "seed"}),
                "target": settings.target.model_dump(mode="json"),
                "store": store,
            },
            **asdict(done),
            "date": datetime.now(UTC).date().isoformat(),
            "package_version": __version__,
        }
        (work / "training.json").write_text(json.dumps(training, indent=2) + "\n", encoding="utf-8")
        (work / "README.md").write_text(card(settings, training), encoding="utf-8")
