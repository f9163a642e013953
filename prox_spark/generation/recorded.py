"""Which refiner a fingerprint stands for, in the table ``refiners``: written with its first programs, read by execution."""

from datetime import UTC, datetime

from pyspark.sql import Row
from pyspark.sql import functions as F

from prox_spark import __version__
from prox_spark.generation.plan import StageConfig, StagePlan, asked_for
from prox_spark.generation.refiner import RefinerId, Stage, definition
from prox_spark.tables.commits import commit
from prox_spark.tables.leases import Lease
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.store import Store, spark_schema


def find_refiner(store: Store, stage: Stage, asked: str) -> RefinerId | None:
    """The newest refiner that wrote programs of ``stage`` for settings that asked the same (``plan.asked_for``)."""
    row = _newest(store, stage, asked)
    return None if row is None else RefinerId(stage, row["name"], row["refiner"], row["numbering"])


def record_refiner(store: Store, lease: Lease, plan: StagePlan, section: StageConfig) -> None:
    """Write down what the stage's refiner is, unless the table says so already."""
    asked = asked_for(section)
    newest = _newest(store, plan.stage, asked)
    if newest is not None and newest["refiner"] == plan.fingerprint:
        return
    row = {
        "refiner": plan.fingerprint,
        "stage": plan.stage,
        "name": plan.refiner.name,
        "engine": plan.settings.kind,
        "numbering": plan.refiner.numbering,
        "asked": asked,
        "definition": definition(plan.refiner),
        "package_version": __version__,
        "created_at": datetime.now(UTC),
    }
    schema = spark_schema("refiners")
    rows = store.spark.createDataFrame([tuple(row[name] for name in schema.names)], schema)
    commit(store, lease, "refiners", rows, Purpose(f"generate {plan.stage}"))


def _newest(store: Store, stage: Stage, asked: str) -> Row | None:
    same = (F.col("stage") == stage) & (F.col("asked") == asked)
    row: Row | None = store.read("refiners").where(same).orderBy(F.desc("created_at")).first()
    return row
