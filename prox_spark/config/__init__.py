"""Typed configuration: ``load_config`` gives a checked, frozen ``Config``."""

from prox_spark.config.load import load_config
from prox_spark.config.models import Config

__all__ = ["Config", "load_config"]
