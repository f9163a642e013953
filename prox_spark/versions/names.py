"""Names of refinement versions: ``NAME`` (its newest version), ``NAME:VERSION``, and ``@N`` for version N of ``refined``."""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from prox_spark.errors import StoreError, UsageError
from prox_spark.suggest import unknown
from prox_spark.tables.refinements import last_version, receipt_after
from prox_spark.tables.store import Store
from prox_spark.tables.times import utc


@dataclass(frozen=True)
class Version:
    """A refinement version to be read: its row of ``refinements``, and its pinned copy where there is one."""

    store: Store
    row: Row
    copy: str | None = None

    @property
    def name(self) -> str:
        """``NAME:VERSION``."""
        return f"{self.row['refinement']}:{self.row['version']}"

    def read(self, table: str) -> DataFrame:
        """One of ``schemas.VERSIONED`` as of this version; of ``documents`` those that it covers."""
        if self.copy is not None:
            return self.store.read(copy_of(self.copy, table), kind=table)
        rows = self.store.read(table, self.row[f"{table}_version"])
        return rows.where(F.col("unit") <= self.row["last_unit"]) if table == "documents" else rows


def own_rows(version: Version, table: str) -> DataFrame:
    """The table's rows that belong to this refinement: not other refiners' programs, nor others' quarantine."""
    rows = version.read(table)
    if table == "quarantine":
        return rows.where(F.col("refinement") == version.row["refinement"])
    if table == "programs":
        return rows.where(F.col("refiner").isin(refiners(version)) & (F.col("unit") <= version.row["last_unit"]))
    return rows


def refiners(version: Version) -> list[str]:
    """Fingerprints of the refiners whose programs this refinement is made of."""
    return [version.row[name] for name in ("document_refiner", "chunk_refiner") if version.row[name] is not None]


def copy_of(copy: str, table: str) -> str:
    """Name of the table that holds a pinned copy."""
    return f"pinned_{copy}_{table}"


def open_version(store: Store, name: str) -> Version:
    """The version that ``name`` names. Raises ``UsageError`` like ``find_refinement``, ``StoreError`` if it no longer exists."""
    row = find_refinement(store, name)
    same = (F.col("refinement") == row["refinement"]) & (F.col("version") == row["version"])
    pin = store.read("pins").where(same & F.col("copy").isNotNull()).first()
    if pin is not None:
        return Version(store, row, pin["copy"])
    receipt = receipt_after(store, row)
    if receipt is not None and receipt["history"]:
        raise StoreError(
            f"refinement {row['refinement']}:{row['version']} no longer exists: `forget --history` removed all versions before "
            f"{utc(receipt['forgotten_at']):%Y-%m-%d %H:%M:%S} UTC; `execute` with its configuration rebuilds it"
        )
    return Version(store, row)


def newest_version(store: Store) -> Version | None:
    """The newest refinement of all, which result tables are read as of; None in a store without any."""
    row = last_version(store, None)
    return None if row is None else Version(store, row)


def find_refinement(store: Store, name: str) -> Row:
    """The row of ``refinements`` that ``name`` names.

    Raises ``UsageError`` for a name or version that does not exist; the nearest names are shown.
    """
    rows = store.read("refinements")
    base, mark, version = name.partition("@") if name.startswith("@") else name.partition(":")
    if mark and not version.isdigit():
        raise UsageError(f"{name!r}: expected a version number after {mark!r}, as in {base}{mark}0")
    row: Row | None = rows.where(_is(base, mark, version)).orderBy(F.desc("version")).first()
    if row is None:
        known = sorted({_name(r, mark) for r in rows.select("refinement", "version", "refined_version").collect()})
        raise UsageError(f"{store.location}: {unknown('refinement', name, known)}")
    return row


def _is(base: str, mark: str, version: str) -> Column:
    if mark == "@":
        return F.col("refined_version") == int(version)
    named = F.col("refinement") == base
    return named & (F.col("version") == int(version)) if mark else named


def _name(row: Row, mark: str) -> str:
    if mark == "@":
        return f"@{row['refined_version']}"
    return f"{row['refinement']}:{row['version']}" if mark else str(row["refinement"])
