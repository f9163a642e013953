"""From an older package's store to this one's layout: tables and columns that it lacks, then its number.

Every change is an addition. Rows that were there keep their values; a new column is null in them. A step that is done is
not done again, so that a run that died is completed by the next one.
"""

import logging
from collections.abc import Iterator

from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StructField, StructType

from prox_spark import __version__
from prox_spark.failpoints import around
from prox_spark.schemas import STORE_VERSION, TABLES
from prox_spark.tables.purpose import Purpose, labelled
from prox_spark.tables.retries import twice
from prox_spark.tables.store import Store, create_table, set_number, set_own_properties, spark_schema, store_number

_log = logging.getLogger(__name__)

PURPOSE = Purpose("migrate")


def is_older(store: Store) -> bool:
    """Whether the store has an older layout now; its tables are only asked if it had one when it was opened."""
    if store.number >= STORE_VERSION:
        return False
    number = store_number(store)
    return number is not None and number < STORE_VERSION


def migrate(store: Store) -> None:
    """Bring the store to ``STORE_VERSION``. The caller holds the lease ``migrate``."""
    _log.info("store %s: from layout %d to %d", store.location, store.number, STORE_VERSION)
    for table in TABLES:
        create_table(store, table)
        add_columns(store, table)
        set_own_properties(store, table)
    row = store.spark.range(1, numPartitions=1).select(
        F.lit(store.number).cast("long").alias("from_layout"),
        F.lit(STORE_VERSION).cast("long").alias("to_layout"),
        F.lit(__version__).alias("package_version"),
        F.current_timestamp().alias("migrated_at"),
    )
    writer = row.write.format("delta").mode("append").option("userMetadata", PURPOSE.metadata())
    # Delta skips the row where a run that died wrote it before.
    writer = writer.option("txnAppId", PURPOSE.verb).option("txnVersion", STORE_VERSION)
    twice(lambda: store.save(writer, "migrations"))
    with labelled(store.spark, PURPOSE):
        set_number(store)


def add_columns(store: Store, table: str) -> None:
    """Add the columns and fields that an older table lacks, each where the schema has it; nothing where it lacks none."""
    twice(lambda: _add_columns(store, table))


def _add_columns(store: Store, table: str) -> None:
    found = store.spark.sql(f"SELECT * FROM {store.table(table)}").schema
    missing = list(_missing(spark_schema(table), found))
    if missing:
        listed = ", ".join(f"{path} {kind.simpleString()} {place}" for path, kind, place in missing)
        with labelled(store.spark, PURPOSE), around("columns", table):
            store.spark.sql(f"ALTER TABLE {store.table(table)} ADD COLUMNS ({listed})")


def _missing(wanted: StructType, found: StructType, path: str = "") -> Iterator[tuple[str, DataType, str]]:
    """Path, type and place of each missing field; a catalog's table is written by position, so order matters."""
    before: StructField | None = None
    for field in wanted.fields:
        here = f"{path}`{field.name}`"
        if field.name not in found.names:
            yield here, field.dataType, "FIRST" if before is None else f"AFTER `{before.name}`"
        else:
            there = found[field.name].dataType
            if isinstance(field.dataType, StructType) and isinstance(there, StructType):
                yield from _missing(field.dataType, there, f"{here}.")
            if isinstance(field.dataType, ArrayType) and isinstance(there, ArrayType):
                element, old = field.dataType.elementType, there.elementType
                if isinstance(element, StructType) and isinstance(old, StructType):
                    yield from _missing(element, old, f"{here}.element.")
        before = field
