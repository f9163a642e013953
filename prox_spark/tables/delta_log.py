"""The newest version of a Delta table and what its newest commits say of themselves.

SQL answers this by ``DESCRIBE HISTORY``, which plans four queries and runs a Spark job: a third of a second of a driver's
time, and a run asks fifty times. Where open-source Delta runs in this session's JVM and the table is a path, its log is asked
instead, in a hundredth of that. Everywhere else (catalogs, Spark Connect, Databricks) SQL is.
"""

import json
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

_FEW = 16
"""Commits that are read one by one, each by a request to the object store; a Spark job reads those before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A commit: its ``userMetadata``, and how many rows it wrote as its metrics have it (0 where they have none)."""

    version: int
    metadata: str | None
    operation: str
    rows: int


def newest_version(spark: SparkSession, table: str, path: str | None) -> int:
    """The newest version of a table, named as in SQL; ``path`` is where it is, None in a catalog.

    Raises ``AnalysisException`` where there is no Delta table.
    """
    log = None if path is None else _Log.open(spark, path)
    if log is not None:
        return log.version
    row = spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").select("version").first()
    assert row is not None, "a Delta table has at least one version"
    return int(row[0])


def newest_entries(spark: SparkSession, table: str, path: str | None, limit: int) -> Iterator[Entry]:
    """At most the newest ``limit`` commits of a table, newest first; those are left out whose entry is no longer there.

    The first few are read when they are asked for.
    """
    log = None if path is None else _Log.open(spark, path)
    last = None if log is None else log.version + 1
    if log is not None:
        oldest = max(-1, log.version - limit)
        try:
            for version in range(log.version, max(oldest, log.version - _FEW), -1):
                entry = log.entry(version)
                yield entry
                last = version
        except _DIRECT_FAILURES:
            pass  # SQL knows where entries of managed tables are, and leaves out those that are gone.
        if last == oldest + 1:
            return
    history = spark.sql(f"DESCRIBE HISTORY {table} LIMIT {limit}")
    for row in history.select("version", "userMetadata", "operation", "operationMetrics").collect():
        if last is None or row["version"] < last:
            rows = int((row["operationMetrics"] or {}).get("numOutputRows", 0))
            yield Entry(int(row["version"]), row["userMetadata"], row["operation"] or "", rows)


def changes_rows(spark: SparkSession, table: str, path: str | None, version: int) -> bool:
    """Whether a commit may have changed what the table holds, by its actions: one that only moves rows to other files says so.

    True where its actions cannot be read.
    """
    try:
        if path is None:
            row = spark.sql(f"DESCRIBE DETAIL {table}").select("location").first()
            path = "" if row is None else str(row["location"])
        log = _Log.open(spark, path)
        return log is None or any(map(_changes_rows, log.actions(version)))
    except _DIRECT_FAILURES:
        return True


def _changes_rows(action: dict[str, Any]) -> bool:
    files = [action[kind] for kind in ("add", "remove") if kind in action]
    return any(file.get("dataChange", True) for file in files) or bool({"metaData", "protocol", "cdc"} & action.keys())


# What a JVM without these classes, one that hides them, or a file that is not there makes of a call; SQL tells the reason.
_DIRECT_FAILURES = (Py4JError, PySparkException, TypeError, LookupError)


@dataclass(frozen=True)
class _Log:
    """Delta's own ``DeltaLog`` of a path, as it is now."""

    jvm: Any
    log: Any
    version: int

    @classmethod
    def open(cls, spark: SparkSession, path: str) -> "_Log | None":
        jvm: Any = getattr(spark, "_jvm", None)
        if jvm is None:
            return None
        try:
            found = jvm.org.apache.spark.sql.delta.DeltaLog.forTableWithSnapshot(spark._jsparkSession, path)
            version = int(found._2().version())
        except _DIRECT_FAILURES:
            return None
        # Delta answers -1 for a path without a table.
        return None if version < 0 else cls(jvm, found._1(), version)

    def actions(self, version: int) -> Generator[dict[str, Any]]:
        """What the version's file says, line by line; raises where there is none."""
        path = self.jvm.org.apache.hadoop.fs.Path(self.log.logPath(), f"{version:020d}.json")
        lines = self.log.store().readAsIterator(path, self.log.newDeltaHadoopConf())
        try:
            while lines.hasNext():
                yield json.loads(lines.next())
        finally:
            lines.close()

    def entry(self, version: int) -> Entry:
        """Read from the first line of the version's file, where Delta writes ``commitInfo``; raises where another is."""
        with closing(self.actions(version)) as actions:
            info = next(actions, {})["commitInfo"]
        rows = int(info.get("operationMetrics", {}).get("numOutputRows", 0))
        return Entry(version, info.get("userMetadata"), info.get("operation", ""), rows)
