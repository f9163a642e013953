"""Names of refinement versions: ``NAME`` (its newest version) and ``NAME:VERSION``."""

import difflib

from pyspark.sql import Row
from pyspark.sql import functions as F

from prox_spark.errors import UsageError
from prox_spark.tables.store import Store


def find_refinement(store: Store, name: str | None) -> Row | None:
    """The row of ``refinements`` that ``name`` names; without a name the newest of all, or None in an empty store.

    Raises ``UsageError`` for a name or version that does not exist; the nearest names are shown.
    """
    rows = store.read("refinements")
    if name is None:
        newest: Row | None = rows.orderBy(F.desc("created_at"), F.desc("version")).first()
        return newest
    base, colon, version = name.partition(":")
    if colon and not version.isdigit():
        raise UsageError(f"{name!r}: after ':' stands a version number, as in {base}:0")
    found = rows.where(F.col("refinement") == base)
    row: Row | None = (
        (found.where(F.col("version") == int(version)) if colon else found).orderBy(F.desc("version")).first()
    )
    if row is None:
        known = [
            f"{r['refinement']}:{r['version']}" if colon else r["refinement"]
            for r in rows.select("refinement", "version").collect()
        ]
        near = difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.3)
        hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(sorted(set(known))) or 'none yet'}"
        raise UsageError(f"there is no refinement {name!r} in this store ({hint})")
    return row
