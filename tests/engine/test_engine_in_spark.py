"""One engine for all tasks of an executor's JVM: it outlives Spark's Python workers and goes with the JVM.

A Spark program of its own, so that its JVM can be killed.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from prox_spark.engines.runtime import Owner, place, start_time, stat_fields
from prox_spark.engines.tiny import build_tiny_model

pytestmark = pytest.mark.engine

PROGRAM = """
import sys
import pyarrow as pa
from pyspark.sql.pandas.types import from_arrow_schema
from prox_spark.config.models import DocumentConfig
from prox_spark.engines.settings import TransformersSettings
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.task import GENERATED, generate_programs
from prox_spark.session import get_session

# Workers that are not reused stand for workers that Spark reaps: the second job runs in new ones.
spark = get_session({"spark.master": "local[2]", "spark.python.worker.reuse": "false"})
plan = plan_stage("document", DocumentConfig(engine=TransformersSettings(kind="transformers", model=sys.argv[1])))
documents = spark.range(40).selectExpr(
    "cast(id as string) doc_id", "'h' content_hash", "0L unit", "concat('page number ', id) text"
)
for _ in range(2):
    programs = documents.repartition(2).mapInArrow(lambda b: generate_programs(b, plan), from_arrow_schema(GENERATED))
    rows = programs.collect()
    print(len({row.doc_id for row in rows}), {row.status for row in rows}, flush=True)
sys.stdin.read()
"""


def test_spark_tasks_share_one_engine_that_goes_with_the_killed_jvm(tmp_path: Path) -> None:
    model = build_tiny_model(tmp_path / "tiny", ["page number one, page number two"])
    command = [sys.executable, "-c", PROGRAM, str(model)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert [program.stdout.readline() for _ in range(2)] == ["40 {'ok'}\n"] * 2
        (jvm,) = [child for child in psutil.Process(program.pid).children(recursive=True) if child.name() == "java"]
        started = start_time(jvm.pid)
        assert started is not None
        where = place(Owner(jvm.pid, started), "cpu")
        servers = processes_about(str(where.base), "prox_spark.engines.server")
        assert len(servers) == 1
        group = os.getpgid(servers[0])
        os.kill(jvm.pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while processes_about(str(where.base), "prox_spark.engines") or members(group):
            assert time.monotonic() < deadline, "the engine outlives its JVM"
            time.sleep(0.05)
        program.kill()
    assert not where.socket.exists()


def processes_about(*words: str) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if process.info["status"] != psutil.STATUS_ZOMBIE and all(word in line for word in words):
            found.append(process.pid)
    return found


def members(group: int) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if (f := stat_fields(pid)) and f[0] not in "ZX" and f[2] == str(group)]
