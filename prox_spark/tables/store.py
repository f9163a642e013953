"""A store: a folder or a catalog schema that holds the tables of ``prox_spark.schemas``."""

import logging
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import ArrayType, DataType, StructType

from prox_spark import __version__
from prox_spark.credentials import check_location
from prox_spark.errors import ConfigError, StoreError, first_line
from prox_spark.failpoints import around
from prox_spark.schemas import ADDED_TABLES, OLDEST_STORE, STORE_VERSION, TABLES
from prox_spark.session import setting
from prox_spark.spark_api import activate, is_connect
from prox_spark.tables.delta_log import Entry, changes_rows, newest_entries, newest_version
from prox_spark.tables.retries import twice
from prox_spark.tables.writers import why_not_several

_log = logging.getLogger(__name__)

_CATALOG_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*\Z")
_NUMBER_KEY, _PACKAGE_KEY = "prox_spark.store_version", "prox_spark.package_version"
_NUMBER = {_NUMBER_KEY: str(STORE_VERSION), _PACKAGE_KEY: __version__}
"""Properties of a table that say which layout it has, and which package made it so."""

# Delta's defaults delete what time travel needs after 7 days and its log after 30: a refinement must outlive those.
_PROPERTIES = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
    # Some platforms mark deleted rows in a file beside the data: what is forgotten must go from the data itself.
    "delta.enableDeletionVectors": "false",
    # Each would follow or change commits of this package: rows are written in files of whole units, and compacted by `optimize`.
    "delta.autoOptimize.autoCompact": "false",
    "delta.autoOptimize.optimizeWrite": "false",
}

_OWN_PROPERTIES = {
    "leases": {
        # Delta's checkpoints are Spark jobs, and a commit that makes one holds up all others: a heartbeat must not wait for a
        # free core. `tables.leases` makes them between jobs. Older leases are of no use.
        "delta.checkpointInterval": "1000000",
        "delta.logRetentionDuration": "interval 7 days",
        "delta.deletedFileRetentionDuration": "interval 7 days",
    },
}

# Columns before the first nested or long one get file statistics: units are pruned by them, page text is not copied there.
_INDEXED = {
    "documents": 3,
    "programs": 6,
    "refined": 2,
    "dropped_lines": 3,
    "dropped_documents": 2,
    "quarantine": 3,
    "annotations": 7,
    "signatures": 4,
}


@dataclass(frozen=True)
class Store:
    """Where the tables are. ``location`` is an absolute path or URL, or ``catalog.schema``.

    ``number`` is that of its layout when it was opened; an older one is read as if it had today's tables and columns.
    """

    spark: SparkSession
    location: str
    is_catalog: bool
    number: int = STORE_VERSION

    def table(self, name: str) -> str:
        """The table's name in SQL."""
        if self.is_catalog:
            return ".".join(f"`{part}`" for part in (*self.location.split("."), name))
        return "delta.`" + f"{self.location}/{name}".replace("`", "``") + "`"

    def read(self, name: str, version: int | None = None, *, kind: str | None = None) -> DataFrame:
        """The current table, or one of its versions. Columns that it lacks, as an older package made it, are null.

        ``kind``: the table of ``schemas.TABLES`` that it is a copy of, where its name is another.
        """
        if self.number < STORE_VERSION and name in ADDED_TABLES and not self.has(name):
            return self.nothing(name)
        as_of = "" if version is None else f" VERSION AS OF {int(version)}"
        rows = self.spark.sql(f"SELECT * FROM {self.table(name)}{as_of}")
        kind = kind or name
        if kind not in TABLES or (version is None and kind == name and self.number == STORE_VERSION):
            return rows
        return conformed(rows, spark_schema(kind))

    def nothing(self, kind: str) -> DataFrame:
        """No rows, for a commit without any: to read the table for that would be a read of what the commit writes."""
        return self.spark.createDataFrame([], spark_schema(kind))

    def save(self, writer: DataFrameWriter, name: str) -> None:
        """Let a configured writer write to the table; its columns are the table's, in their order."""
        activate(self.spark)
        with around("write", name):
            if self.is_catalog:
                # `saveAsTable` would replace the table where it overwrites, its properties and all.
                writer.insertInto(self.table(name))
            else:
                writer.save(f"{self.location}/{name}")

    def has(self, name: str) -> bool:
        """Whether there is a table of this name."""
        try:
            self.version(name)
        except AnalysisException:
            return False
        return True

    def version(self, name: str) -> int:
        """The newest version of the table."""
        return newest_version(self.spark, self.table(name), self._path(name))

    def entries(self, name: str, limit: int) -> Iterator[Entry]:
        """At most the newest ``limit`` commits of the table, newest first."""
        return newest_entries(self.spark, self.table(name), self._path(name), limit)

    def changes_rows(self, name: str, version: int) -> bool:
        """Whether the commit that made this version may have changed what the table holds."""
        return changes_rows(self.spark, self.table(name), self._path(name), version)

    def _path(self, name: str) -> str | None:
        return None if self.is_catalog else f"{self.location}/{name}"


