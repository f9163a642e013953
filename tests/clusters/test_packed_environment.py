"""The environment that ``conf/emr/pack.sh`` packs starts where there is only Java and Spark: doctor, a corpus refined by rules.

The driver runs it unpacked in an empty folder; executors unpack their own, as on a cluster. Slow: the package and all that it
needs are installed and packed, and Spark starts a cluster twice.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster_processes import environment
from same_rows import keys, write_corpus
from submitting import ROOT
from wheel_of_checkout import UV

from prox_spark.jars import delta_jars
from prox_spark.session import DELTA

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

COPYING_UV = f"""#!/usr/bin/env bash
# uv itself, but a Python that cannot be downloaded becomes a copy of this one.
"{UV}" "$@" && exit
[ "$1 $2" = "python install" ] || exit 1
while [ "$1" != --install-dir ]; do shift; done
mkdir -p "$2/copy/lib/python3.11/site-packages"
tar -C "{sys.base_prefix}" --exclude=site-packages --exclude=./lib/python3.11/test --exclude=__pycache__ -cf - . |
    tar -C "$2/copy" -xf -
"""

Submit = Callable[..., Any]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``pack.sh cpu`` makes from a copy of this checkout."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the environment has Python 3.11, which may have to be a copy of this one")
    folder = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("conf", "jobs", "prox_spark"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "bin").mkdir()
    (folder / "bin" / "uv").write_text(COPYING_UV)
    (folder / "bin" / "uv").chmod(0o755)
    own = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    command = ["bash", str(folder / "conf/emr/pack.sh"), "cpu"]
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "build" / "emr"


@pytest.fixture(scope="module")
def submit(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Submit:
    """What a verb prints as JSON, submitted with the packed environment and nothing else of this machine's Python."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "environment").mkdir()
    subprocess.run(["tar", "-xzf", packed / "environment-cpu.tar.gz", "-C", folder / "environment"], check=True)
    spark = environment(folder / "spark")["SPARK_HOME"]
    java = Path(shutil.which("java", path=f"{os.environ.get('JAVA_HOME', '')}/bin:{os.environ['PATH']}") or "java")
    own = {
        "PATH": f"{java.parent}:/usr/bin:/bin",
        "HOME": str(folder),
        "SPARK_HOME": spark,
        "SPARK_LOCAL_IP": "127.0.0.1",
        **({"JAVA_HOME": os.environ["JAVA_HOME"]} if "JAVA_HOME" in os.environ else {}),
    }
    settings = {
        **DELTA,
        "spark.pyspark.driver.python": str(folder / "environment" / "bin" / "python3"),
        "spark.pyspark.python": "./environment/bin/python3",
        "spark.executor.memory": "800m",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.ui.enabled": "false",
    }
    words = [f"{spark}/bin/spark-submit", "--master", "local-cluster[1,2,1024]"]
    words += ["--archives", f"{packed}/environment-cpu.tar.gz#environment", "--jars", ",".join(map(str, delta_jars()))]
    words += [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]

    def answer(verb: str, *arguments: str) -> Any:
        command = [*words, str(packed / "jobs" / f"{verb}.py"), *arguments]
        done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False, timeout=900)
        assert done.returncode == 0 or verb == "doctor", done.stdout + done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return answer


def test_doctor_finds_the_packed_python(submit: Submit) -> None:
    checks = {check["name"]: check for check in submit("doctor", "--output", "json")["checks"]}
    assert checks["python"]["status"] == "ok"
    assert "/environment" in checks["python"]["found"]
    assert checks["session"]["status"] == "ok"
    assert checks["vllm"]["found"] == "not installed"


def test_a_corpus_is_refined_by_rules(submit: Submit, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, files=2, pages=10)
    done = submit("refine", *keys(tmp_path / "store", corpus))
    assert done["new"]
    assert done["counts"]["refined"] > 10
