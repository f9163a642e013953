"""What a refinement counts, as aggregates over the rows of its tables."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from prox_spark.schemas import COUNTED, PROGRAM_COUNTS


def totals() -> list[Column]:
    """``COUNTED``, as aggregates over rows of executed documents with their ``fate``."""
    refined = F.col("fate") == "refined"
    characters = F.col("n_characters")
    sums: dict[str, Column] = {
        "refined": F.count_if(refined),
        "dropped_documents": F.count_if(F.col("fate") == "dropped"),
        "quarantined": F.count_if(F.col("fate") == "quarantined"),
        "lines": F.sum("n_lines"),
        "lines_removed": F.sum(F.when(refined, F.col("n_lines_removed"))),
        "lines_rewritten": F.sum(F.when(refined, F.col("n_lines_rewritten"))),
        "characters": F.sum(characters + F.when(refined, F.col("n_characters_removed")).otherwise(0)),
        "characters_kept": F.sum(F.when(refined, characters)),
    }
    return [F.coalesce(sums[name], F.lit(0)).alias(name) for name in COUNTED]


def program_counts() -> list[Column]:
    """What programs add to a refinement's counts, as aggregates over their rows, each called ``n_`` and its name there."""
    is_chunk = F.col("stage") == "chunk"
    columns = (
        F.count_if(is_chunk & F.col("line_start").isNotNull()),
        F.count_if(is_chunk & (F.col("status") == "failed")),
        F.sum("prompt_tokens"),
        F.sum("output_tokens"),
    )
    return [column.alias(f"n_{name}") for name, column in zip(PROGRAM_COUNTS, columns, strict=True)]


def matched(complete: Column) -> list[Column]:
    """What is counted of documents with their programs: ``documents``, those that are not ``complete`` (``missing``), and
    ``PROGRAM_COUNTS`` of the programs that found a document."""
    sums = [F.coalesce(F.sum(f"n_{name}"), F.lit(0)).alias(name) for name in PROGRAM_COUNTS]
    return [F.count("*").alias("documents"), F.count_if(~complete).alias("missing"), *sums]
