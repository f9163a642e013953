"""``pin``: marks a refinement to keep; a copy of its tables survives VACUUM."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from prox_spark.schemas import VERSIONED
from prox_spark.tables.commits import commit, fence
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.refinements import WRITTEN, check_unforgotten
from prox_spark.tables.store import Store, create_table, open_store, spark_schema
from prox_spark.versions.names import Version, copy_of, open_version, own_rows


@dataclass(frozen=True)
class Pinned:
    """A pinned refinement version; ``new`` is False when it was pinned so before. ``copy`` names its tables, if any."""

    refinement: str
    version: int
    copy: str | None
    new: bool


def pin(spark: SparkSession, location: str, name: str, *, copy: bool = False) -> Pinned:
    """Record a refinement version as pinned; with ``copy`` also write its rows of all tables to separate tables.

    A copy survives any VACUUM; `` `T@NAME:VERSION` `` in ``sql``, and ``compare``, read it from then on. ``forget`` reaches it.
    Raises ``UsageError`` for a name that does not exist, ``StoreError`` for a version that no longer exists or, with ``copy``,
    contains documents that were forgotten since.
    """
    store = open_store(spark, location)
    version = open_version(store, name)
    row = version.row
    digest = _digest(row)
    same = (F.col("refinement") == row["refinement"]) & (F.col("version") == row["version"])
    wanted = F.col("copy").isNotNull() if copy else F.lit(True)
    if not store.read("pins").where(same & wanted).isEmpty():
        return Pinned(row["refinement"], row["version"], version.copy, new=False)
    with hold(store, "execute") as lease:
        fence(store, lease, WRITTEN)
        if copy:
            # The first of them is what `forget` finds a copy by that is not pinned.
            for table in VERSIONED:
                create_table(store, table, copy_of(digest, table))
            # Now that the tables exist: where this job lost its lease and a `forget` came, that fenced them off, or its
            # hashes are seen here.
            check_unforgotten(store, row)
            with ThreadPoolExecutor(max_workers=2) as pool:
                list(pool.map(lambda table: _copy(version, lease, table, copy_of(digest, table)), VERSIONED))
        values = (row["refinement"], row["version"], digest if copy else None)
        schema = spark_schema("pins")
        pinned = spark.createDataFrame([values], schema[:3]).withColumn("pinned_at", F.current_timestamp())
        commit(store, lease, "pins", pinned, Purpose("pin", row["refinement"], row["version"]))
    return Pinned(row["refinement"], row["version"], digest if copy else None, new=True)


def _copy(version: Version, lease: Lease, table: str, name: str) -> None:
    """Write the version's rows of a table; what a copy that was cut short left is overwritten."""
    purpose = Purpose("pin", version.row["refinement"], version.row["version"])
    commit(version.store, lease, name, own_rows(version, table), purpose, mode="overwrite", kind=table)


def pinned_tables(store: Store) -> list[str]:
    """Every table that holds a pinned copy, or some of one that was cut short."""
    whole = [copy_of(copy, table) for copy in sorted(_pinned(store)) for table in VERSIONED]
    # A copy takes as much space as the corpus: somebody may have dropped its tables.
    return [*filter(store.has, whole), *begun_tables(store)]


def begun_tables(store: Store) -> dict[str, str]:
    """The tables of copies that are not pinned, under way or cut short: of which table of ``VERSIONED`` each is."""
    rows = store.read("refinements").select("refinement", "version").collect()
    others = {_digest(row) for row in rows} - _pinned(store)
    begun = sorted(digest for digest in others if store.has(copy_of(digest, VERSIONED[0])))
    tables = {copy_of(digest, table): table for digest in begun for table in VERSIONED}
    return {name: table for name, table in tables.items() if store.has(name)}


def _pinned(store: Store) -> set[str]:
    rows = store.read("pins").where(F.col("copy").isNotNull()).select("copy").distinct().collect()
    return {row["copy"] for row in rows}


def _digest(row: Row) -> str:
    """What the tables of a copy of this refinement version are called by."""
    return hashlib.sha256(f"{row['refinement']}:{row['version']}".encode()).hexdigest()[:12]
