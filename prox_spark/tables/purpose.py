"""What a commit says of itself in the table's history, and session settings for the length of a block."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import SparkSession

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
"""Session setting with the ``userMetadata`` of commands that take no options, such as OPTIMIZE and ALTER TABLE."""


@dataclass(frozen=True)
class Purpose:
    """What a commit belongs to; stands as JSON in the table's history."""

    verb: str
    refinement: str | None = None
    version: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further keys, for JSON."""

    def metadata(self, **more: str | int) -> str:
        """The JSON for ``userMetadata``, with further keys."""
        own = {"verb": self.verb, "refinement": self.refinement, "version": self.version}
        return json.dumps({**self.details, **own, **more}, sort_keys=True)


_SETTINGS = threading.RLock()


@contextmanager
def session_settings(spark: SparkSession, settings: dict[str, str]) -> Iterator[None]:
    """The session with these settings for the length of the block; one thread at a time, as they are the whole session's."""
    with _SETTINGS:
        yield from _settings(spark, settings)


def _settings(spark: SparkSession, settings: dict[str, str]) -> Iterator[None]:
    for key, value in settings.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key in settings:
            spark.conf.unset(key)
