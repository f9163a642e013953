"""Rows that several writes need: computed once where Spark may keep them on disk, otherwise computed again for each."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from prox_spark.cleanup import afterwards

_log = logging.getLogger(__name__)


def keep(rows: DataFrame) -> DataFrame | None:
    """The same rows, kept on the executors' disks from their first use until ``unpersist``; None where the platform does not."""
    try:
        return rows.persist(StorageLevel.DISK_ONLY)
    except PySparkException as error:
        if "NOT_SUPPORTED" not in str(error).upper():
            raise
        _log.info("this platform does not let Spark keep rows on disk; they are computed again for each write")
        return None


@contextmanager
def cached(rows: DataFrame) -> Iterator[DataFrame]:
    """The same rows, kept on the executors' disks for the length of the block where the platform allows it.

    Databricks serverless refuses ``persist``; what is kept here may be computed again, with the same
    result but for pages that an HTML parser was given up on (``corpora.extraction_process``).
    """
    kept = keep(rows)
    if kept is None:
        yield rows
        return
    with afterwards(kept.unpersist):
        yield kept
