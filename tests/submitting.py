"""``spark-submit`` of pip's PySpark as a cluster's: Delta is the cluster's own, the job brings none of its settings."""

import os
import sys
from pathlib import Path

import pyspark

from prox_spark.jars import delta_jars
from prox_spark.session import DELTA

ROOT = Path(__file__).resolve().parent.parent


def submit(verb: str) -> list[str]:
    """The command for ``jobs/VERB.py`` on two cores of this machine; the verb's arguments follow."""
    return [*command("local[2]", {"spark.sql.shuffle.partitions": "2"}), str(ROOT / "jobs" / f"{verb}.py")]


def command(master: str, settings: dict[str, str]) -> list[str]:
    """``spark-submit`` with Delta and these properties; what is submitted follows."""
    settings = {**DELTA, "spark.ui.enabled": "false", **settings}
    words = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", master]
    words += ["--jars", ",".join(map(str, delta_jars()))]
    return [*words, *(word for key, value in settings.items() for word in ("--conf", f"{key}={value}"))]


def environment() -> dict[str, str]:
    """This process's environment without what its own Spark session left there."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("PYSPARK_", "SPARK_"))}
    return own | {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
