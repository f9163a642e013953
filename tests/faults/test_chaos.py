"""Half an hour in which every few seconds a part of a working cluster is killed or stopped: nothing is lost or doubled.

A driver refines one night's pages after another on two executors, each with an engine. Meanwhile Python workers, engines and
executors are killed, workers and executors stopped for some seconds, and heartbeats of the driver's lease held back. The same
nights in peace give the same tables. Slow by design; the counts are printed.
"""

import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from claims import PROSE
from cluster_processes import environment
from deltas import contents, differences, store_faults
from processes import ended, engines_of, python_workers, started, wait_for

from prox_spark.engines.tiny import build_tiny_model

MINUTES = 30
SEED = 7

EXECUTOR = "CoarseGrainedExecutorBackend"

NIGHTS = """
import json, sys, time
from datetime import timedelta
from pathlib import Path

import prox_spark
from prox_spark.session import get_session
from prox_spark.tables import leases

folder, corpus, settings, nights = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
leases.EXPIRY, leases.HEARTBEAT = timedelta(seconds=120), timedelta(seconds=1)
renew = leases._renew

def held_back(*arguments):
    while (folder / "no-heartbeats").exists():
        time.sleep(0.05)
    return renew(*arguments)

leases._renew = held_back
spark = get_session(settings["spark"])
for night in range(1, nights + 1):
    files = ", ".join(f"{corpus}/{number}.json" for number in range(night))
    config = prox_spark.load_config(None, [f"store={folder / 'store'}", f"input.path=[{files}]", *settings["keys"]])
    prox_spark.refine(spark, config)
    print("NIGHT", night, flush=True)
    if (folder / "enough").exists():
        break
"""
"""``refine`` of one more file each night, in one session. Arguments: folder, corpus, settings, how many nights at most."""

MOST_NIGHTS = 500
PAGES = 30

KEYS = [
    *("refinement=nightly", "input.format=json", "ingest.unit_bytes=4000", "fuse.min_documents=100000"),
    *("generate.batch_units=2", "generate.self_test=false", "execution.on_failed_chunk=quarantine"),
    "document=null",
]
ON_THE_CLUSTER = {
    "spark.master": "local-cluster[2,1,1024]",
    "spark.executor.memory": "800m",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "2",
    # A task is killed, not at fault: Spark's own limits are for tasks that are.
    "spark.task.maxFailures": "1000",
    "spark.stage.maxConsecutiveAttempts": "1000",
    "spark.deploy.maxExecutorRetries": "-1",
}
IN_PEACE = {"spark.master": "local[2]", "spark.driver.memory": "2g", "spark.sql.shuffle.partitions": "2"}


def words(folder: Path, corpus: Path, model: Path, spark: dict[str, str], nights: int) -> list[str]:
    """The command of a driver that works in this folder."""
    folder.mkdir()
    engine = ["chunk.engine.kind=transformers", f"chunk.engine.model={model}"]
    settings = json.dumps({"spark": spark, "keys": [*KEYS, *engine]})
    return [sys.executable, "-c", NIGHTS, str(folder), str(corpus), settings, str(nights)]


def processes_of(driver: psutil.Process) -> dict[str, list[psutil.Process]]:
    """The executors' JVMs of a driver, their Python workers and their engines."""
    executors = []
    for process in driver.children(recursive=True):
        with suppress(psutil.Error):
            if process.name() == "java" and EXECUTOR in " ".join(process.cmdline()):
                executors.append(process)
    found: dict[str, list[psutil.Process]] = {"executor": executors, "worker": [], "engine": []}
    for pid in engines_of(*(process.pid for process in executors)).values():
        with suppress(psutil.NoSuchProcess):
            found["engine"].append(psutil.Process(pid))
    for process in executors:
        with suppress(psutil.NoSuchProcess):
            found["worker"] += python_workers(process)
    return found


