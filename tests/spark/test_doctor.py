"""``doctor`` where Spark runs: what it finds of Delta, and of the store, refiners and templates of a configuration. Slow where
models answer for real, or a refinement must exist: an engine starts three times.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE

from prox_spark.cli import main
from prox_spark.config import load_config
from prox_spark.doctor import Check, examine
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.pipeline import refine
from prox_spark.tables.store import create_store

EXAMINE = sys.modules[examine.__module__]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checks of the machine, which import every engine."""
    monkeypatch.setattr(EXAMINE, "machine", lambda: [Check("java", "ok", "17")])


def answer(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> dict[str, dict[str, str]]:
    """The rows by name of ``doctor --output json``, which ends with ``code``."""
    capsys.readouterr()
    assert main(["doctor", *words, "--output", "json"]) == code
    said = capsys.readouterr()
    found = json.loads(said.out)
    failed = [check["name"] for check in found["checks"] if check["status"] == "failed"]
    assert found["ok"] == (not failed) == (code == 0)
    reasons = [line for line in said.err.splitlines() if line.startswith("prox-spark: ")]
    assert ["checks failed" in line for line in reasons] == [True] * bool(failed)
    assert all(check.keys() == {"name", "status", "found", "advice"} for check in found["checks"])
    assert all(check["advice"] for check in found["checks"] if check["status"] != "ok")
    return {check["name"]: check for check in found["checks"]}


@pytest.mark.engine
def test_without_a_configuration_every_part_of_the_machine_is_a_row(
    spark: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = answer(capsys, 0)

    machine = ["python", "java", "memory", "disk", "gpu", "vllm", "transformers", "onnxruntime", "openai"]
    assert list(rows) == [*machine, "spark", "session", "delta", "scheduling", "settings"]
    assert rows["delta"]["found"] == "wrote a table twice and read it"
    for name in ("python", "java", "vllm", "transformers", "spark", "session"):
        assert rows[name]["status"] == "ok", rows[name]


def test_a_configuration_of_rules_is_planned_and_its_store_read(
    spark: Any, quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"store={tmp_path / 'store'}", "document.engine.kind=rules", "chunk.engine.kind=rules"]

    rows = answer(capsys, 0, *words)
    assert list(rows)[1:] == [
        "configuration",
        "spark",
        "session",
        "delta",
        "scheduling",
        "settings",
        "store",
        "document refiner",
        "chunk refiner",
    ]
    assert "does not exist yet" in rows["store"]["found"]
    assert not (tmp_path / "store").exists()

    create_store(spark, str(tmp_path / "store"))
    assert answer(capsys, 0, *words)["store"]["found"] == str(tmp_path / "store")

    assert main(["doctor", *words]) == 0
    assert "chunk refiner" in capsys.readouterr().out


def test_what_a_configuration_names_wrongly_fails(
    spark: Any, quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "did you mean" in answer(capsys, 1, "store=s", "chunk.engin.kind=rules")["configuration"]["found"]

    broken = build_tiny_model(tmp_path / "broken", [PAGE])
    (broken / "tokenizer.json").write_text("{}")
    store = create_store(spark, str(tmp_path / "store"))
    spark.sql(f"ALTER TABLE {store.table('refinements')} SET TBLPROPERTIES ('prox_spark.store_version' = '99')")
    words = [f"store={tmp_path / 'store'}"]
    for stage, model in (("document", "/no/such/folder"), ("chunk", broken)):
        words += [f"{stage}.engine.kind=transformers", f"{stage}.engine.model={model}"]
    rows = answer(capsys, 1, *words)
    assert "install prox-spark" in rows["store"]["found"]
    assert "is not a folder" in rows["document refiner"]["found"]
    assert "its tokenizer cannot be read" in rows["chunk refiner"]["found"]


@pytest.mark.slow
def test_a_model_is_tested_by_the_rules_of_the_refinement_that_exists(
    spark: Any, quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pages.jsonl").write_text(json.dumps({"text": PAGE}) + "\n")
    corpus = [f"input.path={tmp_path / 'pages.jsonl'}", "input.format=json", "input.columns={text: text}"]
    named = [f"store={tmp_path / 'store'}", "refinement=r"]
    rules = [*named, *corpus, "chunk.engine.kind=rules", "execution.semantics=1"]
    refine(spark, load_config(None, rules))
    tested: list[int] = []
    monkeypatch.setattr(
        "prox_spark.generation.generate.run_self_test", lambda spark, plan, by: tested.append(by.semantics)
    )
    model = build_tiny_model(tmp_path / "tiny", [PAGE])
    words = ["chunk.engine.kind=transformers", f"chunk.engine.model={model}"]

    answer(capsys, 0, *named, *words)
    answer(capsys, 0, f"store={tmp_path / 'other'}", *words)
    answer(capsys, 0, *named, *words, "execution.semantics=2")
    assert tested == [1, 3, 2]


@pytest.mark.slow
@pytest.mark.engine
def test_models_answer_the_self_test_for_real(
    spark: Any, quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build_tiny_model(tmp_path / "tiny", [PAGE + "remove_lines keep_doc drop_doc untouch_doc\n"], seed=4)
    words = [f"store={tmp_path / 'store'}", "chunk.max_tokens=24"]
    for stage in ("document", "chunk"):
        words += [f"{stage}.engine.kind=transformers", f"{stage}.engine.model={model}"]

    rows = answer(capsys, 0, *words)
    assert [rows[f"{stage} self-test"]["status"] for stage in ("document", "chunk")] == ["ok", "ok"]
    assert "BOS 0 (tokenizer_config.json)" in rows["chunk model"]["found"]

    rows = answer(capsys, 1, *words, "chunk.grammar=false")
    assert rows["document self-test"]["status"] == "ok"
    assert "would remove nothing from any of 4 pages" in rows["chunk self-test"]["found"]
    assert "Home | About" in rows["chunk self-test"]["found"]

    (model / "model.safetensors").write_bytes(b"no weights")
    rows = answer(capsys, 1, *words, "document=null")
    assert "is cut off, or not a safetensors file" in rows["chunk refiner"]["found"].replace(" (10 bytes)", "")
