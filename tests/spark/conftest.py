"""The Spark session and what small corpora are made with; shared with tests/faults."""

from spark_fixtures import configure, spark, write_pages

__all__ = ["configure", "spark", "write_pages"]
