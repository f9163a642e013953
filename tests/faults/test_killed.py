"""A job that is killed at its worst moments: readers see the version before, and starting it again finishes it.

Slow: each kill takes a process with a JVM of its own, and the job again afterwards: twelve minutes together.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from claims import PAGE, check_conservation, check_once, check_rederivation, run, verbs
from processes import COMMAND, started

from prox_spark.cli import main
from prox_spark.config import Config, load_config
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

DEADLINE_SECONDS = 240
RESULTS = {"refined": 2, "dropped_lines": 2, "dropped_documents": 1}
"""How often `execute` has written to each once version 1 is whole."""

TABLES = {
    "documents": "*",
    "programs": "* EXCEPT (calls), to_json(calls)",
    "refined": "* EXCEPT (metadata), to_json(metadata)",
    "dropped_lines": "*",
    "dropped_documents": "*",
    "quarantine": "* EXCEPT (quarantined_at)",
    "files": "path, records, quarantined",
}


@dataclass(frozen=True)
class Nightly:
    """A refinement that stands at version 0 when new files arrive, and what it comes to where nothing goes wrong."""

    folder: Path
    standing: Path
    """The store at version 0; tests work on copies."""
    undisturbed: dict[str, Counter[tuple[Any, ...]]]

    def settings(self, store: Path) -> dict[str, Any]:
        calls = str(self.folder / "calls")
        return {
            "store": str(store),
            "refinement": "nightly",
            "input": {"path": str(self.folder / "corpus"), "format": "json"},
            "ingest": {"unit_bytes": 1000},
            "generate": {"batch_units": 1, "partitions": 2},
            "document": {"engine": {"kind": "scripted", "calls_file": calls, "answers": {"Page 4": 0.1}}},
            "chunk": {"engine": {"kind": "scripted", "calls_file": calls, "default": "remove_lines(start=1, end=1)"}},
            "spark": {"spark.master": "local[2]", "spark.sql.shuffle.partitions": 2, "spark.driver.memory": "1g"},
        }

    def config(self, store: Path) -> Config:
        path = store.with_suffix(".yaml")
        path.write_text(yaml.safe_dump(self.settings(store)))
        return load_config(path)

    def calls(self) -> list[str]:
        """What the engines were asked since this was last asked: stage and text's hash, one line a call."""
        path = self.folder / "calls"
        found = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return found


def page(number: int) -> str:
    return f"Page {number}\n{PAGE}"


def write_file(folder: Path, name: str, numbers: range, *, damaged: bool = False) -> None:
    lines = [json.dumps({"id": str(n), "text": page(n)}) for n in numbers]
    (folder / name).write_text("\n".join([*lines, *(["{no json"] if damaged else [])]) + "\n")


def contents(spark: Any, store: Path) -> dict[str, Counter[tuple[Any, ...]]]:
    """Every row of the tables, without what a clock wrote."""
    found = {}
    for table, columns in TABLES.items():
        rows = query(spark, str(store), f"SELECT {columns} FROM {table}").collect()
        found[table] = Counter(tuple(str(value) for value in row) for row in rows)
    return found


