"""``export``: one refinement version as files, in a seeded order, written by Spark; the folder is written atomically.

The position of a document depends on the version's rows, the seed and the number of shards: with
``key = xxhash64(seed, doc_id)`` its shard is ``key mod shards`` (never negative), and a shard is sorted by ``key``, then
``doc_id``. The number of shards follows from the characters that the version counts.
"""

import dataclasses
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from prox_spark.credentials import check_location
from prox_spark.errors import ConservationError, UsageError
from prox_spark.exporting.card import card, read_card_facts
from prox_spark.exporting.folder import Folder, open_folder
from prox_spark.exporting.formats import Format
from prox_spark.exporting.manifest import check_same, encoded, manifest
from prox_spark.exporting.shards import MOST_SHARDS, SHARD_CHARACTERS, WRITTEN, ShardPlan, shard_task
from prox_spark.exporting.staging import MANIFEST, look, remove_dead, staging
from prox_spark.exporting.tokens import ChosenTokenizer, read_tokenizer
from prox_spark.exporting.writers import COLUMNS
from prox_spark.progress import Progress, duration, quantity
from prox_spark.session import Session, share_of_tasks, started
from prox_spark.spark_api import repartition_by_id
from prox_spark.suggest import unknown
from prox_spark.tables.refinements import check_unforgotten
from prox_spark.tables.store import open_store
from prox_spark.versions.names import Version, open_version

_log = logging.getLogger(__name__)

_NAMES: dict[str, str] = {
    "parquet": "data/part-{number:05d}.parquet",
    "jsonl": "data/part-{number:05d}.jsonl.zst",
    "huggingface": "data/train-{number:05d}-of-{total:05d}.parquet",
    "tokens": "tokens-{number:05d}.npy",
}
_PLACES = "documents-{number:05d}.parquet"


@dataclass(frozen=True)
class Request:
    """What to export and where to; checked as far as possible without Spark."""

    target: Folder
    format: str
    tokenizer: ChosenTokenizer | None
    seed: int
    raw: bool


@dataclass(frozen=True)
class Exported:
    """An export in ``folder``; ``new`` is False if it existed already.

    ``tokens`` includes the end token of each document. ``verified`` documents were decoded again; ``inexact`` of them gave
    a different text. All three are None for formats other than ``tokens``.
    """

    folder: str
    format: str
    refinement: str
    version: int
    raw: bool
    seed: int
    documents: int
    characters: int
    tokens: int | None
    verified: int | None
    inexact: int | None
    files: int
    bytes: int
    new: bool


def export(
    spark: Session,
    store: str,
    name: str,
    folder: str | Path,
    format: str,
    *,
    tokenizer: str | None = None,
    seed: int = 0,
    raw: bool = False,
) -> Exported:
    """Write a refinement version as files for other programs. Does nothing where the folder holds the same export.

    ``spark``: a session, or a function that returns one, called when the request has been checked. ``store``: a path or a
    catalog's ``schema``. ``name``: ``NAME`` (its newest version), ``NAME:VERSION``, or ``@N`` for
    version N of the table ``refined``. ``folder``: the path or URL to create. ``format``: ``parquet``, ``jsonl``,
    ``huggingface`` or ``tokens``. ``tokenizer``, for tokens: a folder, or a repository on the model hub. ``seed``: for the
    order of the documents. ``raw``: write the original documents that the version covers instead.

    Returns the numbers of documents, characters, files, bytes and tokens in the folder.
    Raises ``UsageError`` for an unknown name or format, a tokenizer that is missing or not wanted, a version without
    documents and a folder with other content; ``RefinerError`` for a tokenizer that cannot be read; ``StoreError`` for a
    version that was deleted or contains forgotten documents; ``ConservationError`` if not all documents were written.

    >>> done = prox_spark.export(spark, "my-store", "rules", "rules-jsonl", "jsonl")
    >>> done.refinement, done.version, done.documents, done.files, done.new
    ('rules', 0, 2, 1, True)
    """
    request = make_request(folder, format, tokenizer=tokenizer, seed=seed, raw=raw)
    return write(started(spark), store, name, request)


def make_request(
    folder: str | Path, format: str, *, tokenizer: str | None = None, seed: int = 0, raw: bool = False
) -> Request:
    """A request that is valid, as far as can be checked without Spark.

    Raises ``UsageError`` for an unknown format, a tokenizer that is missing or not wanted, lacks an end token or cannot be
    read (``RefinerError``), a seed out of range, and a folder with other content.
    """
    if format not in get_args(Format):
        raise UsageError(unknown("format", format, get_args(Format)))
    if format == "tokens" and tokenizer is None:
        raise UsageError(
            "format tokens needs a tokenizer: set --tokenizer to a folder or a repository on the model hub"
        )
    if format != "tokens" and tokenizer is not None:
        raise UsageError(f"format {format} takes no tokenizer; only format tokens does")
    if not 0 <= seed < 1 << 63:
        raise UsageError(f"seed {seed}: must be from 0 to 2**63 - 1")
    check_location("the export's folder", str(folder))
    target = open_folder(str(folder))
    look(target)
    return Request(target, format, read_tokenizer(tokenizer) if tokenizer is not None else None, seed, raw)


