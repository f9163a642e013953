"""Scheduling of a stage's tasks: several per GPU, with stage-level scheduling if the cluster supports it.

A task-only resource profile gives each task a share of a GPU that the executors have already: it starts no executor and
moves none. Spark 3.5 has none for DataFrames: there, the tasks of all stages take the share that the application sets. Where
neither is possible, ``why_not`` says why, and tasks are scheduled by their cores alone.
"""

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from prox_spark.errors import first_line
from prox_spark.session import application, cores, setting
from prox_spark.spark_api import is_connect, spark_version, takes_profiles

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile

_log = logging.getLogger(__name__)

TASKS_PER_GPU = 4
"""Tasks that share one GPU: while one tokenises or writes, the others keep the engine busy."""

_SHARE = "spark.task.resource.gpu.amount"
"""The property with the share of a GPU that tasks of all stages take."""

_WAVES = 3
"""Partitions for each task that can run at once: one that takes longer is not alone at the end (2: engines are idle longer)."""


def why_not(spark: SparkSession) -> list[str]:
    """Why tasks of a stage with a model get no share of a GPU; empty where they do."""
    if not takes_profiles():
        return _why_no_share(spark)
    reasons = []
    master = setting(spark, "spark.master")
    if master == "local" or master.startswith("local["):
        reasons.append(f"stage-level scheduling is off: the master is {master}, which does not support task profiles")
    if _gpus_per_executor(spark) == 0:
        reasons.append(f"stage-level scheduling is off: {_NO_GPU}")
    if not reasons and (refused := _refused(spark)):
        reasons.append(f"stage-level scheduling is off: Spark refuses the profile ({refused})")
    return reasons


_NO_GPU = (
    "executors have no GPU (spark.executor.resource.gpu.amount is not set; conf/gpu in the repository has a discovery "
    "script and the settings)"
)


def _why_no_share(spark: SparkSession) -> list[str]:
    """``why_not`` where stages have no profiles: the share is the whole application's."""
    if _gpus_per_executor(spark) == 0:
        return [f"tasks get no share of a GPU: {_NO_GPU}"]
    if not share_of_all(spark):
        return [
            f"tasks get no share of a GPU: Spark {spark_version()} has no profile for a stage; set {_SHARE}="
            f"{1 / TASKS_PER_GPU} for jobs that run a model (conf/gpu/spark-3.5.conf in the repository)"
        ]
    return []


def share_of_all(spark: SparkSession) -> float:
    """The share of a GPU that the tasks of every stage take, with a model or without; 0 where none is set."""
    try:
        return float(setting(spark, _SHARE) or 0)
    except ValueError:
        return 0.0


def share_advice(spark: SparkSession) -> str:
    """What to change about the share that every stage takes; empty where there is nothing to change."""
    share = share_of_all(spark)
    if not share or _gpus_per_executor(spark) == 0:
        return ""
    if takes_profiles():
        return f"set {_SHARE}=0: stages with a model ask for their share, and those without need no GPU"
    if share * TASKS_PER_GPU > 1:
        return f"set {_SHARE}={1 / TASKS_PER_GPU}: {TASKS_PER_GPU} tasks keep an engine busy"
    return ""


def _refused(spark: SparkSession) -> str:
    """Why Spark would refuse the profile when the stage starts; empty where it takes it, or may not be asked."""
    profile: Any = _profile(application(spark))
    if is_connect(spark):
        try:
            # The server makes the profile when its number is asked for.
            _ = profile.id
        except PySparkException as error:
            return first_line(error)
        return ""
    context: Any = spark.sparkContext
    try:
        context._jsc.sc().resourceProfileManager().isSupported(profile._java_resource_profile)
    except Py4JJavaError as error:
        return str(error.java_exception.getMessage())
    except Py4JError:
        # Some platforms let Python call listed methods only.
        return ""
    return ""


def stage_profile(spark: SparkSession) -> "ResourceProfile | None":
    """The profile for the tasks of a stage whose engine runs on a GPU, the same object each time in a session.

    None where there cannot be one; the reasons go to the log once a session, a line each.
    """
    reasons = why_not(spark)
    if reasons:
        _log_reasons(application(spark), tuple(reasons))
        return None
    if advice := share_advice(spark):
        _log_advice(application(spark), advice)
    return _profile(application(spark)) if takes_profiles() else None


@lru_cache(maxsize=1)
def _log_reasons(application_id: str, reasons: tuple[str, ...]) -> None:
    for reason in reasons:
        _log.info("%s; scheduling tasks by CPU cores only", reason)


@lru_cache(maxsize=1)
def _log_advice(application_id: str, advice: str) -> None:
    _log.warning("tasks of all stages share GPUs: %s", advice)


@lru_cache(maxsize=1)
def _profile(application_id: str) -> "ResourceProfile":
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    requests = TaskResourceRequests().cpus(1).resource("gpu", 1 / TASKS_PER_GPU)
    # A property, whatever its name says: each look at it would make another profile.
    profile: ResourceProfile = ResourceProfileBuilder().require(requests).build
    return profile


def default_partitions(spark: SparkSession) -> int:
    """Tasks for a batch of units: several for each GPU where the number of executors is known, else for each core."""
    gpus = _executors(spark) * _gpus_per_executor(spark)
    return _WAVES * max(TASKS_PER_GPU * gpus, _number(spark, "spark.sql.shuffle.partitions"), 1)


def engines(spark: SparkSession) -> int:
    """How many engines work at once: a GPU each where the number of executors is known, else a core each."""
    gpus = _executors(spark) * _gpus_per_executor(spark)
    return gpus or cores(spark)


def _executors(spark: SparkSession) -> int:
    return _number(spark, "spark.executor.instances") or _number(spark, "spark.dynamicAllocation.maxExecutors")


def _gpus_per_executor(spark: SparkSession) -> int:
    return _number(spark, "spark.executor.resource.gpu.amount")


def _number(spark: SparkSession, key: str) -> int:
    value = setting(spark, key)
    # Adaptive execution of some platforms takes `auto` here.
    return int(value) if value.isdigit() and len(value) < 6 else 0
