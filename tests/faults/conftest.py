"""The Spark session and what small corpora are made with, shared with tests/spark; after every test no engine is left."""

from process_fixtures import no_orphans
from spark_fixtures import configure, empty_store, spark, write_pages

__all__ = ["configure", "empty_store", "no_orphans", "spark", "write_pages"]
