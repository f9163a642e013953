"""Executors that die, stand still or work twice, on a cluster of real processes (`local-cluster`, standalone).

Slow: each test starts a driver and two executors, a JVM each.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from claims import PROSE, check_conservation, check_once, check_rederivation, verbs
from cluster_processes import environment, fake_gpu, standalone
from processes import COMMAND, ended, engines_of, python_workers, started, wait_for

from prox_spark.cli import main
from prox_spark.config import Config, load_config
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.generation.scheduling import TASKS_PER_GPU
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

EXECUTOR = "CoarseGrainedExecutorBackend"
DEADLINE_SECONDS = 420.0
FILES, PAGES = 6, 40
DOCUMENTS = FILES * PAGES

Job = Callable[..., tuple[list[str], Config, dict[str, str]]]


@pytest.fixture
def job(tmp_path: Path, empty_store: Path) -> Job:
    """A ``refine`` on two executors: its command, configuration and environment."""
    (tmp_path / "corpus").mkdir()
    # A file is a unit here, two of them a batch: an executor that goes after the first commit goes in mid-work.
    for file in range(FILES):
        ids = range(file * PAGES, (file + 1) * PAGES)
        pages = [{"id": str(n), "text": f"Page {n}\nHome | About\n{PROSE} It is page {n}.\nAccept"} for n in ids]
        (tmp_path / "corpus" / f"{file}.json").write_text("".join(json.dumps(page) + "\n" for page in pages))
    shutil.copytree(empty_store, tmp_path / "store")

    def make(engine: dict[str, Any], master: str, **spark: str) -> tuple[list[str], Config, dict[str, str]]:
        settings = {
            "store": str(tmp_path / "store"),
            "refinement": "cluster",
            "input": {"path": str(tmp_path / "corpus"), "format": "json"},
            "ingest": {"unit_bytes": 1000},
            "generate": {"batch_units": 2, "self_test": False},
            "chunk": {"engine": engine},
            "spark": {
                "spark.master": master,
                "spark.executor.memory": "800m",
                "spark.driver.memory": "1g",
                **spark,
            },
        }
        path = tmp_path / "job.yaml"
        path.write_text(yaml.safe_dump(settings))
        return [str(COMMAND), "refine", "--config", str(path)], load_config(path), environment(tmp_path / "spark")

    return make


@pytest.fixture
def two_hosts(tmp_path: Path) -> Iterator[str]:
    """A standalone cluster of two workers; its URL."""
    with standalone(tmp_path) as url:
        yield url


@pytest.fixture
def gpu(tmp_path: Path) -> dict[str, str]:
    """Settings of a cluster whose every executor has one GPU; there is none behind it."""
    return fake_gpu(tmp_path)


def executors() -> list[psutil.Process]:
    """The executors' JVMs below this process."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.name() == "java" and EXECUTOR in " ".join(process.cmdline()):
                found.append(process)
    return found


def check(spark: Any, config: Config) -> None:
    """What the promises say of a refinement of all pages."""
    check_once(spark, config)
    assert check_conservation(spark, config).documents == DOCUMENTS
    check_rederivation(spark, config)


def test_executors_with_a_gpu_run_an_engine_each_and_one_that_is_killed_takes_its_own_along(
    spark: Any, job: Job, gpu: dict[str, str], tmp_path: Path
) -> None:
    model = build_tiny_model(tmp_path / "tiny", [f"{PROSE}\nPage Home About It is page Accept remove_lines\n"])
    command, config, environment = job(
        {"kind": "transformers", "model": str(model)}, f"local-cluster[2,{TASKS_PER_GPU},1024]", **gpu
    )
    log = tmp_path / "log"
    with started(command, log, environment) as driver:

        def two_engines() -> dict[int, int]:
            assert driver.status() != psutil.STATUS_ZOMBIE, log.read_text()
            found = engines_of(*[process.pid for process in executors()])
            return found if len(found) == 2 else {}

        def first_commit() -> bool:
            return "generate chunk" in verbs(tmp_path / "store", "programs")

        wait_for(lambda: two_engines() and first_commit(), "both work", DEADLINE_SECONDS)
        own = two_engines()
        killed, other = sorted(own)
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: ended(own[killed]), "its engine goes with it")
        assert not ended(own[other])
        assert driver.wait(DEADLINE_SECONDS) == 0, log.read_text()
        wait_for(lambda: all(ended(engine) for engine in own.values()), "the other goes with the job")
    assert "stage-level scheduling is off" not in log.read_text()
    check(spark, config)
    batches = query(spark, config.store, "SELECT count(*), sum(documents) FROM metrics").first()
    assert batches[0] == FILES // 2
    assert batches[1] == DOCUMENTS