def quoted(text: str) -> str:
    """The text as a string of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def analyzed(rows: DataFrame) -> DataFrame:
    """The same rows, names and types resolved: Spark Connect does that, and raises ``AnalysisException``, only when asked."""
    _ = rows.schema
    return rows


def spark_schema(name: str) -> StructType:
    """The Spark schema of a table."""
    return from_arrow_schema(TABLES[name])


def open_store(spark: SparkSession, location: str) -> Store:
    """An existing store. Raises ``StoreError`` where there is none, where it is half made, or of another version."""
    store = find_store(spark, location)
    if store is None:
        raise StoreError(f"{location}: there is no prox_spark store; `prox-spark ingest` creates one")
    return store


def find_store(spark: SparkSession, location: str) -> Store | None:
    """The store at ``location``, or ``None`` where there is none yet. Raises ``StoreError`` for one that cannot be read."""
    store = store_at(spark, location)
    number = store_number(store)
    return None if number is None else replace(store, number=number)


def create_store(spark: SparkSession, location: str) -> Store:
    """The store at ``location``, created if it does not exist: every table empty, ``refinements`` last.

    A run that died half-way leaves a store without ``refinements``; the next one completes it.
    """
    store = find_store(spark, location)
    if store is not None:
        check_writers(store)
        return store
    store = store_at(spark, location)
    if store.is_catalog:
        catalog, schema = location.split(".")
        with around("create", "schema"):
            spark.sql(f"CREATE SCHEMA IF NOT EXISTS `{catalog}`.`{schema}`")
    check_writers(store)
    _log.info("making the tables of a new store at %s", store.location, extra={"store": store.location})
    *others, last = TABLES
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(partial(create_table, store), others))
    create_table(store, last)
    return store


def check_writers(store: Store) -> None:
    """Raise ``ConfigError`` where this session's log store does not order the commits of several drivers."""
    why = why_not_several(_files_of(store), partial(setting, store.spark))
    if why is not None:
        raise ConfigError(why)


def _files_of(store: Store) -> str:
    """Where the files of the tables are; empty where the catalog does not tell."""
    if not store.is_catalog:
        return store.location
    catalog, schema = store.location.split(".")
    try:
        rows = store.spark.sql(f"DESCRIBE SCHEMA EXTENDED `{catalog}`.`{schema}`").collect()
    except PySparkException as error:
        _log.debug("%s: its location is not known: %s", store.location, first_line(error))
        return ""
    return next((str(row[1]) for row in rows if row[0] == "Location"), "")


def create_table(store: Store, kind: str, name: str | None = None) -> None:
    """Make a table of a kind of ``schemas.TABLES``, empty, where it is absent; it is named as its kind unless told."""
    columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in spark_schema(kind))
    properties = {**_PROPERTIES, **_OWN_PROPERTIES.get(kind, {}), **_NUMBER}
    if kind in _INDEXED:
        properties["delta.dataSkippingNumIndexedCols"] = str(_INDEXED[kind])
    table = store.table(name or kind)
    made = f"CREATE TABLE IF NOT EXISTS {table} ({columns}) USING delta TBLPROPERTIES ({_listed(properties)})"
    with around("create", name or kind):
        twice(lambda: store.spark.sql(made))


def set_number(store: Store) -> None:
    """Write this package's number and version into ``refinements``: older packages refuse the store from now on."""
    twice(lambda: set_properties(store, "refinements", _NUMBER))


def set_own_properties(store: Store, table: str) -> None:
    """Give an older table the properties that are its own; nothing where it has none."""
    if table in _OWN_PROPERTIES:
        twice(lambda: set_properties(store, table, _OWN_PROPERTIES[table]))


def set_properties(store: Store, table: str, properties: dict[str, str]) -> None:
    """Set properties of a table, as one commit by the driver alone: it takes no Spark task."""
    with around("properties", table):
        store.spark.sql(f"ALTER TABLE {store.table(table)} SET TBLPROPERTIES ({_listed(properties)})")


