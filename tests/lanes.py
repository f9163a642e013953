"""Environments with the other supported versions of Spark, as ``scripts/lane.sh`` makes them, and steps that run in one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from submitting import ROOT, environment

from prox_spark.spark_api import spark_version
from prox_spark.supported import SPARKS

FOLDER = Path(os.environ.get("PROX_SPARK_LANES") or ROOT)
"""Where the environments are: beside this checkout's ``.venv`` unless PROX_SPARK_LANES names another folder."""


def lanes() -> dict[str, Path]:
    """The Python of each version of Spark that is installed here, this process's own among them."""
    found = {spark: FOLDER / f".venv-spark-{spark}" / "bin" / "python" for spark in SPARKS}
    found[spark_version()] = Path(sys.executable)
    return {spark: python for spark, python in found.items() if python.is_file()}


def missing(spark: str) -> str:
    """Why a test of this version is skipped."""
    return f"no environment with Spark {spark} in {FOLDER}: bash scripts/lane.sh {spark} makes one"


def steps(python: Path, folder: Path, *wanted: dict[str, Any], timeout: float = 800, **more: str) -> list[Any]:
    """The answers of ``lane_steps`` in an interpreter, by a process in ``folder`` whose environment has ``more``."""
    answers = folder / "answers.json"
    # An environment made for another checkout runs this one's package.
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    own = environment() | {"PYSPARK_PYTHON": str(python), "PYSPARK_DRIVER_PYTHON": str(python), "PYTHONPATH": paths}
    ended = subprocess.run(
        [str(python), str(ROOT / "tests" / "lane_steps.py"), str(answers)],
        input=json.dumps(wanted),
        env=own | more,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
    found: list[Any] = json.loads(answers.read_text())
    for step, answer in zip(wanted, found, strict=True):
        print(step, answer if "run" in step else "")
    return found
