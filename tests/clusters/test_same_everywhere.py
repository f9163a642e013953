"""One corpus refined on a standalone cluster by the built wheel, on ``local-cluster``, on ``local[*]`` and through Spark
Connect: one reader finds the same rows in all tables.

Slow: four Sparks with a JVM each for driver, executors and daemons, and the wheel's kernels are compiled again.
"""

import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from claims import versions
from cluster_processes import environment, fake_gpu, remote, standalone
from processes import COMMAND
from same_rows import FILES, IDENTITY, TABLES, keys, read, write_corpus
from submitting import ROOT, command
from wheel_of_checkout import build_wheel

from prox_spark.tables.store import open_store

pytestmark = pytest.mark.slow

STAMP = "9.9.9"

PROBE = """
import json, sys
from pyspark.sql import SparkSession
from prox_spark.generation.scheduling import stage_profile, why_not

def where(batches):
    import pyarrow as pa
    from pyspark import TaskContext
    import prox_spark
    for batch in batches:
        gpus = TaskContext.get().resources()["gpu"].addresses
        yield pa.RecordBatch.from_pydict({"file": [prox_spark.__file__], "gpu": [",".join(gpus)]})

spark = SparkSession.builder.getOrCreate()
rows = spark.range(0, 8, 1, 8).mapInArrow(where, "file string, gpu string", profile=stage_profile(spark)).distinct()
import prox_spark
print(json.dumps({"driver": prox_spark.__file__, "tasks": [list(r) for r in rows.collect()], "not": why_not(spark)}))
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def done(words: list[str], own: dict[str, str], folder: Path) -> dict[str, Any]:
    """What a command prints as JSON; it runs in ``folder``."""
    return done_and_logged(words, own, folder)[0]


def done_and_logged(words: list[str], own: dict[str, str], folder: Path) -> tuple[dict[str, Any], str]:
    """What a command prints as JSON, and its log; it runs in ``folder``."""
    ended = subprocess.run(words, env=own, cwd=folder, capture_output=True, text=True, check=False, timeout=800)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
    # spark-submit joins both streams of the driver.
    *before, last = ended.stdout.splitlines()
    answer: dict[str, Any] = json.loads(last)
    return answer, "\n".join([*before, ended.stderr])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds, built from a copy of this checkout that calls itself version ``STAMP``."""
    folder = tmp_path_factory.mktemp("wheel")
    zipfile.ZipFile(build_wheel(folder, STAMP)).extractall(folder / "installed")
    return folder / "installed"


Standalone = tuple[Path, dict[str, Any], dict[str, Any], str]


