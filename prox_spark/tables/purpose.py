"""What a commit says of itself in the table's history, and session settings for the length of a block."""

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from prox_spark.cleanup import afterwards
from prox_spark.errors import StoreError

_log = logging.getLogger(__name__)

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
"""Session setting with the ``userMetadata`` of commands that take no options, such as OPTIMIZE and ALTER TABLE."""

TRANSACTION = ("spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion", USER_METADATA)
"""Session settings that give one MERGE or DELETE its transaction, which fences off other jobs."""

ERASING = {
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
    # One by one, the driver alone would need days for millions of files.
    "spark.databricks.delta.vacuum.parallelDelete.enabled": "true",
}
"""Session settings of a VACUUM that leaves no older version."""


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
def session_settings(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """The session with these settings for the length of the block; one thread at a time, as they are the whole session's.

    Raises ``StoreError`` where Spark lets no session have one of them, as on Databricks outside of dedicated access mode.
    """
    with _SETTINGS, ExitStack() as stack:
        for key, value in settings.items():
            try:
                spark.conf.set(key, value)
            except PySparkException as error:
                if "CONFIG_NOT_AVAILABLE" not in str(error):
                    raise
                raise StoreError(
                    f"this needs the session setting {key}, which Spark refuses here: run it on a classic cluster (Databricks: "
                    "dedicated access mode; docs/platforms.md in the repository lists what needs which setting)"
                ) from None
            stack.enter_context(afterwards(partial(spark.conf.unset, key)))
        yield


def check_transactions(spark: SparkSession, *, erase: bool = False) -> None:
    """Raise ``StoreError`` where a session may not have the settings of MERGE and DELETE, and with ``erase`` of VACUUM.

    To be asked before anything is written.
    """
    with session_settings(spark, dict.fromkeys(TRANSACTION, "0") | (ERASING if erase else {})):
        pass


@contextmanager
def labelled(spark: SparkSession, purpose: Purpose) -> Iterator[None]:
    """Commands of the block that take no options carry the purpose in the history, where a session may have it set.

    For OPTIMIZE, RESTORE and ALTER TABLE, which are known by their names: without the label, only a commit whose answer was lost
    is not found again.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(session_settings(spark, {USER_METADATA: purpose.metadata()}))
        except StoreError as error:
            _log.debug("no label in the history: %s", error)
        yield
