"""The programs of duplicates: the documents of a run are compared with each other and with those of earlier runs.

First each new document gets a row in ``signatures``, a batch of units at a time. Then documents with a hash in common are
connected, and one of each group is kept. A document that an earlier run decided about keeps its program: new documents join its
group. Only hashes and ids are compared; no text is read after the signatures.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from prox_spark.config.engines import DuplicatesSettings
from prox_spark.config.models import Config
from prox_spark.duplicates.task import SIGNED, sign_documents
from prox_spark.generation.batching import batches_of
from prox_spark.generation.columns import with_score
from prox_spark.generation.components import components
from prox_spark.generation.kinds import method
from prox_spark.generation.pending import KEYS, Stage, units_of
from prox_spark.generation.plan import StagePlan
from prox_spark.generation.scheduling import default_partitions
from prox_spark.generation.task import GENERATED
from prox_spark.logs import chosen, follow
from prox_spark.schemas import CALL
from prox_spark.tables.cache import cached
from prox_spark.tables.commits import commit
from prox_spark.tables.forgotten import id_hash
from prox_spark.tables.leases import Lease
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.store import Store
from prox_spark.tables.units import Batch, in_units

_log = logging.getLogger(__name__)

_PURPOSE = Purpose("generate document")

_BROADCAST_DOCUMENTS = 200_000
"""Documents of a run whose hashes are sent to every executor, at about 16 bytes for each of 15; of more, all are shuffled."""

_DOCUMENTS_PER_FILE = 1_000_000
"""Documents whose signatures make a file, of about 150 MB."""

_EARLIER, _NEW = "0", "1"
"""First characters of nodes: groups of earlier runs, by their ``cluster``, come before new documents, by their id."""


def sign_new(config: Config, stage: Stage, lease: Lease, todo: DataFrame, batch: Batch) -> None:
    """Append the signatures of a batch's documents (``todo``: doc_id, content_hash, unit) that have none by this method."""
    store, settings = stage.store, _settings(stage.plan)
    known = _signed(store, settings, store.version("signatures")).where(in_units(batch.units)).select(*KEYS)
    missing = todo.join(known, list(KEYS), "left_anti")
    documents = store.read("documents", stage.documents_version)
    for part in batches_of(config, stage, units_of(stage, missing)):
        where = in_units(part.units)
        rows = documents.where(where).drop("unit").join(missing.where(where), list(KEYS))
        signed = _sign(rows, stage.plan, config.generate.partitions).where("error IS NULL")
        files = max(1, min(len(part.units), part.documents // _DOCUMENTS_PER_FILE))
        with cached(signed.repartition(files, "unit").sortWithinPartitions("unit")) as new:
            # Documents that are too large have no signature: after a run that died they are all that is left to sign.
            if not new.isEmpty():
                commit(store, lease, "signatures", new, _PURPOSE)


def decide(config: Config, stage: Stage, todo: DataFrame, batch: Batch, stack: ExitStack) -> DataFrame:
    """Rows of ``GENERATED`` for documents that have signatures. What is kept for it goes when ``stack`` is closed."""
    store, plan, settings = stage.store, stage.plan, _settings(stage.plan)
    signed = _signed(store, settings, store.version("signatures"))
    # A refiner that runs at the same time may have written the same signatures.
    mine = signed.where(in_units(batch.units)).drop("unit").dropDuplicates(list(KEYS))
    new = stack.enter_context(cached(todo.join(mine, list(KEYS), "left")))
    bands = new.select(F.concat(F.lit(_NEW), "doc_id").alias("node"), _hashes()).where("hash IS NOT NULL")
    earlier = _earlier(stage, signed, bands, batch.documents)
    edges = _edges(bands if earlier is None else bands.unionByName(earlier))
    documents = store.read("documents", stage.documents_version).where(in_units(batch.units))
    places = with_score(documents, plan).join(new.select("doc_id", "n_characters"), "doc_id")
    decided = _decided(components(edges, stack), places, settings)
    rows = new.join(decided, "doc_id", "left")
    unsigned = new.where("n_characters IS NULL").select(*KEYS, "unit")
    n_unsigned = unsigned.count()
    if not n_unsigned:
        rows = rows.withColumn("error", F.lit(None).cast("string"))
    else:
        few = F.broadcast(unsigned) if n_unsigned <= _BROADCAST_DOCUMENTS else unsigned
        again = documents.drop("unit").join(few, list(KEYS))
        errors = _sign(again, plan, config.generate.partitions).select("doc_id", "error")
        rows = rows.join(errors, "doc_id", "left")
    return _programs(rows, plan)


def _settings(plan: StagePlan) -> DuplicatesSettings:
    assert isinstance(plan.settings, DuplicatesSettings), "this module is of one kind of engine"
    return plan.settings


def _signed(store: Store, settings: DuplicatesSettings, version: int) -> DataFrame:
    """The signatures by the settings' method."""
    return store.read("signatures", version).where(F.col("method") == method(settings))


def _sign(documents: DataFrame, plan: StagePlan, partitions: int | None) -> DataFrame:
    """Signatures of documents with their text, and errors."""
    settings, limits, log = _settings(plan), plan.limits, chosen()
    name = method(settings)

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        follow(log)
        numbers = {"words": settings.words, "buckets": settings.buckets, "hashes": settings.hashes}
        return sign_documents(batches, name, limits, **numbers)

    spread = documents.select(*KEYS, "unit", "text").repartition(
        partitions or default_partitions(documents.sparkSession)
    )
    return spread.mapInArrow(task, from_arrow_schema(SIGNED))


def _hashes() -> Column:
    """All hashes of a signature, a row for each."""
    return F.explode(F.concat(F.array("text_hash"), "buckets")).alias("hash")


def _earlier(stage: Stage, signed: DataFrame, bands: DataFrame, documents: int) -> DataFrame | None:
    """The groups of earlier runs (``node``) that have a ``hash`` of ``bands``; null where this is the refiner's first run.

    A group whose kept document was forgotten is none any more: one of the next documents like it is kept.
    """
    decided = stage.programs(F.lit(True)).where("status = 'ok'").select(*KEYS, "output")
    if decided.isEmpty():
        return None
    hashes = bands.select("hash").distinct()
    if documents <= _BROADCAST_DOCUMENTS:
        hashes = F.broadcast(hashes)
    met = signed.select(*KEYS, _hashes()).join(hashes, "hash", "left_semi")
    cluster = F.coalesce(F.get_json_object(F.substring_index("output", "# ", -1), "$.cluster"), id_hash("doc_id"))
    groups = met.join(decided, list(KEYS)).select(cluster.alias("cluster"), "hash")
    gone = stage.store.read("forgotten").select(F.col("id_hash").alias("cluster"))
    alive = groups.join(gone, "cluster", "left_anti")
    return alive.select(F.concat(F.lit(_EARLIER), "cluster").alias("node"), "hash")


def _edges(bands: DataFrame) -> DataFrame:
    """From each node to the smallest that has a hash in common with it: as many edges as hashes at most."""
    least = F.min("node").over(Window.partitionBy("hash"))
    return bands.withColumn("other", least).where("node != other").select("node", "other").distinct()


def _decided(roots: DataFrame, places: DataFrame, settings: DuplicatesSettings) -> DataFrame:
    """``doc_id``, ``cluster``, ``rule`` and ``kept`` of the new documents that are in a group."""
    new = F.substring("root", 1, 1) == _NEW
    name = F.expr("substring(node, 2)").alias("doc_id")
    heads = roots.where(new).select(F.col("root").alias("node"), "root").distinct()
    members = roots.where(F.substring("node", 1, 1) == _NEW).unionByName(heads).select(name, "root")
    longest = (-F.col("n_characters")).alias("size")
    rules: dict[str, list[Column]] = {"first": [], "longest": [longest], "best_score": [_worst_last()]}
    order = F.struct(*rules[settings.keep], "unit", "file", "position", "doc_id").alias("order")
    ordered = members.where(new).join(places.select("doc_id", order), "doc_id")
    best = ordered.groupBy("root").agg(F.min_by("doc_id", "order").alias("best"))
    found = members.join(best, "root", "left")
    return found.select(
        "doc_id",
        F.coalesce(id_hash("best"), F.expr("substring(root, 2)")).alias("cluster"),
        F.when(F.col("best").isNull(), "earlier").otherwise(settings.keep).alias("rule"),
        F.coalesce(F.col("best") == F.col("doc_id"), F.lit(False)).alias("kept"),
    )


def _worst_last() -> Column:
    """The number in ``score`` with its sign changed; what is no number comes last."""
    number = F.expr("try_cast(score AS DOUBLE)")
    return (-F.when(number.isNull() | F.isnan(number), float("-inf")).otherwise(number)).alias("score")


def _programs(rows: DataFrame, plan: StagePlan) -> DataFrame:
    """Rows of ``GENERATED``. A program's comment has its document's group, by the hash of the kept document's id."""
    schema = from_arrow_schema(GENERATED)
    kept = F.coalesce("kept", F.lit(True))
    operation = F.when(kept, "keep_doc").otherwise("drop_doc")
    comment = F.when(F.col("cluster").isNotNull(), F.to_json(F.struct("cluster", F.col("rule").alias("by"))))
    output = F.concat(operation, F.lit("()"), F.coalesce(F.concat(F.lit("\n# "), comment), F.lit("")))
    answered = F.col("error").isNull() & F.col("text_hash").isNotNull()
    status = F.when(F.col("error").isNotNull(), "failed").when(answered, "ok").otherwise("skipped")
    null = F.lit(None)
    call = {"operation": operation, "outcome": F.lit("ok")}
    calls = F.array(F.struct(*(call.get(field.name, null).alias(field.name) for field in CALL)))
    values = {
        **{name: F.col(name) for name in (*KEYS, "unit", "error")},
        "stage": F.lit(plan.stage),
        "chunk": F.lit(0),
        "refiner": F.lit(plan.fingerprint),
        "line_offset": F.lit(0),
        "status": status,
        "keep_score": F.when(answered, kept.cast("double")),
        "prompt_tokens": F.lit(0),
        "output_tokens": F.lit(0),
        "output": F.when(answered, output),
        "calls": F.when(answered, calls),
    }
    columns = [values.get(field.name, null).cast(field.dataType).alias(field.name) for field in schema]
    return rows.select(*columns)