def write(spark: SparkSession, location: str, name: str, request: Request) -> Exported:
    """Carry out a request, unless its export exists already.

    Raises ``UsageError`` for an unknown name, a version without documents and a folder with another export,
    ``StoreError`` for a version that was deleted or contains forgotten documents, ``ConservationError`` if the number of
    documents written is not the version's.
    """
    version = _open(spark, location, name)
    row, counts = version.row, version.row["counts"].asDict()
    what = {
        "format": request.format,
        "refinement": row["refinement"],
        "version": row["version"],
        "fingerprint": row["fingerprint"],
        "raw": request.raw,
        "seed": request.seed,
        "counts": counts,
    }
    rows = version.read("documents" if request.raw else "refined")
    documents = rows.count()
    tokenizer = None if request.tokenizer is None else request.tokenizer.described()
    there = look(request.target)
    if there is not None:
        found = check_same(there, what, tokenizer, documents, request.target.url)
        _check_files(request.target, found)
        remove_dead(request.target)
        return _exported(request, found, new=False)
    if documents == 0:
        raise UsageError(f"refinement {version.name} keeps no documents: nothing to export")
    began = time.monotonic()
    characters = counts["characters" if request.raw else "characters_kept"]
    shards = max(1, -(-characters // max(SHARD_CHARACTERS, characters // MOST_SHARDS)))
    told = "export: %s as %s to %s, %d documents in %d shards"
    named = (version.name, request.format, request.target.url)
    values = {"refinement": row["refinement"], "version": row["version"], "documents": documents, "shards": shards}
    _log.info(told, *named, documents, shards, extra=values)
    with (
        staging(request.target) as here,
        Progress("export", documents, "documents", running=share_of_tasks(spark), fields=values) as progress,
    ):
        tokenizing = None if request.tokenizer is None else request.tokenizer.tokenizing
        plan = ShardPlan(here.attempts.url, request.format, tokenizing)
        shuffled = shuffle(rows, request.seed, shards)
        progress.expect(documents)
        written = shuffled.mapInArrow(shard_task(plan), from_arrow_schema(WRITTEN)).collect()
        files, moved, sizes = _name_files(request.format, sorted(written, key=lambda one: one["shard"]))
        dtype = None if request.tokenizer is None else request.tokenizer.dtype
        made = manifest(what, tokenizer, dtype, files)
        if made["documents"] != documents:
            raise ConservationError(
                f"{version.name}: {documents} documents read, {made['documents']} written; {request.target.url} was removed"
            )
        extra = [(MANIFEST, encoded(made))]
        if request.tokenizer is not None:
            extra[:0] = [(f"tokenizer/{file}", content) for file, content in sorted(request.tokenizer.files.items())]
        if request.format == "huggingface":
            extra.insert(0, ("README.md", card(read_card_facts(version), made).encode()))
        # Documents may have been forgotten meanwhile.
        _check_unforgotten(version)
        here.publish(moved, sizes, extra)
        progress.advance(documents, rows=documents)
    done = _exported(request, made, new=True)
    size = quantity(done.bytes, "bytes")
    seconds = time.monotonic() - began
    told = "export finished: %d documents in %d files (%s) in %s"
    _log.info(told, documents, done.files, size, duration(seconds), extra={**values, "seconds": round(seconds, 1)})
    return done


def shuffle(rows: DataFrame, seed: int, shards: int) -> DataFrame:
    """The documents (shard and ``COLUMNS``) in ``shards`` partitions, one per shard, each in its seeded order."""
    key = F.xxhash64(F.lit(seed).cast("long"), "doc_id").alias("key")
    keyed = rows.select(key, *COLUMNS.names).withColumn("shard", F.pmod("key", F.lit(shards).cast("long")).cast("int"))
    ordered = repartition_by_id(keyed, shards, "shard").sortWithinPartitions("key", "doc_id")
    return ordered.select(F.col("shard").cast("long").alias("shard"), *COLUMNS.names)


def _open(spark: SparkSession, location: str, name: str) -> Version:
    store = open_store(spark, location)
    version = open_version(store, name)
    _check_unforgotten(version)
    return version


def _check_unforgotten(version: Version) -> None:
    # A pinned copy no longer has the forgotten documents; the version's tables still do.
    if version.copy is None:
        check_unforgotten(version.store, version.row)


def _name_files(format: str, written: list[Row]) -> tuple[list[dict[str, Any]], dict[str, str], dict[str, int]]:
    """The manifest's file entries, and the final name and the bytes of every file of an attempt."""
    entries: list[dict[str, Any]] = []
    moved: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for number, row in enumerate(written):
        # Number only files that exist: a shard without documents has no file.
        name = _NAMES[format].format(number=number, total=len(written))
        counts = {key: row[key] for key in ("documents", "characters", "tokens")}
        entry = {"name": name, **counts, "bytes": row["file"]["bytes"], "sha256": row["file"]["sha256"]}
        moved[row["file"]["name"]], sizes[row["file"]["name"]] = name, row["file"]["bytes"]
        if row["places"] is not None:
            places = {**row["places"].asDict(), "name": _PLACES.format(number=number)}
            entry |= {"places": places, "verified": row["verified"], "inexact": row["inexact"]}
            moved[row["places"]["name"]], sizes[row["places"]["name"]] = places["name"], row["places"]["bytes"]
        entries.append(entry)
    return entries, moved, sizes


def _check_files(target: Folder, found: dict[str, Any]) -> None:
    """Raise ``UsageError`` if a file of a finished export is missing or differs from its manifest entry."""
    sizes = target.sizes()
    for file in found["files"]:
        for one in (file, file.get("places")):
            if one is not None and sizes.get(one["name"]) != one["bytes"]:
                raise UsageError(
                    f"{target.url} has this export, but {one['name']} does not match its manifest.json; move the folder away"
                )


def _exported(request: Request, found: dict[str, Any], *, new: bool) -> Exported:
    shared = {field.name for field in dataclasses.fields(Exported)} & found.keys() - {"files"}
    size = sum(file["bytes"] + (file.get("places") or {"bytes": 0})["bytes"] for file in found["files"])
    values = {name: found[name] for name in shared}
    return Exported(folder=request.target.url, files=len(found["files"]), bytes=size, new=new, **values)
