"""``spark-submit`` of pip's PySpark as a cluster's: Delta is the cluster's own, the job brings none of its settings."""

import os
import sys
from pathlib import Path

import pyspark

from prox_spark.jars import delta_jars
from prox_spark.session import DELTA

ROOT = Path(__file__).resolve().parent.parent


def submit(verb: str) -> list[str]:
    """The command for ``jobs/VERB.py``; the verb's arguments follow."""
    settings = {**DELTA, "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2"}
    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", "local[2]"]
    command += ["--jars", ",".join(map(str, delta_jars()))]
    command += [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    return [*command, str(ROOT / "jobs" / f"{verb}.py")]


def environment() -> dict[str, str]:
    """This process's environment without what its own Spark session left there."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("PYSPARK_", "SPARK_"))}
    return own | {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
