"""Compares new records with the store: which are new, which it already has, and which repeat the id of another record."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from prox_spark.corpora.files import FileInfo
from prox_spark.corpora.records import PARTS_IN_IDS, document_ids, file_in_ids
from prox_spark.tables.cache import cached
from prox_spark.tables.forgotten import split_forgotten
from prox_spark.tables.store import Store

_BROADCAST_DOCUMENTS = 500_000
"""Maximum documents whose places or ids are broadcast to every executor, at about 300 bytes each."""

_NAMES = "file string, position long, longer string"

Siblings = Mapping[str, str]
"""Paths, by name, of files whose hash ids may equal those of another file of the same input."""


def find_siblings(files: Iterable[FileInfo]) -> Siblings:
    """The files that have the same name as another one, in a folder of the same name.

    >>> from prox_spark.corpora.files import list_files
    >>> sorted(find_siblings(list_files("corpus")))  # doctest: +SKIP
    ['/data/corpus/a/part/0.jsonl', '/data/corpus/b/part/0.jsonl']
    """
    groups: dict[bytes, list[FileInfo]] = {}
    for file in files:
        groups.setdefault(file_in_ids(file.path, PARTS_IN_IDS), []).append(file)
    return {file.name: file.path for group in groups.values() if len(group) > 1 for file in group}


@dataclass(frozen=True)
class Compared:
    """Records of one ingest. ``good`` and ``unreadable`` come from ``split_forgotten``; ``forgets``: it found forgotten ones.

    ``firsts``: the first place of each id that already existed; ``again`` is the number of these ids.
    """

    good: DataFrame
    unreadable: DataFrame
    forgets: bool
    firsts: DataFrame
    again: int


@contextmanager
def compared(store: Store, read: DataFrame, documents: DataFrame, siblings: Siblings) -> Iterator[Compared]:
    """``read`` (columns of ``ingestion.task.READ``) compared with the store's ``documents`` and with itself.

    If a sibling already has a hash id, the new record's id is hashed from more parts of its path. So the ids of a store
    never change, and reading the same files again gives the same ids.
    """
    with ExitStack() as kept:
        for parts in count(PARTS_IN_IDS + 1):
            good, unreadable, forgets = split_forgotten(store, read)
            firsts = kept.enter_context(cached(first_comers(good, documents)))
            again = firsts.count()
            if not (again and siblings):
                break
            longer = kept.enter_context(cached(_longer_ids(good, _few(firsts, again), siblings, parts)))
            found = longer.count()
            if not found:
                break
            is_longer = (F.col("kind") == "document") & F.col("longer").isNotNull()
            doc_id = F.when(is_longer, F.col("longer")).otherwise(F.col("doc_id"))
            joined = read.join(_few(longer, found), ["file", "position"], "left")
            read = joined.withColumn("doc_id", doc_id).select(*read.columns)
        # Do not shuffle text: a unit's documents stay together, unless the store already has nearly all of them.
        yield Compared(good, unreadable, forgets, _few(firsts, again), again)


def _few(rows: DataFrame, n: int) -> DataFrame:
    return F.broadcast(rows) if n <= _BROADCAST_DOCUMENTS else rows


def _longer_ids(good: DataFrame, firsts: DataFrame, siblings: Siblings, parts: int) -> DataFrame:
    """(file, position, id from ``parts`` path parts) of records whose id from one part less already belongs to a sibling."""
    others = {row["first_file"] for row in firsts.select("first_file").distinct().collect()} & siblings.keys()
    groups = {file_in_ids(siblings[name], PARTS_IN_IDS) for name in others}
    paths = {name: path for name, path in siblings.items() if file_in_ids(path, PARTS_IN_IDS) in groups}
    first = firsts.select("doc_id", "first_file")
    rows = good.select("doc_id", "file", "position", "source", "text").join(first, "doc_id")

    def name(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            found = [
                (row["file"], row["position"], longer)
                for row in batch.to_pylist()
                if row["first_file"] in paths and (longer := longer_id(paths.get(row["file"]), row, parts)) is not None
            ]
            columns = zip(*found, strict=True) if found else ((), (), ())
            types = (pa.string(), pa.int64(), pa.string())
            arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, names=["file", "position", "longer"])

    return rows.where("file != first_file").mapInArrow(name, _NAMES)


def longer_id(path: str | None, row: Mapping[str, Any], parts: int) -> str | None:
    """The id of a record (columns ``doc_id``, ``position``, ``source``, ``text``) from ``parts`` parts of its file's path.

    ``None`` where its present id is not the hash from one part less: the record brought its id, or the path has no more
    parts.
    """
    if path is None:
        return None
    place = row["source"], row["position"], row["text"].encode()
    shorter, longer = (document_ids(path, n)(*place) for n in (parts - 1, parts))
    return longer if shorter == row["doc_id"] != longer else None


def first_comers(good: DataFrame, documents: DataFrame) -> DataFrame:
    """The first place of every id that is in ``documents`` or occurs more than once. Shuffles no text.

    Of the stored documents, only ids are read, and they are not shuffled: hashes of the new ids are sent to them. The other
    columns are read only for ids that match.
    """
    ids = good.select("doc_id", "file", "position", "content_hash")
    hashed = F.xxhash64("doc_id").alias("hash")
    arriving = F.broadcast(ids.select(hashed).distinct())
    known = F.broadcast(documents.select(hashed).join(arriving, "hash", "left_semi").distinct())
    rows = documents.select(hashed, "doc_id", "file", "position", "content_hash").join(known, "hash", "left_semi")
    there = rows.join(ids.select("doc_id"), "doc_id", "left_semi")
    repeats = ids.groupBy("doc_id").agg(F.count("*").alias("n"), F.min(_place(1)).alias("first")).where("n > 1")
    firsts = there.select("doc_id", _place(0).alias("first")).unionByName(repeats.select("doc_id", "first"))
    names = ("order", "file", "position", "content_hash")
    first = firsts.groupBy("doc_id").agg(F.min("first").alias("first"))
    return first.select("doc_id", *(F.col(f"first.{name}").alias(f"first_{name}") for name in names))


def _place(order: int) -> Column:
    """A record's place, for comparison: stored records (0) come before new ones (1)."""
    return F.struct(F.lit(order).alias("order"), "file", "position", "content_hash")


