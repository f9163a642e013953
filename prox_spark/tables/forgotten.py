"""Forgotten documents, which must not be ingested again. Only hashes of their ids are stored."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from prox_spark.tables.store import Store


def id_hash(doc_id: str) -> Column:
    """Hex SHA-256 of a document's id: what the table ``forgotten`` knows it by."""
    return F.sha2(doc_id, 256)


def unfinished(store: Store) -> str | None:
    """The receipt of a ``forget`` that has begun and not finished: it is under way, or died; None without one."""
    begun = store.read("forgotten").select("receipt").distinct()
    row = begun.join(store.read("receipts").select("receipt"), "receipt", "left_anti").first()
    return None if row is None else str(row["receipt"])


def split_forgotten(store: Store, read: DataFrame) -> tuple[DataFrame, DataFrame, bool]:
    """Divide records into those to append and rows for ``quarantine``: of unreadable ones, and of forgotten ones.

    The last value tells whether anything was ever forgotten: if not, the two are the kinds of ``read``.

    The row of a forgotten record has its position, but neither id nor text.
    """
    good, bad = (read.where(F.col("kind") == kind) for kind in ("document", "unreadable"))
    bad = bad.select("doc_id", "file", "position", "error_class", "message")
    hashes = store.read("forgotten").select(F.col("id_hash").alias("forgotten_hash")).distinct()
    if hashes.isEmpty():
        return good, bad, False
    same = id_hash("doc_id") == F.col("forgotten_hash")
    # Ids alone meet the hashes; the few that are found go to where the text is.
    found = F.broadcast(read.select("doc_id").join(hashes, same, "left_semi").distinct())
    rows = good.join(found, "doc_id", "left_semi").select(
        F.lit(None).cast("string").alias("doc_id"),
        "file",
        "position",
        F.lit("Forgotten").alias("error_class"),
        F.lit("a document with this id was forgotten").alias("message"),
    )
    named = F.when(F.col("forgotten").isNull(), F.col("doc_id")).alias("doc_id")
    unnamed = bad.join(found.withColumn("forgotten", F.lit(True)), "doc_id", "left").select(named, *bad.columns[1:])
    return good.join(found, "doc_id", "left_anti"), unnamed.unionByName(rows), True
