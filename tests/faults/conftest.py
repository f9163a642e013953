"""The Spark session and what small corpora are made with; shared with tests/spark."""

from spark_fixtures import configure, empty_store, spark, write_pages

__all__ = ["configure", "empty_store", "spark", "write_pages"]