def get_properties(store: Store, table: str) -> dict[str, str]:
    """The properties of a table; takes no Spark task. Spark hides values with words like "token" or "secret"."""
    return {row["key"]: row["value"] for row in store.spark.sql(f"SHOW TBLPROPERTIES {store.table(table)}").collect()}


def _listed(properties: dict[str, str]) -> str:
    return ", ".join(f"{quoted(key)} = {quoted(value)}" for key, value in properties.items())


def conformed(rows: DataFrame, wanted: StructType) -> DataFrame:
    """The rows with every column of ``wanted``, and every field of its structs, null where they lack it."""
    found = {field.name: field.dataType for field in rows.schema}
    if all(_same(found.get(field.name), field.dataType) for field in wanted):
        return rows
    more = [name for name in rows.columns if name not in wanted.names]
    columns = [_conformed(F.col(one.name), found.get(one.name), one.dataType).alias(one.name) for one in wanted]
    return rows.select(*columns, *more)


def _same(found: DataType | None, wanted: DataType) -> bool:
    return found is not None and found.simpleString() == wanted.simpleString()


def _conformed(column: Column, found: DataType | None, wanted: DataType) -> Column:
    if found is None:
        return F.lit(None).cast(wanted)
    if isinstance(found, StructType) and isinstance(wanted, StructType):
        there = {field.name: field.dataType for field in found}
        fields = [_conformed(column[one.name], there.get(one.name), one.dataType).alias(one.name) for one in wanted]
        return F.when(column.isNotNull(), F.struct(*fields))
    if isinstance(found, ArrayType) and isinstance(wanted, ArrayType) and not _same(found, wanted):
        inner, element = found.elementType, wanted.elementType
        return F.transform(column, lambda one: _conformed(one, inner, element))
    return column


def store_at(spark: SparkSession, location: str) -> Store:
    """The store at ``location``, whether there is one or not. Raises ``ConfigError`` for a location that shows a secret."""
    check_location("the store's path", location)
    if _CATALOG_SCHEMA.match(location) and not Path(location).exists():
        return Store(spark, location, is_catalog=True)
    return Store(spark, whole_path(location), is_catalog=False)


def whole_path(location: str) -> str:
    """A URL as it is, any other path from the root: Spark's working folder need not be this process's."""
    if "://" in location or location.startswith("dbfs:"):
        return location.rstrip("/")
    return str(Path(location).expanduser().absolute())


def _is_local(store: Store) -> bool:
    """Whether a path without scheme is certainly on this machine's disk: Hadoop's settings may send it to HDFS."""
    # A Connect server's master is its own business: it may run on another machine.
    local = not is_connect(store.spark) and setting(store.spark, "spark.master").startswith("local")
    hadoop = os.environ.get("HADOOP_CONF_DIR") or os.environ.get("YARN_CONF_DIR")
    return local and not hadoop and not setting(store.spark, "spark.hadoop.fs.defaultFS")


def store_number(store: Store) -> int | None:
    """The layout's number in the properties of ``refinements``, the table made last, or None where it is absent.

    Raises ``StoreError`` for a table of something else, and for a layout that this package cannot read.
    """
    # A URL, and a path of dbfs:, is for Spark to look at.
    if (
        not store.is_catalog
        and Path(store.location).is_absolute()
        and _is_local(store)
        and not Path(store.location, "refinements").is_dir()
    ):
        return None
    try:
        properties = get_properties(store, "refinements")
    except AnalysisException as error:
        if any(
            word in str(error)
            for word in ("TABLE_OR_VIEW_NOT_FOUND", "PATH_NOT_FOUND", "DELTA_MISSING", "SCHEMA_NOT_FOUND")
        ):
            return None
        raise
    if _NUMBER_KEY not in properties:
        raise StoreError(f"{store.location}: `refinements` is not a table of prox_spark; choose another store")
    number = int(properties[_NUMBER_KEY])
    if number > STORE_VERSION:
        needed = properties.get(_PACKAGE_KEY)
        raise StoreError(
            f"{store.location}: the store has layout {number}, this package ({__version__}) reads layouts up to {STORE_VERSION}; "
            f"install {f'prox-spark {needed} or newer' if needed else 'a newer prox-spark'}"
        )
    if number < OLDEST_STORE:
        raise StoreError(
            f"{store.location}: the store has layout {number}, this package ({__version__}) reads layouts from {OLDEST_STORE} "
            "on: refine the corpus into a new store"
        )
    return number
