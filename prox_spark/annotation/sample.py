"""Which documents are annotated: drawn by a hash, so that the same configuration draws the same ones again."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from prox_spark.config.annotate import AnnotateConfig


def sample(documents: DataFrame, settings: AnnotateConfig) -> DataFrame:
    """doc_id and unit of the documents that the settings draw.

    A document's place in [0, 1) follows from its id and the seed alone. A share draws the places below it, a number the
    lowest places: later documents may take some of theirs, and a larger number or share holds the smaller one's.
    """
    hashed = F.xxhash64(F.lit(settings.seed).cast("long"), F.col("doc_id"))
    placed = documents.select("doc_id", "unit", (F.shiftrightunsigned(hashed, 11) / F.lit(float(2**53))).alias("place"))
    if settings.share is not None:
        return placed.where(F.col("place") < settings.share).select("doc_id", "unit")
    return placed.orderBy("place", "doc_id").limit(settings.documents).select("doc_id", "unit")
