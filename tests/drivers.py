"""Drivers that can be killed cheaply: each is a process of its own, and all work with the JVM of the test's session.

A driver that is started from nothing takes ten seconds until its JVM answers. These are forked from a process that has
imported everything, and connect to a running JVM. A kill ends the program only, as if a driver's host were lost while the
cluster finishes the last job it received.
"""

import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from prox_spark.failpoints import VARIABLE

DEADLINE_SECONDS = 300

FORKS = multiprocessing.get_context("forkserver")
"""Starts processes that have everything imported, in a hundredth of a second."""

FORKS.set_forkserver_preload(
    [
        *("pyspark.sql", "prox_spark.cli.main", "prox_spark.cli.keeping", "prox_spark.pipeline"),
        *("prox_spark.versions.forget", "prox_spark.exporting.export", "prox_spark.annotation.annotate"),
        "prox_spark.reporting.report",
    ]
)


_OF_TEN_ROWS = {
    # To compile a query costs more than to interpret it.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
}
"""Session settings for tables of few rows, with which a verb takes half the time."""


@dataclass(frozen=True)
class Drivers:
    """Starts drivers that work with one JVM."""

    port: int
    secret: str

    @classmethod
    def of(cls, spark: Any) -> "Drivers":
        """Those that work with this session's JVM."""
        server: Any = spark.sparkContext._gateway.java_parameters
        return cls(server.port, server.auth_token)

    def start(self, words: Sequence[str], log: Path, failpoints: str | None = None) -> BaseProcess:
        """A driver that runs one verb of the command line; what it prints goes to ``log``."""
        process = FORKS.Process(target=_drive, args=(self, list(words), log, failpoints), daemon=True)
        process.start()
        return process

    def run(self, words: Sequence[str], log: Path, failpoints: str | None = None) -> int:
        """The same, until it has ended: its exit status."""
        process = self.start(words, log, failpoints)
        return ended(process)


def ended(process: BaseProcess) -> int:
    """The exit status of a driver, as soon as it has ended; fails where it does not within a deadline."""
    process.join(DEADLINE_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"a driver has not ended within {DEADLINE_SECONDS} s")
    return process.exitcode


def _drive(drivers: Drivers, words: list[str], log: Path, failpoints: str | None) -> None:
    from prox_spark.cli import main

    with log.open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    os.environ.update(PYSPARK_GATEWAY_PORT=str(drivers.port), PYSPARK_GATEWAY_SECRET=drivers.secret)
    if failpoints is not None:
        os.environ[VARIABLE] = failpoints
    _attach()
    code = main(words)
    print("", end="", flush=True)
    # As the interpreter ends: without stopping the context, which is everybody's.
    os._exit(code)


def _attach() -> None:
    """Make the session of this process: a new one in the JVM, with settings of its own."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    gateway = launch_gateway()
    jvm: Any = gateway.jvm
    there = jvm.org.apache.spark.SparkContext.getOrCreate()
    java = jvm.org.apache.spark.api.java.JavaSparkContext.fromSparkContext(there)
    context = SparkContext(conf=SparkConf(_jconf=there.conf()), gateway=gateway, jsc=java)
    classic = jvm.org.apache.spark.sql.classic.SparkSession
    session = SparkSession(context, classic.builder().sparkContext(there).getOrCreate().newSession())
    for key, value in _OF_TEN_ROWS.items():
        session.conf.set(key, value)
