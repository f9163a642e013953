"""The sample of documents to annotate, drawn by a hash, so that it is repeatable."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from prox_spark.config.annotate import AnnotateConfig


def sample(documents: DataFrame, settings: AnnotateConfig) -> DataFrame:
    """doc_id and unit of the sampled documents.

    A document's position in [0, 1) is computed from its id and the seed. A share selects the positions below it, a number the
    lowest positions. Later documents may replace some of them, and a larger sample contains a smaller one.
    """
    hashed = F.xxhash64(F.lit(settings.seed).cast("long"), F.col("doc_id"))
    placed = documents.select("doc_id", "unit", (F.shiftrightunsigned(hashed, 11) / F.lit(float(2**53))).alias("place"))
    if settings.share is not None:
        return placed.where(F.col("place") < settings.share).select("doc_id", "unit")
    return placed.orderBy("place", "doc_id").limit(settings.documents).select("doc_id", "unit")
