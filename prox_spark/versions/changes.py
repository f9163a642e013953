"""What became of documents and lines between two refinement versions, as DataFrames over the store's tables."""

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from prox_spark.versions.names import Version, own_rows

CHANGES = ("unchanged", "changed", "newly_dropped", "newly_kept", "dropped_in_both", "added", "removed")
"""Change classes of documents. A quarantined document counts as dropped."""

LINE_CHANGES = ("newly_dropped", "newly_kept", "rewritten", "other_operation")
"""Change classes of lines; ``other_operation``: the same result by another operation."""


def document_changes(one: Version, other: Version, *, with_text: bool) -> DataFrame:
    """``Comparison.documents``; without ``with_text`` the texts of documents with other logs count as changed, unread."""
    before, after = (_fates(version, with_text=with_text).alias(side) for version, side in ((one, "b"), (other, "a")))
    b, a = F.col("b.fate"), F.col("a.fate")
    both = (b == "refined") & (a == "refined")
    log_changed = F.coalesce(both & (F.col("b.log_hash") != F.col("a.log_hash")), F.lit(False))
    text_changed = log_changed & (F.col("b.text_hash") != F.col("a.text_hash")) if with_text else log_changed
    change = change_class(b, a, text_changed)

    def side(name: str) -> Column:
        return F.struct(*(F.col(f"{name}.{column}") for column in ("fate", "reason", "characters")))

    either = [F.coalesce(f"b.{name}", f"a.{name}").alias(name) for name in ("doc_id", "unit", "source", "url")]
    joined = before.join(after, F.col("b.doc_id") == F.col("a.doc_id"), "full_outer")
    return joined.select(
        *either,
        change.alias("change"),
        log_changed.alias("log_changed"),
        side("b").alias("before"),
        side("a").alias("after"),
    )


def change_class(before: Column, after: Column, changed: Column) -> Column:
    """One of ``CHANGES``, from a document's fates in two versions; ``changed``: whether its texts differ where both keep it."""
    return (
        F.when(before.isNull(), "added")
        .when(after.isNull(), "removed")
        .when((before == "refined") & (after == "refined"), F.when(changed, "changed").otherwise("unchanged"))
        .when(before == "refined", "newly_dropped")
        .when(after == "refined", "newly_kept")
        .otherwise("dropped_in_both")
    )


def _fates(version: Version, *, with_text: bool) -> DataFrame:
    """What the version made of each of its documents. By row conservation these are all of them, each once."""
    null = F.lit(None)
    text_hash = F.xxhash64("text") if with_text else null.cast("long")
    refined = version.read("refined").select(
        *("doc_id", "unit", "source", "url", "log_hash"),
        text_hash.alias("text_hash"),
        F.lit("refined").alias("fate"),
        null.cast("string").alias("reason"),
        F.col("n_characters").alias("characters"),
    )
    dropped = version.read("dropped_documents").select(
        *("doc_id", "unit", "reason"), F.lit("dropped").alias("fate"), F.lit(0).alias("characters")
    )
    quarantined = own_rows(version, "quarantine").select(
        *("doc_id", F.col("error_class").alias("reason")),
        F.lit("quarantined").alias("fate"),
        F.lit(0).alias("characters"),
    )
    parts = (refined, dropped, quarantined.distinct())
    return reduce(lambda all_, part: all_.unionByName(part, allowMissingColumns=True), parts)


def line_changes(one: Version, other: Version, documents: DataFrame, *about: Column) -> DataFrame:
    """``Comparison.lines``, with other columns of ``dropped_lines`` (or made from them) in the place of ``text``."""
    chosen = documents.where("log_changed").select("doc_id", "unit")
    names = [*("operation", "replacement"), "about"]

    def logged(version: Version, side: str) -> DataFrame:
        # What is asked about a line is taken before the join: of its text often no more than the length has to travel.
        rows = version.read("dropped_lines").select(
            *("doc_id", "unit", "line_number", "operation", "replacement"), F.struct(*about).alias("about")
        )
        # By the unit, too: files without the units that were chosen are not read. A semi join: Spark could take the log, of
        # which the files say too little (equal lines compress to nothing), for the small side of another and broadcast it.
        joined = rows.join(chosen, ["doc_id", "unit"], "left_semi")
        return joined.select("doc_id", "line_number", "unit", *(F.col(name).alias(f"{name}_{side}") for name in names))

    joined = logged(one, "before").join(logged(other, "after"), ["doc_id", "line_number", "unit"], "full_outer")
    before, after = (
        F.col(f"operation_{side}").isNotNull() & F.col(f"replacement_{side}").isNull() for side in ("before", "after")
    )
    same_operation = F.col("operation_before").eqNullSafe(F.col("operation_after"))
    same_replacement = F.col("replacement_before").eqNullSafe(F.col("replacement_after"))
    logged_in_both = F.col("operation_before").isNotNull() & F.col("operation_after").isNotNull()
    change = (
        F.when(after & ~before, "newly_dropped")
        .when(before & ~after, "newly_kept")
        .when(logged_in_both & same_replacement, "other_operation")
        .otherwise("rewritten")
    )
    sides = [f"{name}_{side}" for name in ("operation", "replacement") for side in ("before", "after")]
    differing = joined.where(~(same_operation & same_replacement))
    return differing.select(
        *("doc_id", "unit", "line_number"),
        change.alias("change"),
        *sides,
        F.coalesce("about_before", "about_after").alias("about"),
    ).select("doc_id", "unit", "line_number", "change", *sides, "about.*")
