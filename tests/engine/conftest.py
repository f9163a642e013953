"""The Spark session, for those tests that run an engine under one."""

from spark_fixtures import spark

__all__ = ["spark"]
