"""Rows that several writes need: computed once where Spark may keep them on disk, otherwise computed again for each."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

_log = logging.getLogger(__name__)


@contextmanager
def cached(rows: DataFrame) -> Iterator[DataFrame]:
    """The same rows, kept on the executors' disks for the length of the block where the platform allows it.

    Databricks serverless refuses ``persist``; everything that is kept here is deterministic and may be computed again.
    """
    try:
        held = rows.persist(StorageLevel.DISK_ONLY)
    except PySparkException as error:
        if "NOT_SUPPORTED" not in str(error).upper():
            raise
        _log.info("this platform does not let Spark keep rows on disk; they are computed again for each write")
        yield rows
        return
    try:
        yield held
    finally:
        held.unpersist()
