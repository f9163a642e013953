"""Tasks of a stage with a model share a GPU of their executor: on a standalone cluster, and through Spark Connect.

No GPU is behind it: a discovery script names one. Slow: a master, two workers and an executor, or a Connect server. It holds with
each version of Spark, run by that version's Python: ``.venv-spark-3.5/bin/python -m pytest tests/clusters/test_gpu_share.py``.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster_processes import connect_server, environment, fake_gpu, remote, standalone
from submitting import ROOT, command

from prox_spark.generation.scheduling import TASKS_PER_GPU
from prox_spark.spark_api import takes_profiles

pytestmark = pytest.mark.slow

CORES = 6

PROBE = """
import json, sys, time, uuid
from pathlib import Path

from prox_spark.generation.scheduling import TASKS_PER_GPU, share_advice, stage_profile, why_not
from prox_spark.session import get_session

running = Path(sys.argv[1])

def together(batches):
    import pyarrow as pa
    from pyspark import TaskContext
    gpus = TaskContext.get().resources()["gpu"].addresses
    own = running / uuid.uuid4().hex
    own.touch()
    deadline, most = time.monotonic() + 60, 0
    while most < TASKS_PER_GPU and time.monotonic() < deadline:
        most = max(most, len(list(running.iterdir())))
        time.sleep(0.05)
    own.unlink()
    for batch in batches:
        yield pa.RecordBatch.from_pydict({"gpu": [",".join(gpus)], "most": [most]})

spark = get_session()
profile = stage_profile(spark)
more = {} if profile is None else {"profile": profile}
rows = spark.range(0, 8, 1, 8).mapInArrow(together, "gpu string, most long", **more)
found = {"tasks": [list(row) for row in rows.collect()], "not": why_not(spark), "advice": share_advice(spark)}
# A stage without a model needs no GPU, and uses all cores where a share is the stage's own.
print(json.dumps(found | {"plain": spark.range(0, 8, 1, 8).count()}))
"""
"""Eight tasks, each of which waits until it has seen four at once: how many did it see, and which GPU was it given?"""


def settings(gpu: dict[str, str], who: str) -> dict[str, str]:
    return {key: value for key, value in gpu.items() if key.startswith(f"spark.{who}.")}


def application(gpu: dict[str, str]) -> dict[str, str]:
    """Properties of the application: one executor, and the tasks' share where stages have none."""
    share = {} if takes_profiles() else {"spark.task.resource.gpu.amount": str(1 / TASKS_PER_GPU)}
    return {
        **settings(gpu, "executor"),
        **share,
        "spark.executor.cores": str(CORES),
        "spark.cores.max": str(CORES),
        "spark.executor.memory": "800m",
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
    }


def probed(words: list[str], folder: Path, own: dict[str, str]) -> dict[str, Any]:
    (folder / "running").mkdir()
    (folder / "probe.py").write_text(PROBE)
    command = [*words, str(folder / "probe.py"), str(folder / "running")]
    ended = subprocess.run(command, env=own, cwd=folder, capture_output=True, text=True, check=False, timeout=400)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer


SHARED = {"tasks": [["0", TASKS_PER_GPU]] * 8, "not": [], "advice": "", "plain": 8}


def test_four_tasks_share_an_executors_gpu_on_a_standalone_cluster(tmp_path: Path) -> None:
    gpu = fake_gpu(tmp_path)
    own = environment(tmp_path / "driver") | {"PYTHONPATH": str(ROOT)}
    with standalone(tmp_path, settings(gpu, "worker"), cores=CORES) as url:
        more = {"spark.executorEnv.PYTHONPATH": str(ROOT)}
        assert probed(command(url, application(gpu) | more), tmp_path, own) == SHARED


@pytest.mark.skipif(not takes_profiles(), reason="Spark 3.5 has no profiles, and Connect on 3.5 is not supported")
def test_four_tasks_share_an_executors_gpu_through_spark_connect(tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="this environment has no client of Spark Connect")
    gpu = fake_gpu(tmp_path)
    more = application(gpu) | settings(gpu, "worker")
    home = environment(tmp_path / "server")
    with connect_server(tmp_path, f"local-cluster[1,{CORES},1024]", more, SPARK_HOME=home["SPARK_HOME"]) as url:
        assert probed([sys.executable], tmp_path, remote(url) | {"PYTHONPATH": str(ROOT)}) == SHARED
