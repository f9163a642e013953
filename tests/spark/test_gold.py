"""Real files of every format from end to end: nothing is lost, and every refined text is derived again.

Slow: 940 whole pages in eight formats are read, refined, collected and executed once more in plain Python, one of the
files under spark-submit too; vLLM takes a minute to start on a CPU.
"""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from claims import check_conservation, check_once, check_rederivation, rows, run, verbs, versions
from submitting import environment, submit

from prox_spark.config import Config, load_config
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.ingestion.ingest import find_files, ingest
from prox_spark.pipeline import generate
from prox_spark.refinement.execute import execute
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

FILES = {
    "formats/c4-dev.*": "c4",
    "formats/redpajama-v2-*": "redpajama-v2",
    "formats/fineweb-*": "fineweb",
    "formats/dclm-*": "dclm",
    "formats/open-web-math-*": "openwebmath",
    "real_samples/c4_olmo_sample.*": "c4",
    "real_samples/c4_100_domains_guardian.*": "json",
    "real_samples/dolma_cc_documents_*": "dolma",
    "real_samples/*.warc.gz": "warc",
}

RECORDS = 940
"""Lines, rows and WARC responses in these files, counted without this package; every one of them is readable."""


@pytest.fixture(scope="module")
def gold(shared: Path) -> Path:
    return shared / "gold"


def test_every_real_file_is_refined_without_loss(spark: Any, gold: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"

    def configure(pattern: str, format_name: str) -> Config:
        keys = [f"store={store}", "refinement=gold", "document.engine.kind=rules", "chunk.engine.kind=rules"]
        return load_config(None, [*keys, f"input.path={gold / pattern}", f"input.format={format_name}"])

    configs = [configure(*item) for item in FILES.items()]
    found = {file.path for config in configs for file in find_files(config)}
    there = {
        str(path) for folder in ("formats", "real_samples") for path in (gold / folder).iterdir() if path.is_file()
    }
    assert found == there
    for config in configs:
        ingest(spark, config)
    generate(spark, config)
    done = execute(spark, config)

    n = check_conservation(spark, config)
    assert (done.counts["documents"], done.counts["refined"]) == (n.documents, n.refined)
    assert n.documents == RECORDS
    assert n.refined > n.documents // 4
    check_once(spark, config)
    by_file = """
        SELECT f.path, f.records,
               (SELECT count(*) FROM documents d WHERE d.file = f.path) +
               (SELECT count(*) FROM quarantine q WHERE q.file = f.path AND q.stage = 'ingest') AS rows
        FROM files f
    """
    read = query(spark, str(store), by_file).collect()
    assert {r.path for r in read} == there
    assert [(r.path, r.records) for r in read] == [(r.path, r.rows) for r in read]
    assert check_rederivation(spark, config) == n.refined

    before = versions(store)
    for again in configs:
        assert not run(spark, again)[2].new
    assert versions(store) == before


def test_spark_submit_refines_a_real_file_as_the_command_does(spark: Any, gold: Path, tmp_path: Path) -> None:
    keys = ["refinement=gold", "document.engine.kind=rules", "chunk.engine.kind=rules"]
    keys += [f"input.path={gold / 'formats' / 'redpajama-v2-*'}", "input.format=redpajama-v2"]
    here, there = (load_config(None, [f"store={tmp_path / name}", *keys]) for name in ("here", "there"))
    run(spark, here)

    command = [*submit("refine"), f"store={there.store}", *keys]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=400, cwd=tmp_path, env=environment()
    )

    assert done.returncode == 0, done.stdout
    for table in ("refined", "dropped_lines", "dropped_documents"):
        one, other = ({str(row) for row in rows(spark, config, table)} for config in (here, there))
        assert one == other


@pytest.mark.engine
def test_programs_of_a_real_engine_derive_every_text_again(spark: Any, gold: Path, tmp_path: Path) -> None:
    keys = [f"store={tmp_path / 'store'}", "refinement=tiny", "input.limit=12", "chunk.max_tokens=32"]
    keys += [f"input.path={gold / 'formats' / 'c4-dev.*'}", "input.format=c4"]
    pages = load_config(None, [*keys, "chunk.engine.kind=rules"])
    ingest(spark, pages)
    model = build_tiny_model(tmp_path / "tiny", [row["text"] for row in rows(spark, pages, "documents")])
    config = load_config(None, [*keys, "chunk.engine.kind=vllm", f"chunk.engine.model={model}"])

    (stage,) = generate(spark, config)
    done = execute(spark, config)

    assert (stage.documents, stage.failed, done.counts["documents"]) == (12, 0, 12)
    assert stage.prompt_tokens > stage.chunks >= 12
    check_conservation(spark, config)
    check_once(spark, config)
    assert check_rederivation(spark, config) == done.counts["refined"]
    operations = "SELECT count(*) FROM programs LATERAL VIEW explode(calls) AS call WHERE call.outcome = 'ok'"
    assert query(spark, config.store, operations).first()[0] > 0
    before = versions(tmp_path / "store")
    assert [again.documents for again in generate(spark, config)] == [0]
    assert not execute(spark, config).new
    assert versions(tmp_path / "store") == before
    assert verbs(tmp_path / "store", "programs").count("generate chunk") == 1
