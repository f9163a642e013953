"""Drivers that can be killed cheaply: each is a process of its own, and all work with the JVM of the test's session.

A driver that is started from nothing takes ten seconds until its JVM answers. These are forked from a process that has
imported everything, and connect to a running JVM. A kill ends the program only, as if a driver's host were lost while the
cluster finishes the last job it received.
"""

import multiprocessing
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from prox_spark.failpoints import VARIABLE

DEADLINE_SECONDS = 300

_OF_AN_OBJECT = re.compile(r"o\d+$")
"""Names by which the JVM knows what it gave to Python; others are its own."""

FORKS = multiprocessing.get_context("forkserver")
"""Starts processes that have everything imported, in a hundredth of a second."""

FORKS.set_forkserver_preload(
    [
        *("pyspark.sql", "prox_spark.cli.main", "prox_spark.cli.keeping", "prox_spark.pipeline"),
        *("prox_spark.versions.forget", "prox_spark.exporting.export", "prox_spark.annotation.annotate"),
        "prox_spark.reporting.report",
    ]
)


OF_TEN_ROWS = {
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
    """Starts drivers that work with the JVM behind ``gateway``."""

    gateway: Any
    port: int
    secret: str
    started: list[BaseProcess] = field(default_factory=list)

    @classmethod
    def of(cls, spark: Any) -> "Drivers":
        """Those that work with this session's JVM."""
        gateway: Any = spark.sparkContext._gateway
        server = gateway.java_parameters
        return cls(gateway, server.port, server.auth_token)

    def start(self, words: Sequence[str], log: Path, failpoints: str | None = None) -> BaseProcess:
        """A driver that runs one verb of the command line; what it prints goes to ``log``."""
        if all(process.exitcode is not None for process in self.started):
            self.started.clear()
            _forget_objects(self.gateway)
        process = FORKS.Process(target=_drive, args=(self.port, self.secret, list(words), log, failpoints), daemon=True)
        process.start()
        self.started.append(process)
        return process

    def run(self, words: Sequence[str], log: Path, failpoints: str | None = None) -> int:
        """The same, until it has ended: its exit status."""
        process = self.start(words, log, failpoints)
        return ended(process)


def _forget_objects(gateway: Any) -> None:
    """Let the JVM go of what drivers that have ended held: plans and sessions, until its memory is full.

    It keeps every object that a Python process was given until that gives it back, which one that was killed never does.
    """
    from py4j.finalizer import ThreadSafeFinalizer
    from py4j.java_gateway import JavaObject

    held = JavaObject("GATEWAY_SERVER", gateway._gateway_client).getGateway().getBindings()
    mine = [reference() for reference in [*ThreadSafeFinalizer.finalizers.values()]]
    own = {there._target_id for there in mine if there is not None}
    kept = gateway.jvm.java.util.HashSet()
    for name in gateway.jvm.java.lang.String.join(" ", held.keySet()).split():
        if name in own or not _OF_AN_OBJECT.match(name):
            kept.add(name)
    held.keySet().retainAll(kept)
    # Delta remembers the log of each path for an hour.
    gateway.jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


def ended(process: BaseProcess) -> int:
    """The exit status of a driver, as soon as it has ended; fails where it does not within a deadline."""
    process.join(DEADLINE_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"a driver has not ended within {DEADLINE_SECONDS} s")
    return process.exitcode


def _drive(port: int, secret: str, words: list[str], log: Path, failpoints: str | None) -> None:
    from prox_spark.cli import main

    with log.open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    os.environ.update(PYSPARK_GATEWAY_PORT=str(port), PYSPARK_GATEWAY_SECRET=secret)
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
    for key, value in OF_TEN_ROWS.items():
        session.conf.set(key, value)
