"""All checks in order: the machine, Spark and Delta, then the store and refiners of a configuration."""

import platform
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

from prox_spark.config import Config, load_config
from prox_spark.config.models import ExecutionConfig
from prox_spark.credentials import hidden
from prox_spark.doctor.check import Check
from prox_spark.doctor.machine import machine
from prox_spark.doctor.model import model
from prox_spark.errors import ConfigError, ProxSparkError, StoreError, first_line
from prox_spark.supported import what_to_do

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from prox_spark.generation.plan import Refiners, StagePlan

Start = Callable[[dict[str, str]], "SparkSession"]
"""Gives a Spark session with these properties."""


def examine(config: str | None, overrides: Sequence[str], start: Start) -> list[Check]:
    """Every check; with a configuration file or overrides also those of what it names. Raises nothing it expects.

    What libraries say is shown without secrets.
    """
    return [replace(check, found=hidden(check.found)) for check in _examine(config, overrides, start)]


def _examine(config: str | None, overrides: Sequence[str], start: Start) -> list[Check]:
    checks = machine()
    loaded = None
    if config is not None or overrides:
        try:
            loaded = load_config(config, overrides)
            checks.append(Check("configuration", "ok", str(config or "the arguments")))
        except ConfigError as error:
            checks.append(
                Check("configuration", "failed", str(error), "docs/configuration.md in the repository lists every key")
            )
    installed = _spark()
    checks.append(installed)
    if installed.status == "failed":
        return checks
    if next(check for check in checks if check.name == "java").status == "failed":
        return [*checks, Check("delta", "warning", "not checked: Spark cannot start without Java")]
    spark, session = _session(start, loaded)
    checks.append(session)
    if spark is None:
        return checks
    checks += [_delta(spark), _scheduling(spark), _settings(spark)]
    if loaded is not None:
        checks.append(_store(spark, loaded))
        checks += _stages(spark, loaded)
    return checks


def _spark() -> Check:
    try:
        import pyspark
    except ImportError as error:
        advice = "pip install 'prox-spark[local]', or run this with the spark-submit of a cluster"
        return Check("spark", "failed", f"PySpark cannot be imported: {error}", advice)
    try:
        delta = metadata.version("delta-spark")
    except metadata.PackageNotFoundError:  # A cluster brings Delta's jars, without this package.
        delta = None
    found = pyspark.__version__ if delta is None else f"{pyspark.__version__}, delta-spark {delta}"
    advice = what_to_do(pyspark.__version__, delta, platform.python_version())
    return Check("spark", "warning" if advice else "ok", found, advice)


def _errors() -> tuple[type[Exception], ...]:
    """What Spark's driver, its JVM and the way to it raise."""
    from pyspark.errors import PySparkException

    # ImportError: Delta's package, by whose version its jars are found, may be missing.
    expected = (PySparkException, ProxSparkError, ImportError, OSError, subprocess.TimeoutExpired)
    try:
        from py4j.protocol import Py4JError
    except ImportError:  # A Spark Connect client has no JVM.
        return expected
    return (Py4JError, *expected)


def _session(start: Start, config: Config | None) -> "tuple[SparkSession | None, Check]":
    try:
        spark = start(config.spark if config else {})
        return spark, Check("session", "ok", f"Spark {spark.version}, {_master(spark)}")
    except _errors() as error:
        advice = "Spark's error is above, on standard error; Delta's jars are downloaded from Maven Central"
        return None, Check("session", "failed", f"{type(error).__name__}: {first_line(error)}", advice)


def _master(spark: "SparkSession") -> str:
    from prox_spark.session import setting

    return setting(spark, "spark.master") or "a remote server"


def _delta(spark: "SparkSession") -> Check:
    """A table written and read in a temporary folder, where the tasks see this machine's."""
    from prox_spark.spark_api import is_connect

    if is_connect(spark) or not re.match(r"local(\[|$)", _master(spark)):
        found = "not checked: the executors do not share the temporary folder of this machine"
        return Check("delta", "warning", found, "use --config to check the store")
    try:
        with tempfile.TemporaryDirectory(prefix="prox-doctor-") as folder:
            for _ in range(2):
                spark.range(3).write.format("delta").mode("append").save(f"{folder}/table")
            rows = spark.read.format("delta").load(f"{folder}/table").count()
    except _errors() as error:
        advice = "Delta's jars must match Spark: pip install 'prox-spark[local]', or set them with --packages"
        return Check("delta", "failed", f"{type(error).__name__}: {first_line(error)}", advice)
    if rows != 6:
        return Check(
            "delta", "failed", f"{rows} rows read of 6 written", "the disk of the temporary folder loses writes"
        )
    return Check("delta", "ok", "wrote a table twice and read it")


