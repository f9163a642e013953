"""``pin``: marks a refinement to keep; a copy of its tables survives VACUUM."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from prox_spark.schemas import VERSIONED
from prox_spark.tables.commits import commit, fence
from prox_spark.tables.leases import hold
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
            # Under the lease that `forget` holds, too: nothing that it removes may be copied meanwhile, or afterwards.
            check_unforgotten(store, row)
            # The first of them alone at first: by it `forget` finds what a copy that was cut short left.
            create_table(store, VERSIONED[0], copy_of(digest, VERSIONED[0]))
            with ThreadPoolExecutor(max_workers=2) as pool:
                list(pool.map(lambda table: _copy(version, table, copy_of(digest, table)), VERSIONED))
        values = (row["refinement"], row["version"], digest if copy else None)
        schema = spark_schema("pins")
        pinned = spark.createDataFrame([values], schema[:3]).withColumn("pinned_at", F.current_timestamp())
        commit(store, lease, "pins", pinned, Purpose("pin", row["refinement"], row["version"]))
    return Pinned(row["refinement"], row["version"], digest if copy else None, new=True)


def _copy(version: Version, table: str, name: str) -> None:
    """Write the version's rows of a table; what a copy that was cut short left is overwritten."""
    create_table(version.store, table, name)
    version.store.save(own_rows(version, table).write.format("delta").mode("overwrite"), name)


def pinned_tables(store: Store) -> list[str]:
    """Every table that holds a pinned copy, or some of one that was cut short."""
    pins = store.read("pins").where(F.col("copy").isNotNull()).select("copy").distinct().collect()
    pinned = {row["copy"] for row in pins}
    others = {_digest(row) for row in store.read("refinements").select("refinement", "version").collect()} - pinned
    begun = sorted(digest for digest in others if store.has(copy_of(digest, VERSIONED[0])))
    left = [copy_of(digest, table) for digest in begun for table in VERSIONED]
    return [*(copy_of(copy, table) for copy in sorted(pinned) for table in VERSIONED), *filter(store.has, left)]


def _digest(row: Row) -> str:
    """What the tables of a copy of this refinement version are called by."""
    return hashlib.sha256(f"{row['refinement']}:{row['version']}".encode()).hexdigest()[:12]
