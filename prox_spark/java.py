"""The Java that Spark would start."""

import os
import re
import shutil
import subprocess

from prox_spark.errors import ProxSparkError
from prox_spark.suggest import either
from prox_spark.supported import JAVA


def java_version() -> int | None:
    """Major version of the Java that Spark would start, or None if there is none."""
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else shutil.which("java")
    if not java:
        return None
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found.group(1)) if found else None


def check_java() -> None:
    """Raise ``ProxSparkError`` unless there is a supported Java."""
    version = java_version()
    if version is None:
        raise ProxSparkError(
            f"Java is missing: install Java {either(JAVA)} (Debian: openjdk-17-jre-headless) or set JAVA_HOME"
        )
    if version not in JAVA:
        raise ProxSparkError(f"Java {version} is not supported: install Java {either(JAVA)}, or set JAVA_HOME to it")