def _scheduling(spark: "SparkSession") -> Check:
    from prox_spark.generation.scheduling import TASKS_PER_GPU, share_advice, share_of_all, why_not
    from prox_spark.spark_api import takes_profiles

    reasons = why_not(spark)
    if reasons:
        return Check("scheduling", "ok", "; ".join(reasons), "only needed on a cluster with GPUs")
    found = f"{TASKS_PER_GPU} tasks share a GPU through a task-only resource profile"
    if not takes_profiles():
        found = (
            f"tasks of all stages take {share_of_all(spark):g} of a GPU; run ingest and execute as jobs without GPUs"
        )
    advice = share_advice(spark)
    return Check("scheduling", "warning" if advice else "ok", found, advice)


def _settings(spark: "SparkSession") -> Check:
    """Whether a session may have what MERGE, DELETE and VACUUM need."""
    from prox_spark.tables.purpose import check_transactions

    try:
        check_transactions(spark, erase=True)
    except StoreError as error:
        advice = "`forget` and `--retry-failed` cannot run here (docs/platforms.md in the repository)"
        return Check("settings", "warning", first_line(error), advice)
    return Check("settings", "ok", "a session may have every setting that a verb needs")


def _store(spark: "SparkSession", config: Config) -> Check:
    """Whether the store can be read, and where it is one of S3 whether this session may write to it."""
    from prox_spark.tables.store import check_writers, find_store, store_at

    try:
        found = find_store(spark, config.store)
        check_writers(found or store_at(spark, config.store))
    except ConfigError as error:
        return Check("store", "failed", str(error), "until then, verbs that write to the store are refused")
    except StoreError as error:
        advice = "set another store=, or install the package version that wrote this store"
        return Check("store", "failed", str(error), advice)
    except _errors() as error:
        said = f"{config.store}: {type(error).__name__}: {first_line(error)}"
        return Check("store", "failed", said, "check the path or schema and its permissions")
    if found is None:
        return Check("store", "ok", f"{config.store}: does not exist yet", "`prox-spark ingest` creates it")
    return Check("store", "ok", found.location)


def _stages(spark: "SparkSession", config: Config) -> list[Check]:
    from prox_spark.config.engines import ModelSettings
    from prox_spark.generation.plan import Plans, plan_stage

    checks: list[Check] = []
    plans: dict[str, StagePlan] = {}
    settings: list[tuple[Any, Any]] = [("document", config.document), ("chunk", config.chunk)]
    for stage, wanted in settings:
        if wanted is None:
            continue
        name = f"{stage} refiner"
        try:
            plan = plan_stage(stage, wanted)
            reading = [model(plan)] if isinstance(plan.settings, ModelSettings) else []
        except (ProxSparkError, ImportError, OSError, ValueError) as error:
            checks.append(Check(name, "failed", first_line(error), f"check {stage}.engine and its model"))
            continue
        plans[stage], refiner = plan, plan.refiner
        prompt = f", template {refiner.template}, window {refiner.window}" if refiner.template else ""
        found = f"{refiner.name} ({plan.settings.kind}), fingerprint {plan.fingerprint[:8]}{prompt}"
        checks += [Check(name, "ok", found), *reading]
    tested = [plan for plan in plans.values() if isinstance(plan.settings, ModelSettings)]
    if tested:
        execution = _judged_by(spark, config, Plans(plans.get("document"), plans.get("chunk")).refiners)
        checks += [_self_test(spark, plan, execution) for plan in tested]
    return checks


def _judged_by(spark: "SparkSession", config: Config, refiners: "Refiners") -> ExecutionConfig:
    """How the configuration's refinement executes programs: one that exists keeps its version of the rules."""
    from prox_spark.refinement.standing import find_standing
    from prox_spark.tables.store import find_store

    try:
        store = find_store(spark, config.store)
        return config.execution if store is None else find_standing(store, config, refiners)[0].execution
    except _errors():  # The store's own row says why.
        return config.execution


def _self_test(spark: "SparkSession", plan: "StagePlan", execution: ExecutionConfig) -> Check:
    """The model answers, through Spark and its engine, as it does before its first batch."""
    from prox_spark.errors import SelfTestError
    from prox_spark.generation.generate import run_self_test

    name = f"{plan.stage} self-test"
    try:
        run_self_test(spark, plan, execution)
    except SelfTestError as error:
        found = " | ".join(str(error).splitlines())
        return Check(name, "failed", found, "see the self-test in docs/running.md in the repository")
    except _errors() as error:
        return Check(
            name,
            "failed",
            first_line(error),
            "the engine must start where Spark's tasks run: install its package there",
        )
    return Check(name, "ok", "the engine starts, and its answers have an effect")
