"""Documents that must not come back: their ids are known by hash alone."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from prox_spark.tables.store import Store


def id_hash(doc_id: str) -> Column:
    """Hex SHA-256 of a document's id: what the table ``forgotten`` knows it by."""
    return F.sha2(doc_id, 256)


def split_forgotten(store: Store, good: DataFrame) -> tuple[DataFrame, DataFrame | None]:
    """Divide readable records into those to append and the quarantine rows of forgotten ones; None where none is forgotten.

    Such a row says where the record stands, and neither its id nor its text.
    """
    hashes = store.read("forgotten").select(F.col("id_hash").alias("forgotten_hash")).distinct()
    if hashes.isEmpty():
        return good, None
    same = id_hash("doc_id") == F.col("forgotten_hash")
    rows = good.join(hashes, same, "left_semi").select(
        F.lit(None).cast("string").alias("doc_id"),
        "file",
        "position",
        F.lit("Forgotten").alias("error_class"),
        F.lit("a document of this id was forgotten").alias("message"),
    )
    return good.join(hashes, same, "left_anti"), rows
