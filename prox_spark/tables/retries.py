"""Commits that are tried again: after another job's commit, and after an answer that never came."""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from pyspark.errors import AnalysisException

from prox_spark.errors import ProxSparkError, StoreError, first_line, is_conflict, is_passing_conflict

_log = logging.getLogger(__name__)

T = TypeVar("T")

_ATTEMPTS = 5
"""Of a write that meets another job's in between."""


def patiently(write: Callable[[], T]) -> T:
    """Write; again, a few times, where another job's commit came between. Raises ``StoreError`` when one always does."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return write()
        # Raised again, all but one kind, which Spark and the JVM name differently.
        except Exception as error:
            if not is_passing_conflict(error):
                raise
            if attempt == _ATTEMPTS:
                raise StoreError(
                    f"other jobs or programs wrote to the same table each of the {_ATTEMPTS} times that this commit was "
                    "tried; run the command again when they are done"
                ) from error
            time.sleep(random.uniform(0, 0.2 * attempt))
    raise AssertionError("the last attempt returns or raises")


def twice(write: Callable[[], T]) -> T:
    """Write; once more where it fails as a write does whose answer was lost. The second write must change nothing then.

    For commands that name no transaction: the others look for their commit in the table's history.
    """
    try:
        return write()
    except Exception as error:
        # What Spark or this package refuses, it refuses again; conflicts are the caller's.
        if isinstance(error, AnalysisException | ProxSparkError) or is_conflict(error) or is_passing_conflict(error):
            raise
        _log.warning("a command failed and is run again, as its answer alone may be lost: %s", first_line(error))
        return write()
