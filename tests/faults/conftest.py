"""The Spark session and what small corpora are made with, shared with tests/spark; after every test no engine is left.

A test that hangs fails at its deadline with the stacks of everything that it started.
"""

from process_fixtures import no_orphans
from spark_fixtures import configure, empty_store, spark, write_pages
from stacks import pytest_timeout_cancel_timer, pytest_timeout_set_timer

__all__ = [
    "configure",
    "empty_store",
    "no_orphans",
    "pytest_timeout_cancel_timer",
    "pytest_timeout_set_timer",
    "spark",
    "write_pages",
]
