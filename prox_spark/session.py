"""The Spark session of the command line. The library itself never creates one: it always takes a session as a parameter."""

import atexit
import json
import logging
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Any, TypeAlias

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from prox_spark.jars import delta_jars
from prox_spark.java import check_java
from prox_spark.logs import without_secrets
from prox_spark.spark_api import all_settings, is_connect

_log = logging.getLogger(__name__)

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}

LOCAL = {
    # Reused Python workers, whose engine outlives them, need a daemon that forks.
    "spark.python.worker.reuse": "true",
    # 1,000 rows beat 10,000 by 1.7 on documents of 8 kB, and bound a worker's memory.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
    # A thousand of the largest documents would be a batch of 32 GB.
    "spark.sql.execution.arrow.maxBytesPerBatch": "64m",
    # By default Delta reads its log in 50 tasks, which takes most of a small job's time on a laptop.
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    # The commit of a finished batch does not queue behind the tasks of the next one.
    "spark.scheduler.mode": "FAIR",
    # By default a task waits 3 s for the executor that has its rows, while engines elsewhere are idle.
    "spark.locality.wait": "0s",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
}


_LOG4J = Path(__file__).with_name("log4j2.properties")
"""Silences Spark's start-up log lines."""

_COMPILER = (
    "-XX:+IgnoreUnrecognizedVMOptions -XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000 "
    "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000 -XX:ReservedCodeCacheSize=512m"
)
"""Raises the thresholds of Java's second compiler tenfold: on two cores it took a third of the time of a small run. The code of
the first one is larger: in a long session it fills the default cache of 240 MB."""


Session: TypeAlias = SparkSession | Callable[[], SparkSession]
"""A session, or a function that returns one, which is called after all checks that need no Spark."""


def started(spark: Session) -> SparkSession:
    """The session itself."""
    return spark() if callable(spark) else spark


def get_session(settings: dict[str, str] | None = None) -> SparkSession:
    """The active session (``spark-submit``, a notebook), a remote one, or a new local one with Delta.

    ``settings`` are Spark properties of the configuration's ``spark`` section; a running or remote session keeps
    its settings. ``SPARK_REMOTE`` selects Spark Connect.
    Raises ``ProxSparkError`` when Java is missing or too old.
    """
    settings = settings or {}
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    if os.environ.get("SPARK_REMOTE"):
        return SparkSession.builder.getOrCreate()
    builder: Any = SparkSession.builder.appName("prox-spark")
    if not _submitted():
        check_java()
        # Spark's workers must be this interpreter, not whichever python3 comes first on the path.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
        # Spark looks up the machine's host name, which takes seconds or fails if no resolver knows it.
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("SPARK_LOCAL_HOSTNAME", "localhost")
        cores = os.cpu_count() or 1
        defaults = {
            **LOCAL,
            **DELTA,
            "spark.master": f"local[{cores}]",
            "spark.driver.memory": "2g",
            # A run makes hundreds of small queries about tables: the default cache of 100 classes keeps none for the next run.
            "spark.sql.codegen.cache.maxEntries": "2000",
            "spark.driver.extraJavaOptions": f'"-Dlog4j2.configurationFile={_LOG4J}" {_COMPILER}',
            "spark.sql.shuffle.partitions": str(max(2, cores)),
        }
        if "spark.jars.packages" not in settings:
            defaults["spark.jars"] = ",".join(str(jar) for jar in delta_jars())
        settings = {**defaults, **warehouse(settings), **settings}
    for key, value in settings.items():
        builder = builder.config(key, value)
    session: SparkSession = builder.getOrCreate()
    if _submitted() and setting(session, "spark.master").startswith("local"):
        # Settings given to spark-submit take precedence; the small-machine settings fill the rest.
        given = all_settings(session)
        for key, value in LOCAL.items():
            if key.startswith(("spark.sql.", "spark.databricks.")) and key not in given:
                session.conf.set(key, value)
        if "spark.log.level" not in given:
            # Otherwise Spark logs each task, between the few lines of this package.
            session.sparkContext.setLogLevel("WARN")
    return session


