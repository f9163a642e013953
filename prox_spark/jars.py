"""Delta's two jars, fetched once into the user's cache, so that later starts need neither network nor resolver."""

import logging
import os
import shutil
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

from prox_spark.errors import ProxSparkError
from prox_spark.spark_api import delta_packages

_log = logging.getLogger(__name__)

# delta-spark depends on jars that Spark already ships, and on a kernel that no command here uses
# (measured with delta-spark 4.4.0 on pip's PySpark 4.1): only its two main jars are needed.
_EXCLUDED = (
    "org.*:*,com.*:*,commons-*:*,jakarta*:*,javax*:*,net.*:*,io.unitycatalog:*,io.airlift:*,io.delta:delta-kernel-api,"
    "io.delta:delta-kernel-defaults,io.delta:delta-kernel-unitycatalog"
)


def cache_folder() -> Path:
    """Location of the jars: ``$XDG_CACHE_HOME/prox_spark/jars``, by default under ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "prox_spark" / "jars"


def delta_jars() -> list[Path]:
    """Paths of the jars that belong to the installed pyspark and delta-spark, fetched on first use by Spark's resolver.

    Raises ``ProxSparkError`` when they are not in the cache and cannot be fetched.
    """
    packages = delta_packages(metadata.version("delta-spark"))
    names = ["{}_{}-{}.jar".format(*package.split(":")) for package in packages]
    folder = cache_folder()
    jars = [folder / name for name in names]
    if not all(jar.is_file() for jar in jars):
        _fetch(packages, names, folder)
    return jars


def _fetch(packages: list[str], names: list[str], folder: Path) -> None:
    import pyspark

    _log.info("fetching Delta's jars (%s) into %s", ", ".join(packages), folder)
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    folder.mkdir(parents=True, exist_ok=True)
    # A scratch folder beside the cache: an incomplete resolver cache is never reused, and a rename publishes complete files.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        script = Path(scratch) / "nothing.py"
        script.write_text("")
        command = [str(submit), "--master", "local[1]", "--packages", ",".join(packages)]
        command += ["--exclude-packages", _EXCLUDED, "--conf", f"spark.jars.ivy={scratch}/ivy", str(script)]
        environment = {k: v for k, v in os.environ.items() if k not in ("SPARK_HOME", "PYSPARK_SUBMIT_ARGS")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)
        fetched = Path(scratch) / "ivy" / "jars"
        missing = [name for name in names if not (fetched / name).is_file()]
        if missing:
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
            raise ProxSparkError(
                f"Delta's jars ({', '.join(packages)}) cannot be downloaded into {folder}: is Maven Central reachable? "
                f"The last output of Spark's resolver:\n{last}"
            )
        for name in names:
            shutil.move(fetched / name, folder / name)