@pytest.fixture(scope="module")
def nightly(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Nightly:
    folder = tmp_path_factory.mktemp("nightly")
    (folder / "corpus").mkdir()
    write_file(folder / "corpus", "0.json", range(2))
    made = Nightly(folder, folder / "standing", {})
    run(spark, made.config(made.standing))
    for file, first in enumerate((2, 4, 6), 1):
        write_file(folder / "corpus", f"{file}.json", range(first, first + 2), damaged=file == 2)
    calm = folder / "calm"
    shutil.copytree(made.standing, calm)
    done = run(spark, made.config(calm))[2]
    assert (done.version, done.counts["documents"], done.counts["dropped_documents"]) == (1, 8, 1)
    made.undisturbed.update(contents(spark, calm))
    return made


def in_ingest(store: Path) -> bool:
    return verbs(store, "documents").count("ingest") == 2 and verbs(store, "files").count("ingest") == 1


def in_generate(store: Path) -> bool:
    return verbs(store, "programs").count("generate document") == 3


def before_a_commit(store: Path) -> bool:
    """A data file of `refined` is whole, but in no version yet."""
    if verbs(store, "refined").count("execute") != 1:
        return False
    listed = "".join(path.read_text() for path in (store / "refined" / "_delta_log").glob("*.json"))
    files = [path for path in (store / "refined").glob("*.parquet") if path.name not in listed]
    return any(path.read_bytes()[-4:] == b"PAR1" for path in files)


def before_the_record(store: Path) -> bool:
    """Every result table has its new version, `refinements` does not name it yet."""
    # None of the documents of version 0 were dropped: that table's first commit is version 1's.
    written = all(verbs(store, table).count("execute") == n for table, n in RESULTS.items())
    return written and verbs(store, "refinements").count("execute") == 1


def kill_when(condition: Callable[[Path], bool], store: Path, config: Path, log: Path) -> None:
    """Start ``refine`` and kill it as soon as the store's files show that it is where ``condition`` says."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    with started([str(COMMAND), "refine", "--config", str(config)], log) as process:
        while not condition(store):
            assert process.is_running(), log.read_text()
            assert process.status() != psutil.STATUS_ZOMBIE, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.002)


@pytest.mark.parametrize("condition", [in_ingest, in_generate, before_a_commit, before_the_record])
def test_a_killed_job_hides_what_it_wrote_and_finishes_when_started_again(
    spark: Any, nightly: Nightly, tmp_path: Path, condition: Callable[[Path], bool]
) -> None:
    store = tmp_path / "store"
    shutil.copytree(nightly.standing, store)
    config = nightly.config(store)
    before = {
        name: query(spark, config.store, f"SELECT * FROM {name}").collect() for name in ("refined", "dropped_lines")
    }
    nightly.calls()

    kill_when(condition, store, store.with_suffix(".yaml"), tmp_path / "log")

    assert condition(store), "it was killed too late to show anything"
    history = query(spark, config.store, "SELECT refinement, version FROM refinements").collect()
    assert [tuple(row) for row in history] == [("nightly", 0)]
    for name, rows in before.items():
        found = query(spark, config.store, f"SELECT * FROM {name}").collect()
        assert sorted(map(str, found)) == sorted(map(str, rows))
    paid = "SELECT stage, text FROM programs JOIN documents USING (doc_id) WHERE text NOT IN ('', ' ')"
    committed = {f"{r.stage} {sha256(r.text.encode()).hexdigest()}" for r in query(spark, config.store, paid).collect()}
    asked = nightly.calls()

    assert main(["refine", "--config", str(store.with_suffix(".yaml"))]) == 0

    asked_again = nightly.calls()
    assert not committed & set(asked_again), "a committed program was paid for again"
    assert len(asked_again) == len(set(asked_again))
    everything = {f"document {sha256(page(n).encode()).hexdigest()}" for n in range(2, 8)}
    assert everything <= {*asked, *asked_again}
    check_once(spark, config)
    check_conservation(spark, config)
    assert check_rederivation(spark, config) == 7
    assert contents(spark, store) == nightly.undisturbed


def test_two_jobs_at_once_end_with_the_same_rows_as_one(spark: Any, nightly: Nightly, tmp_path: Path) -> None:
    """Two processes over one store: one of them may find the other's lease and stop, neither writes twice."""
    store = tmp_path / "store"
    shutil.copytree(nightly.standing, store)
    config = nightly.config(store)
    command = [str(COMMAND), "refine", "--config", str(store.with_suffix(".yaml"))]
    logs = [tmp_path / "first", tmp_path / "second"]
    with started(command, logs[0]) as first, started(command, logs[1]) as second:
        codes = [process.wait(DEADLINE_SECONDS) for process in (first, second)]

    for code, log in zip(codes, logs, strict=True):
        assert code == 0 or (code == 1 and "another job" in log.read_text()), log.read_text()
    assert 0 in codes, "each stopped for the other"
    done = run(spark, config)[2]
    assert (done.version, done.new) == (1, False)
    check_once(spark, config)
    check_conservation(spark, config)
    assert contents(spark, store) == nightly.undisturbed