def warehouse(settings: Mapping[str, str]) -> dict[str, str]:
    """The warehouse of a local session: a temporary folder, which is removed at exit if it is empty.

    By default Spark creates ``spark-warehouse`` in the current folder, even without tables. An existing one with tables stays
    the warehouse. So does the user's choice: ``settings`` or a folder of settings that may name a warehouse, and Hive's
    catalog, whose Derby database is in the current folder. No other catalog of Spark needs Derby.
    """
    own = Path("spark-warehouse")
    chosen = "spark.sql.warehouse.dir" in settings or settings.get("spark.sql.catalogImplementation") == "hive"
    home = Path(os.environ["SPARK_HOME"], "conf") if "SPARK_HOME" in os.environ else None
    settled = home is not None and any((home / name).is_file() for name in ("spark-defaults.conf", "hive-site.xml"))
    if chosen or settled or "SPARK_CONF_DIR" in os.environ or (own.is_dir() and any(own.iterdir())):
        return {}
    folder = Path(gettempdir(), f"prox-spark-warehouse-{uuid.uuid4().hex}")
    # Only for this user: no other user can guess the name in advance.
    folder.mkdir(mode=0o700)
    atexit.register(_remove_empty, folder)
    return {"spark.sql.warehouse.dir": str(folder)}


def _remove_empty(folder: Path) -> None:
    # A folder with tables is kept.
    with suppress(OSError):
        folder.rmdir()


def _submitted() -> bool:
    """True under ``spark-submit``, which starts the JVM before the script's first line."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def setting(spark: SparkSession, key: str) -> str:
    """A Spark property; empty if it is not set or cannot be read (Databricks serverless, even with a default)."""
    try:
        return spark.conf.get(key, "") or ""
    except PySparkException:
        return ""


def cores(spark: SparkSession) -> int:
    """Number of tasks that can run at once; on Spark Connect, where it is unknown, the number of shuffle partitions."""
    if is_connect(spark):
        partitions = setting(spark, "spark.sql.shuffle.partitions")
        return int(partitions) if partitions.isdigit() else 1
    return int(spark.sparkContext.defaultParallelism)


@contextmanager
def in_pool(spark: SparkSession, name: str) -> Iterator[None]:
    """Put jobs that this thread starts in the block into this scheduler pool; no effect on Spark Connect.

    Pools only matter if ``spark.scheduler.mode`` is FAIR. Otherwise jobs run in the order in which they started.
    """
    if is_connect(spark):
        yield
        return
    context: Any = spark.sparkContext
    before = context.getLocalProperty(_POOL)
    context.setLocalProperty(_POOL, name)
    try:
        yield
    finally:
        context.setLocalProperty(_POOL, before)


_POOL = "spark.scheduler.pool"

_told: set[tuple[str, str]] = set()


def log_session(spark: SparkSession, configuration: dict[str, Any]) -> None:
    """Log Spark's version and settings and the configuration, once for each session and configuration.

    ``configuration`` has the keys that are not at their default; its secrets and its ``spark`` section are not logged.
    """
    shown = json.dumps(without_secrets(configuration), ensure_ascii=False, default=str)
    if not _log.isEnabledFor(logging.INFO) or (key := (application(spark), shown)) in _told:
        return
    _told.add(key)
    where = _where(spark)
    cores = "cores unknown" if where["cores"] is None else f"{where['cores']} cores"
    values = {"spark_version": spark.version, **where}
    told = "Spark %s, master %s, %s, GPUs per executor: %s"
    _log.info(told, spark.version, where["master"], cores, where["gpus_per_executor"], extra=values)
    _log.info("configuration: %s", shown, extra={"store": configuration.get("store")})


def _where(spark: SparkSession) -> dict[str, Any]:
    if is_connect(spark):
        return {"master": "Spark Connect", "cores": None, "gpus_per_executor": "unknown"}
    context, gpus = spark.sparkContext, setting(spark, "spark.executor.resource.gpu.amount") or "0"
    return {"master": context.master, "cores": context.defaultParallelism, "gpus_per_executor": gpus}


def application(spark: SparkSession) -> str:
    """The application's id; on Spark Connect the session's, as some servers do not show their settings."""
    found: Any = spark
    return str(found.session_id if is_connect(spark) else found.sparkContext.applicationId)


def share_of_tasks(spark: SparkSession) -> Callable[[], float | None]:
    """A function that returns the completed share of the running stages' tasks: ``None`` if none runs, and on Spark Connect."""
    if is_connect(spark):
        return lambda: None
    tracker = spark.sparkContext.statusTracker()

    def share() -> float | None:
        try:
            stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        except Py4JError:
            # The session is being stopped.
            return None
        tasks = sum(stage.numTasks for stage in stages if stage)
        return sum(stage.numCompletedTasks for stage in stages if stage) / tasks if tasks else None

    return share