@dataclass
class Killer:
    """Does something bad every few seconds; ``done`` counts what, ``killed`` holds the processes."""

    driver: psutil.Process
    folder: Path
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    killed: set[psutil.Process] = field(default_factory=set)

    def strike(self) -> None:
        """One deed; none where nothing of the kind runs just now."""
        kind, deed = self.chance.choice(DEEDS)
        if kind == "heartbeat":
            deed(self, None)
            self.done["heartbeat stopped"] += 1
            return
        found = processes_of(self.driver)[kind]
        if found:
            with suppress(psutil.NoSuchProcess):
                deed(self, self.chance.choice(found))
                self.done[f"{kind} {deed.__name__}"] += 1


def killed(killer: Killer, process: psutil.Process | None) -> None:
    assert process is not None
    process.send_signal(signal.SIGKILL)
    killer.killed.add(process)


def stopped(killer: Killer, process: psutil.Process | None) -> None:
    """For some seconds."""
    assert process is not None
    process.suspend()
    time.sleep(killer.chance.uniform(1, 8))
    process.resume()


def held_back(killer: Killer, _: psutil.Process | None) -> None:
    """The threads that renew the lease wait, for some seconds."""
    held = killer.folder / "no-heartbeats"
    held.touch()
    time.sleep(killer.chance.uniform(1, 15))
    held.unlink()


DEEDS: list[tuple[str, Callable[[Killer, psutil.Process | None], None]]] = [
    *([("worker", killed)] * 3),
    ("worker", stopped),
    *([("engine", killed)] * 2),
    ("engine", stopped),
    ("executor", killed),
    ("executor", stopped),
    ("heartbeat", held_back),
]
"""What is done, each as often as it stands here."""


def nights(log: Path) -> int:
    """How many nights a driver has printed."""
    return sum(line.startswith("NIGHT ") for line in log.read_text().splitlines())


@pytest.mark.slow
@pytest.mark.timeout((MINUTES + 45) * 60)
def test_half_an_hour_of_kills_gives_what_the_same_nights_in_peace_give(tmp_path: Path) -> None:
    corpus, chaos, calm = tmp_path / "corpus", tmp_path / "chaos", tmp_path / "calm"
    corpus.mkdir()
    for night in range(MOST_NIGHTS):
        ids = range(night * PAGES, (night + 1) * PAGES)
        pages = [{"id": str(n), "text": f"Page {n}\nHome | About\n{PROSE} It is page {n}.\nAccept"} for n in ids]
        (corpus / f"{night}.json").write_text("".join(json.dumps(page) + "\n" for page in pages))
    model = build_tiny_model(tmp_path / "tiny", [f"{PROSE}\nPage Home About It is page Accept remove_lines\n"])
    log, own = tmp_path / "chaos.log", environment(tmp_path / "spark")

    with started(words(chaos, corpus, model, ON_THE_CLUSTER, MOST_NIGHTS), log, own) as driver:
        killer, seen = Killer(driver, chaos, random.Random(SEED)), set()
        wait_for(lambda: nights(log) or driver.status() == psutil.STATUS_ZOMBIE, "the first night", 300)
        deadline = time.monotonic() + MINUTES * 60
        while time.monotonic() < deadline:
            time.sleep(killer.chance.uniform(1, 6))
            assert driver.status() != psutil.STATUS_ZOMBIE, log.read_text()[-5000:]
            seen |= {*processes_of(driver)["executor"]}
            dead = {process for process in seen if ended(process.pid)}
            assert dead <= killer.killed, f"executors that nobody killed: {dead - killer.killed}"
            killer.strike()
        (chaos / "enough").touch()
        assert driver.wait(600) == 0, log.read_text()[-5000:]
    there = nights(log)
    with started(words(calm, corpus, model, IN_PEACE, there), tmp_path / "calm.log", own) as driver:
        assert driver.wait(1800) == 0, (tmp_path / "calm.log").read_text()[-5000:]

    print(f"{there} nights, {there * PAGES} pages, seed {SEED}; {dict(sorted(killer.done.items()))}")
    assert all(killer.done[f"{kind} killed"] for kind in ("worker", "engine", "executor"))
    assert differences(contents(calm / "store"), contents(chaos / "store")) == []
    assert store_faults(chaos / "store") == []
