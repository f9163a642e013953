"""Whether several drivers may write to a store: Delta on S3 needs a log store that lets only one of two equal commits win.

Every promise about two jobs rests on that. Delta's default for S3 only orders the commits of one driver: of two jobs at once,
one overwrites the other's commit, leases and all, and neither notices.
"""

import os
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

ONE_DRIVER = "spark.prox_spark.oneDriver"
"""A property of Spark: ``true`` says that only one job at a time ever writes to the store."""

_S3 = ("s3", "s3a", "s3n")
_DELTAS = ("io.delta.storage.", "org.apache.spark.sql.delta.storage.")
# The second writes with conditions, which S3 has had since 2024. No release of Delta has it yet.
_FOR_SEVERAL = ("io.delta.storage.S3DynamoDBLogStore", "io.delta.storage.S3LogStore")
# Databricks coordinates commits to S3 itself. The property is for clients whose driver is elsewhere.
_DATABRICKS_VARIABLE = "DATABRICKS_RUNTIME_VERSION"
_DATABRICKS_PROPERTY = "spark.databricks.clusterUsageTags.sparkVersion"


def why_not_several(
    location: str, setting: Callable[[str], str], environment: Mapping[str, str] = os.environ
) -> str | None:
    """Why a writing job is refused at ``location``, in one line that says what to set; ``None`` where it may write.

    ``setting`` gives a property of Spark, empty where it is not set. A log store of the user's own is trusted.

    >>> why_not_several("hdfs://host/store", lambda key: "") is None
    True
    """
    scheme = urlsplit(location).scheme.lower()
    if scheme not in _S3 or setting(ONE_DRIVER).lower() == "true":
        return None
    if _DATABRICKS_VARIABLE in environment or setting(_DATABRICKS_PROPERTY):
        return None
    key = f"spark.delta.logStore.{scheme}.impl"
    chosen = setting(key) or setting("spark.delta.logStore.class")
    if chosen in _FOR_SEVERAL or (chosen and not chosen.startswith(_DELTAS)):
        return None
    return (
        f"{location}: Delta's log store for S3 is safe for one driver only, and jobs that write at the same time lose "
        f"commits: set the Spark property {key}={_FOR_SEVERAL[0]} and its DynamoDB table (docs/emr.md), or {ONE_DRIVER}=true if "
        f"only one job at a time writes to this store (on the command line of prox-spark: spark.{ONE_DRIVER}=true)"
    )
