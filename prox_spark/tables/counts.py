"""What a refinement counts, as aggregates over the rows of its tables."""

from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from prox_spark.schemas import COUNTED, PROGRAM_COUNTS


def totals(part: str) -> list[Column]:
    """What the documents of a part add to ``COUNTED``, as aggregates over its rows."""
    sums: dict[str, Column] = {"lines": F.sum("n_lines")}
    if part == "refined":
        sums |= {
            "refined": F.count("*"),
            "lines_removed": F.sum("n_lines_removed"),
            "lines_rewritten": F.sum("n_lines_rewritten"),
            "characters": F.sum(F.col("n_characters") + F.col("n_characters_removed")),
            "characters_kept": F.sum("n_characters"),
        }
    else:
        sums |= {part: F.count("*"), "characters": F.sum("n_characters")}
    return [F.coalesce(column, F.lit(0)).alias(name) for name, column in sums.items()]


def summed(*counts: Mapping[str, Any]) -> dict[str, int]:
    """The totals of several parts together, with every name of ``COUNTED``."""
    return {name: sum(int(count.get(name, 0)) for count in counts) for name in COUNTED}


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