def test_an_executor_on_a_spot_node_that_is_taken_away_hands_its_rows_on_and_its_engine_goes(
    spark: Any, job: Job, gpu: dict[str, str], tmp_path: Path
) -> None:
    """The node manager's signal comes while the engine runs; the properties are those of docs/clusters.md."""
    model = build_tiny_model(tmp_path / "tiny", [f"{PROSE}\nPage Home About It is page Accept remove_lines\n"])
    decommission = {
        "spark.decommission.enabled": "true",
        "spark.storage.decommission.enabled": "true",
        "spark.storage.decommission.rddBlocks.enabled": "true",
        "spark.storage.decommission.shuffleBlocks.enabled": "true",
    }
    command, config, environment = job(
        {"kind": "transformers", "model": str(model)},
        f"local-cluster[2,{TASKS_PER_GPU},1024]",
        **gpu,
        **decommission,
    )
    log = tmp_path / "log"
    with started(command, log, environment) as driver:

        def working() -> dict[int, int]:
            assert driver.status() != psutil.STATUS_ZOMBIE, log.read_text()
            found = engines_of(*[process.pid for process in executors()])
            begun = "generate chunk" in verbs(tmp_path / "store", "programs")
            return found if len(found) == 2 and begun else {}

        wait_for(working, "both work", DEADLINE_SECONDS)
        own = working()
        taken, other = sorted(own)
        os.kill(taken, signal.SIGPWR)
        wait_for(lambda: ended(taken), "the executor ends by itself", DEADLINE_SECONDS)
        wait_for(lambda: ended(own[taken]), "its engine goes with it")
        assert not ended(own[other])
        assert driver.wait(DEADLINE_SECONDS) == 0, log.read_text()
        wait_for(lambda: all(ended(engine) for engine in own.values()), "the other goes with the job")
    check(spark, config)
    batches = query(spark, config.store, "SELECT count(*), sum(documents) FROM metrics").first()
    assert tuple(batches) == (FILES // 2, DOCUMENTS)


def test_a_run_killed_in_its_fifth_batch_asks_nothing_of_the_first_four_again(
    spark: Any, job: Job, tmp_path: Path
) -> None:
    calls, log = tmp_path / "calls", tmp_path / "log"
    engine = {"kind": "scripted", "lines_per_chunk": 1, "seconds_per_call": 0.05, "calls_file": str(calls)}
    command, config, environment = job(engine, "local-cluster[4,1,800]")

    def commits() -> int:
        return verbs(tmp_path / "store", "programs").count("generate chunk")

    with started([*command, "generate.batch_units=1"], log, environment) as driver:

        def four_batches() -> bool:
            assert driver.status() != psutil.STATUS_ZOMBIE, log.read_text()
            return commits() >= 4

        wait_for(four_batches, "four batches are committed", DEADLINE_SECONDS)
    done = commits()
    assert 4 <= done < FILES, "it was killed too late to show anything"
    first = {f"Page {row.doc_id}" for row in query(spark, config.store, "SELECT doc_id FROM programs").collect()}
    assert len(first) == done * PAGES
    calls.unlink()

    assert main(["refine", "--config", command[-1], "generate.batch_units=1"]) == 0

    asked_again = set(calls.read_text().splitlines())
    committed = {f"chunk {sha256(page.encode()).hexdigest()}" for page in first}
    assert not committed & asked_again
    check(spark, config)


def test_a_task_that_stands_still_is_overtaken_by_its_copy(
    spark: Any, job: Job, two_hosts: str, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    engine = {
        "kind": "scripted",
        "seconds_per_call": 0.05,
        "calls_file": str(calls),
        "default": "remove_lines(start=1, end=1)",
    }
    speculation = {
        "spark.speculation": "true",
        "spark.speculation.interval": "200ms",
        "spark.speculation.quantile": "0.5",
        "spark.speculation.minTaskRuntime": "500ms",
    }
    command, config, environment = job(engine, two_hosts, **speculation)
    log = tmp_path / "log"
    with started(command, log, environment) as driver:
        wait_for(
            lambda: calls.exists() and len(calls.read_text().splitlines()) > 3,
            "the engines are asked",
            DEADLINE_SECONDS,
        )
        slow = executors()[0]
        # Daemons start and end the workers: they go on, as they would beside a worker that waits for a disk.
        workers = python_workers(slow)
        assert workers
        for worker in workers:
            worker.suspend()
        try:
            assert driver.wait(DEADLINE_SECONDS) == 0, log.read_text()
        finally:
            for worker in workers:
                with suppress(psutil.NoSuchProcess):
                    worker.resume()
    check(spark, config)
    assert len(calls.read_text().splitlines()) >= DOCUMENTS
    removed = query(spark, config.store, "SELECT count(*) FROM dropped_lines").first()[0]
    assert removed == DOCUMENTS
