"""Who may write to a store on S3: judged from its location and Spark's properties alone, before anything is written."""

import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.errors import AnalysisException

from prox_spark.config import load_config
from prox_spark.errors import ConfigError
from prox_spark.tables.leases import hold
from prox_spark.tables.store import Store, check_writers, create_store
from prox_spark.tables.writers import ONE_DRIVER, why_not_several

DYNAMO = "io.delta.storage.S3DynamoDBLogStore"
SINGLE = "io.delta.storage.S3SingleDriverLogStore"


def why(location: str, settings: dict[str, str], **environment: str) -> str | None:
    return why_not_several(location, lambda key: settings.get(key, ""), environment)


@pytest.mark.parametrize("scheme", ["s3", "s3a", "s3n", "S3A"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"spark.delta.logStore.s3.impl": SINGLE, "spark.delta.logStore.s3a.impl": SINGLE},
        {"spark.delta.logStore.class": "org.apache.spark.sql.delta.storage.S3SingleDriverLogStore"},
        {"spark.delta.logStore.class": "io.delta.storage.HDFSLogStore"},
        {"spark.delta.logStore.gs.impl": DYNAMO},
        {ONE_DRIVER: "false"},
    ],
)
def test_s3_without_a_log_store_for_several_writers_is_refused_in_one_line(
    scheme: str, settings: dict[str, str]
) -> None:
    said = why(f"{scheme}://bucket/store", settings)
    assert said is not None
    assert "\n" not in said
    assert f"set the Spark property spark.delta.logStore.{scheme.lower()}.impl={DYNAMO}" in said
    assert f"or {ONE_DRIVER}=true if only one job at a time writes" in said


@pytest.mark.parametrize(
    ("location", "settings"),
    [
        ("s3a://b/s", {"spark.delta.logStore.s3a.impl": DYNAMO}),
        ("s3://b/s", {"spark.delta.logStore.s3.impl": DYNAMO}),
        ("s3://b/s", {"spark.delta.logStore.class": DYNAMO}),
        ("s3a://b/s", {"spark.delta.logStore.s3a.impl": "io.delta.storage.S3LogStore"}),
        ("s3a://b/s", {"spark.delta.logStore.s3a.impl": "com.example.OurLogStore"}),
        ("s3a://b/s", {ONE_DRIVER: "true"}),
        ("s3a://b/s", {ONE_DRIVER: "True"}),
        ("s3://b/s", {"spark.databricks.clusterUsageTags.sparkVersion": "18.x-scala2.13"}),
        ("/data/s3/store", {}),
        ("hdfs://host/s", {}),
        ("abfss://c@a/s", {}),
        ("gs://b/s", {}),
        ("dbfs:/s", {}),
        ("", {}),
    ],
)
def test_what_orders_commits_or_is_said_to_need_no_order_is_taken(location: str, settings: dict[str, str]) -> None:
    assert why(location, settings) is None


def test_a_cluster_of_databricks_orders_its_commits() -> None:
    assert why("s3://b/s", {}, DATABRICKS_RUNTIME_VERSION="18.0") is None


class FakeSpark:
    """A session that has properties, no table, and a catalog whose schemas are on S3."""

    def __init__(self, **settings: str) -> None:
        self.conf = SimpleNamespace(get=lambda key, default: settings.get(key, default))
        self.asked: list[str] = []

    def sql(self, query: str) -> Any:
        self.asked.append(query)
        if query.startswith("DESCRIBE SCHEMA EXTENDED `lake`."):
            rows = [("Catalog Name", "lake"), ("Location", "s3://warehouse/corpus.db")]
            return SimpleNamespace(collect=lambda: rows)
        if query.startswith("CREATE SCHEMA"):
            return None
        raise AnalysisException("[PATH_NOT_FOUND] no such table")


@pytest.mark.parametrize("location", ["s3a://bucket/store", "lake.corpus"])
def test_a_lease_and_a_new_store_are_refused_before_anything_is_written(location: str) -> None:
    spark: Any = FakeSpark()
    store = Store(spark, location, is_catalog="://" not in location)
    with pytest.raises(ConfigError, match="safe for one driver only"), hold(store, "execute"):
        pytest.fail("a lease was given")
    with pytest.raises(ConfigError, match="safe for one driver only"):
        create_store(spark, location)
    assert not any(re.match("INSERT|ALTER|CREATE TABLE|MERGE", query) for query in spark.asked)


def test_a_catalog_that_does_not_tell_its_location_is_not_refused() -> None:
    check_writers(Store(FakeSpark(), "other.corpus", is_catalog=True))  # type: ignore[arg-type]


def test_doctor_says_the_same() -> None:
    from prox_spark.doctor import examine

    checked = sys.modules[examine.__module__]._store(FakeSpark(), load_config(None, ["store=s3a://bucket/store"]))
    assert checked.status == "failed"
    assert checked.found == why("s3a://bucket/store", {})
    assert checked.advice == "until then, verbs that write to the store are refused"
