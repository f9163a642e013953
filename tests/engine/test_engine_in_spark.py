"""One engine for all tasks of an executor's JVM: it outlives Spark's Python workers and goes with the JVM.

A Spark program of its own, so that its JVM can be killed. Slow: each test starts Spark and an engine again, and where Spark has
to reap its workers that takes a minute of idling, and the gap that an engine must outlive is two.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from processes import ENGINE, ended, engines_of, members, processes_about, python_workers, wait_for

from prox_spark.engines.supervised.place import place
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.processes import Owner, start_time

pytestmark = [pytest.mark.engine, pytest.mark.slow]

GAP_SECONDS = 120.0

PROGRAM = """
import sys
import pyarrow as pa
from pyspark.sql.pandas.types import from_arrow_schema
from prox_spark.config.models import DocumentConfig
from prox_spark.config.engines import TransformersSettings
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.task import GENERATED, generate_programs
from prox_spark.session import get_session

spark = get_session({"spark.master": "local[2]", "spark.python.worker.reuse": sys.argv[2]})
plan = plan_stage("document", DocumentConfig(engine=TransformersSettings(kind="transformers", model=sys.argv[1])))
documents = spark.range(40).selectExpr(
    "cast(id as string) doc_id", "'h' content_hash", "0L unit", "concat('page number ', id) text"
)
for _ in range(2):
    programs = documents.repartition(2).mapInArrow(lambda b: generate_programs(b, plan), from_arrow_schema(GENERATED))
    rows = programs.collect()
    print(len({row.doc_id for row in rows}), {row.status for row in rows}, flush=True)
    sys.stdin.readline()
"""


@contextmanager
def running(folder: Path, reuse: str) -> Iterator[tuple["subprocess.Popen[str]", psutil.Process]]:
    """The program after its first job, and its JVM; the program goes on with its second when it is sent a line."""
    model = build_tiny_model(folder / "tiny", ["page number one, page number two"])
    command = [sys.executable, "-c", PROGRAM, str(model), reuse]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "40 {'ok'}\n"
        (jvm,) = [child for child in psutil.Process(program.pid).children(recursive=True) if child.name() == "java"]
        try:
            yield program, jvm
        finally:
            program.kill()


def go_on(program: "subprocess.Popen[str]") -> None:
    """Let the program run its second job."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("\n")
    program.stdin.flush()
    assert program.stdout.readline() == "40 {'ok'}\n"


def test_spark_tasks_share_one_engine_that_goes_with_the_killed_jvm(tmp_path: Path) -> None:
    # Workers that are not reused: the second job runs in new ones.
    with running(tmp_path, "false") as (program, jvm):
        go_on(program)
        started = start_time(jvm.pid)
        assert started is not None
        where = place(Owner(jvm.pid, started), "cpu")
        (server,) = [process.pid for process in processes_about(str(where.base), ENGINE)]
        group = os.getpgid(server)
        os.kill(jvm.pid, signal.SIGKILL)
        wait_for(
            lambda: not processes_about(str(where.base), "prox_spark.engines") and not members(group),
            "the engine goes with its JVM",
        )
    assert not where.socket.exists()


def test_an_engine_outlives_a_gap_of_two_minutes_in_which_spark_reaps_its_workers(tmp_path: Path) -> None:
    with running(tmp_path, "true") as (program, jvm):
        began = time.monotonic()
        engine = engines_of(jvm.pid)
        workers = python_workers(jvm)
        assert workers
        assert len(engine) == 1
        wait_for(lambda: all(ended(worker.pid) for worker in workers), "Spark reaps its idle workers", 180)
        time.sleep(max(0.0, began + GAP_SECONDS - time.monotonic()))
        go_on(program)
        assert engines_of(jvm.pid) == engine