def split_known(good: DataFrame, firsts: DataFrame) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Divide readable records into those to append, those that the store has, and those whose id exists from another place.

    The store has a record if it contains the same text from the same place.
    """
    joined = good.join(firsts, "doc_id", "left")
    same_place = F.col("file").eqNullSafe(F.col("first_file")) & F.col("position").eqNullSafe(F.col("first_position"))
    same = same_place & F.col("content_hash").eqNullSafe(F.col("first_content_hash"))
    # Rows of a table have no positions: of equal rows the first is the document, the others are repeats.
    rank = F.row_number().over(Window.partitionBy("doc_id").orderBy("position"))
    first = joined.where((F.col("first_order") == 1) & same).withColumn("rank", rank)
    arrived = joined.where(F.col("first_order").isNull()).unionByName(first.where("rank = 1").drop("rank"))
    there = joined.where((F.col("first_order") == 0) & same)
    repeated = joined.where(F.col("first_order").isNotNull() & ~same)
    return arrived, there, repeated.unionByName(first.where("rank > 1").drop("rank"))


def duplicates(repeated: DataFrame) -> DataFrame:
    """The rows for ``quarantine`` of records whose id exists from another place."""
    where = ("this id already exists, from", "position")
    message = F.concat_ws(" ", F.lit(where[0]), "first_file", F.lit(where[1]), "first_position")
    error = F.lit("DuplicateId").alias("error_class")
    return repeated.select("doc_id", "file", "position", error, message.alias("message"))