@pytest.fixture(scope="module")
def on_standalone(corpus: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Standalone:
    """The store that ``spark-submit`` of the wheel wrote on a standalone cluster, what it said, what the probe saw, its log."""
    folder = tmp_path_factory.mktemp("standalone")
    gpu = fake_gpu(folder)
    (folder / "probe.py").write_text(PROBE)
    own = {"PYTHONPATH": str(wheel)}
    settings = {
        **{key: value for key, value in gpu.items() if key.startswith("spark.executor.")},
        "spark.executor.memory": "800m",
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
        # As a local session has it: Delta's log is read in 50 tasks otherwise.
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.executorEnv.PYTHONPATH": str(wheel),
    }
    workers = {key: value for key, value in gpu.items() if key.startswith("spark.worker.")}
    with standalone(folder, workers) as url:
        submit = command(url, settings)
        driver = environment(folder / "driver") | own
        said, log = done_and_logged(
            [*submit, str(ROOT / "jobs" / "refine.py"), *keys(folder / "store", corpus)], driver, folder
        )
        probed = done([*submit, str(folder / "probe.py")], driver, folder)
    return folder / "store", said, probed, log


@pytest.fixture(scope="module")
def standalone_store(on_standalone: Standalone) -> Path:
    return on_standalone[0]


def refined(master: str, corpus: str, folder: Path) -> Path:
    """The store that ``prox-spark`` wrote with a Spark of its own."""
    spark = {"spark.master": master, "spark.driver.memory": "1g", "spark.executor.memory": "800m"}
    words = [*keys(folder / "store", corpus), f"spark={json.dumps(spark)}"]
    done([str(COMMAND), "refine", *words], environment(folder / "spark"), folder)
    return folder / "store"


@pytest.fixture(scope="module")
def local_store(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return refined("local[*]", corpus, tmp_path_factory.mktemp("local"))


@pytest.fixture(scope="module")
def local_cluster_store(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return refined("local-cluster[2,1,1024]", corpus, tmp_path_factory.mktemp("local-cluster"))


@pytest.fixture(scope="module")
def connect_store(corpus: str, connect: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("connect")
    done([str(COMMAND), "refine", *keys(folder / "store", corpus)], remote(connect), folder)
    return folder / "store"


@pytest.fixture(scope="module", params=["standalone", "local_cluster", "connect"])
def there(request: pytest.FixtureRequest) -> Path:
    """The store of every place but ``local[*]``, whose store they are compared with."""
    store: Path = request.getfixturevalue(f"{request.param}_store")
    return store


def test_the_job_ran_from_the_wheel_and_its_tasks_have_a_share_of_a_gpu(
    spark: Any, on_standalone: Standalone, wheel: Path
) -> None:
    store, said, probed, _ = on_standalone
    here = str(wheel / "prox_spark" / "__init__.py")
    assert probed == {"driver": here, "tasks": [[here, "0"]], "not": []}
    (row,) = open_store(spark, str(store)).read("refinements").collect()
    assert (row["package_version"], row["refinement"], row["version"]) == (STAMP, "same", 0)
    assert said["counts"] == row["counts"].asDict()


def test_the_log_of_a_submitted_job_answers_what_it_does_how_far_it_is_and_how_long_still(
    on_standalone: Standalone,
) -> None:
    store, said, _, log = on_standalone
    lines = [line.split(" ", 2) for line in log.splitlines() if re.match(r"\S+Z [A-Z]+ prox_spark\.", line)]
    ours = [message.partition(": ")[2] for _, _, message in lines]
    assert {level for _, level, _ in lines} == {"INFO"}, log
    # What is it doing: on which Spark, in which store, with whom, over which versions.
    assert any(
        re.match(r"Spark 4\.\S+, master spark://127\.0\.0\.1:\d+, \d+ cores, GPUs per executor: 1", line)
        for line in ours
    )
    assert any(
        line.startswith(f"ingest: store {store}, documents version 0; {FILES} of {FILES} json files") for line in ours
    )
    assert any(
        re.match(r"generate chunk: refiner rules \(\w{8}\), engine rules, \d+ documents in 6 units", line)
        for line in ours
    )
    # How far, how long still: after every commit.
    for verb in ("ingest", "generate document", "generate chunk"):
        said_steps = [line for line in ours if re.match(rf"{verb}: .+ of .+ \(\d+%\), ", line)]
        # A slow machine also says each minute how far the running tasks are.
        steps = [line for line in said_steps if "running Spark tasks" not in line]
        assert len(steps) == 2, ours
        assert re.search(r"\(\d+%\), .*/(s|min).* left$", steps[0])
        assert "(100%)" in steps[1]
    # What came of it.
    counts = said["counts"]
    (end,) = [line for line in ours if line.startswith("execute finished")]
    assert f"same:0 has {counts['documents']} documents: {counts['refined']} refined" in end
    leases = [line.split(" (")[0] for line in ours if " lease " in line]
    assert leases.count("took lease execute") == leases.count("gave back lease execute") == 1


def test_the_corpus_has_what_can_go_wrong(spark: Any, local_store: Path) -> None:
    store = open_store(spark, str(local_store))
    assert store.read("documents").select("unit").distinct().count() == FILES
    bad = {row[0] for row in store.read("quarantine").select("error_class").distinct().collect()}
    assert bad == {"NullText", "DuplicateId", "MalformedJson"}
    reasons = {row[0] for row in store.read("dropped_documents").select("reason").distinct().collect()}
    assert reasons >= {"empty", "keep_score"}
    assert all(not store.read(table).isEmpty() for table in TABLES)
    assert [store.version(table) for table in ("documents", "programs")] == [2, 4]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_the_same(spark: Any, local_store: Path, there: Path, table: str) -> None:
    assert read(spark, there, table) == read(spark, local_store, table)


def test_the_refinement_is_the_same(spark: Any, local_store: Path, there: Path) -> None:
    rows = [open_store(spark, str(store)).read("refinements").select(*IDENTITY) for store in (local_store, there)]
    assert rows[0].collect() == rows[1].collect()


def test_a_store_is_done_wherever_it_was_written(
    standalone_store: Path, corpus: str, connect: str, tmp_path: Path
) -> None:
    before = versions(standalone_store)
    again = done([str(COMMAND), "refine", *keys(standalone_store, corpus)], remote(connect), tmp_path)
    assert (again["new"], again["ingest"]["documents"], again["version"]) == (False, 0, 0)
    assert versions(standalone_store) == before
