"""Which refiner a fingerprint stands for, in the table ``refiners``: written with its first programs, read by execution."""

import json
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, Row
from pyspark.sql import functions as F

from prox_spark import __version__
from prox_spark.generation.plan import SECTIONS, StageConfig, StagePlan, asked_for
from prox_spark.generation.refiner import RefinerId, Stage, definition
from prox_spark.tables.commits import commit
from prox_spark.tables.leases import Lease
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.refinements import ORDER
from prox_spark.tables.store import Store, spark_schema
from prox_spark.tables.times import utc

_LOOKED_AT = 100
"""Refinement versions, newest first, whose configuration is compared."""


def find_refiner(store: Store, refinement: str | None, stage: Stage, asked: str) -> RefinerId | None:
    """The refiner of ``stage`` that the store knows for settings that asked the same (``plan.asked_for``).

    That of the newest version of ``refinement`` (a name, or null), else the newest in ``refiners``, else that of the newest
    refinement whose configuration asked the same: packages before layout 3 wrote no ``refiners``.
    """
    named = _refined_with(store, stage, asked, F.col("refinement") == refinement) if refinement else None
    if named is not None:
        return named
    row = _newest(store, stage, asked)
    if row is not None:
        return RefinerId(stage, row["name"], row["refiner"], row["numbering"])
    return _refined_with(store, stage, asked, F.lit(True))


def _refined_with(store: Store, stage: Stage, asked: str, which: Column) -> RefinerId | None:
    rows = store.read("refinements").where(which & F.col(f"{stage}_refiner").isNotNull())
    columns = ("configuration", f"{stage}_refiner")
    for row in rows.orderBy(*map(F.desc, ORDER)).limit(_LOOKED_AT).select(*columns).collect():
        try:
            section = SECTIONS[stage].model_validate(json.loads(row["configuration"])[stage])
        except (ValueError, KeyError):
            # Another package's configuration, with keys that this one does not have.
            continue
        if asked_for(section) == asked:
            return RefinerId(stage, str(section.engine.kind), row[f"{stage}_refiner"])
    return None


def record_refiner(store: Store, lease: Lease, plan: StagePlan, section: StageConfig) -> None:
    """Write down what the stage's refiner is, unless the table says so already."""
    asked = asked_for(section)
    newest = _newest(store, plan.stage, asked)
    if newest is not None and newest["refiner"] == plan.fingerprint:
        return
    created_at = datetime.now(UTC)
    if newest is not None:
        # After the row that it follows, whatever this host's clock says.
        created_at = max(created_at, utc(newest["created_at"]) + timedelta(microseconds=1))
    row = {
        "refiner": plan.fingerprint,
        "stage": plan.stage,
        "name": plan.refiner.name,
        "engine": plan.settings.kind,
        "numbering": plan.refiner.numbering,
        "asked": asked,
        "definition": definition(plan.refiner),
        "package_version": __version__,
        "created_at": created_at,
    }
    schema = spark_schema("refiners")
    rows = store.spark.createDataFrame([tuple(row[name] for name in schema.names)], schema)
    commit(store, lease, "refiners", rows, Purpose(f"generate {plan.stage}"))


def _newest(store: Store, stage: Stage, asked: str) -> Row | None:
    same = (F.col("stage") == stage) & (F.col("asked") == asked)
    row: Row | None = store.read("refiners").where(same).orderBy(F.desc("created_at")).first()
    return row
