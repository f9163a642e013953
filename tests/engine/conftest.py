"""The Spark session, for those tests that run an engine under one; after every test no engine may be left behind."""

from process_fixtures import no_orphans
from spark_fixtures import spark

__all__ = ["no_orphans", "spark"]
