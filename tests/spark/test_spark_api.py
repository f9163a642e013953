"""What older versions of Spark lack gives the same here: each substitute is run on this one, too."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from prox_spark import spark_api
from prox_spark.config import load_config
from prox_spark.functions import apply_program, generate_programs


@pytest.mark.parametrize("count", [1, 7, 40])
def test_a_salt_puts_each_row_into_the_partition_that_it_names(spark: Any, count: int) -> None:
    rows = spark.range(200).select((F.col("id") % count).alias("shard"), "id")
    placed = spark_api._repartition_by_salt(rows, count, "shard")
    assert placed.columns == ["shard", "id"]
    found = placed.select("shard", F.spark_partition_id().alias("partition")).distinct().collect()
    assert sorted((row.shard, row.partition) for row in found) == [(one, one) for one in range(count)]


@pytest.mark.skipif(
    spark_api.spark_version() == "4.2", reason="PySpark 4.2 needs a time zone here that 3.5 does not accept"
)
def test_tables_of_arrow_come_and_go(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_api, "_SINCE_4", False)
    moment = datetime(2026, 11, 29, 12, 30, tzinfo=UTC)
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("names", pa.map_(pa.string(), pa.string())),
            ("scores", pa.list_(pa.float32())),
            ("made_at", pa.timestamp("us", "UTC")),
        ]
    )
    rows = [
        {"id": 1, "names": [("a", "b")], "scores": [0.5, None], "made_at": moment},
        {"id": None, "names": None, "scores": None, "made_at": None},
    ]
    table = pa.Table.from_pylist(rows, schema)
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        again = spark_api.to_arrow(spark_api.from_arrow(spark, table))
        none = spark_api.to_arrow(spark_api.from_arrow(spark, table).where("id > 5"))
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    assert again.to_pylist() == rows
    assert none.num_rows == 0


def test_functions_of_arrow_arrays_work_on_series_too(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(None, ["store=unused", "document=null", "chunk.engine.kind=rules"])
    pages = spark.createDataFrame(
        [("Log in | Register\nThe mill stands still, and the tide turns twice a day.",), (None,)], "text string"
    )

    def refined() -> list[Any]:
        programs = pages.select("text", generate_programs(config)("text").alias("programs"))
        given = apply_program("text", F.lit("remove_lines(0, 0)"), min_words=0, max_removed_share=1.0)
        return [tuple(row) for row in programs.select(apply_program("text", "programs"), given).collect()]

    expected = refined()
    monkeypatch.delattr(F, "arrow_udf", raising=False)
    assert refined() == expected
    assert expected[0][0] == "The mill stands still, and the tide turns twice a day."


def test_conditions_and_settings_have_names(spark: Any) -> None:
    with pytest.raises(AnalysisException) as raised:
        spark.table("nowhere")
    assert spark_api.condition(raised.value) == "TABLE_OR_VIEW_NOT_FOUND"
    assert spark_api.all_settings(spark)["spark.sql.session.timeZone"] == "UTC"


@pytest.mark.parametrize(
    ("spark_version", "delta", "package"),
    [
        ("3.5.9", "3.3.3", "io.delta:delta-spark_2.12:3.3.3"),
        ("4.0.5", "4.0.1", "io.delta:delta-spark_2.13:4.0.1"),
        ("4.1.4", "4.4.0", "io.delta:delta-spark_4.1_2.13:4.4.0"),
        ("4.2.0", "4.4.0", "io.delta:delta-spark_4.2_2.13:4.4.0"),
    ],
)
def test_delta_is_named_by_the_versions_of_both(
    monkeypatch: pytest.MonkeyPatch, spark_version: str, delta: str, package: str
) -> None:
    monkeypatch.setattr("pyspark.__version__", spark_version)
    assert spark_api.delta_packages(delta) == [package, f"io.delta:delta-storage:{delta}"]


def test_jobs_of_another_thread_are_stopped_by_their_tag(spark: Any) -> None:
    began = threading.Event()

    def endless() -> None:
        spark_api.add_tag(spark, "endless")
        began.set()
        spark.range(10**13).selectExpr("sum(id % 7)").collect()

    with ThreadPoolExecutor(max_workers=1) as pool:
        running = pool.submit(endless)
        began.wait()
        while not running.done():
            # A job that begins after the first call is stopped by the next.
            spark_api.stop_tagged(spark, "endless")
            time.sleep(0.1)
    with pytest.raises(Exception, match=r"cancel"):
        running.result()
