"""The ``prox-spark`` command. ``jobs/*.py`` call the same ``main``."""

from prox_spark.cli.main import main

__all__ = ["main"]
