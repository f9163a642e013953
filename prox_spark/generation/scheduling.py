"""Scheduling of a stage's tasks: several per GPU, with stage-level scheduling if the cluster supports it.

A task-only resource profile gives each task a share of a GPU that the executors have already: it starts no executor and
moves none. Where it cannot be used, ``why_not`` says why, and tasks are scheduled by their cores alone.
"""

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from prox_spark.session import application, cores, is_connect, setting
from prox_spark.spark_api import spark_version, takes_profiles

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile

_log = logging.getLogger(__name__)

TASKS_PER_GPU = 4
"""Tasks that share one GPU: while one tokenises or writes, the others keep the engine busy."""

_WAVES = 3
"""Partitions for each task that can run at once: one that takes longer is not alone at the end (2: engines are idle longer)."""


def why_not(spark: SparkSession) -> list[str]:
    """Why tasks get no share of a GPU by stage-level scheduling; empty where they do."""
    reasons = []
    if is_connect(spark):
        return ["stage-level scheduling is off: this is Spark Connect; GPU stages need a classic cluster"]
    if not takes_profiles():
        share = setting(spark, "spark.task.resource.gpu.amount")
        if _gpus_per_executor(spark) and share:
            # The whole application's share; nothing is off.
            return []
        reasons.append(
            f"stage-level scheduling is off: Spark {spark_version()} has no profile for a stage; set "
            f"spark.task.resource.gpu.amount={1 / TASKS_PER_GPU} for a job of generate alone"
        )
    master = setting(spark, "spark.master")
    if master == "local" or master.startswith("local["):
        reasons.append(f"stage-level scheduling is off: the master is {master}, which does not support task profiles")
    if _gpus_per_executor(spark) == 0:
        reasons.append(
            "stage-level scheduling is off: executors have no GPU (spark.executor.resource.gpu.amount is not set; "
            "conf/gpu in the repository has a discovery script and the settings)"
        )
    return reasons


def stage_profile(spark: SparkSession) -> "ResourceProfile | None":
    """The profile for the tasks of a stage whose engine runs on a GPU, the same object each time in a session.

    None where there cannot be one; the reasons go to the log once a session, a line each.
    """
    reasons = why_not(spark)
    if reasons:
        _log_reasons(application(spark), tuple(reasons))
        return None
    return _profile(application(spark)) if takes_profiles() else None


@lru_cache(maxsize=1)
def _log_reasons(application_id: str, reasons: tuple[str, ...]) -> None:
    for reason in reasons:
        _log.info("%s; scheduling tasks by CPU cores only", reason)


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
