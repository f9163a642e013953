"""``doctor`` on machines where something is missing or broken: a row that says so, never a stack trace. No JVM starts."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prox_spark.config.engines import TransformersSettings
from prox_spark.config.models import ChunkConfig
from prox_spark.doctor import Check, examine
from prox_spark.doctor import examine as examine_function
from prox_spark.doctor.machine import gpu, java, package, probe
from prox_spark.doctor.model import model
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import ProxSparkError
from prox_spark.generation.plan import plan_stage

EXAMINE = sys.modules[examine_function.__module__]
FINE = [Check("java", "ok", "17")]


def rows(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def never(settings: dict[str, str]) -> Any:
    raise AssertionError("a session was started")


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(("said", "found"), [(None, "none"), ('openjdk version "11.0.2"', "11")])
def test_java_that_is_missing_or_too_old_fails_and_no_session_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str | None, found: str
) -> None:
    (tmp_path / "bin").mkdir()
    if said:
        program(tmp_path / "bin", "java", f"echo '{said}'")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    check = java()
    assert (check.status, check.found) == ("failed", found)
    assert "17 or 21" in check.advice

    monkeypatch.setattr(EXAMINE, "machine", lambda: [check])
    assert rows(examine(None, (), never))["delta"].found.startswith("not checked")


def test_a_package_is_judged_by_importing_it_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    # Another test may have imported the real one.
    monkeypatch.delitem(sys.modules, "openai", raising=False)
    module = tmp_path / "openai.py"
    for text, status, found in (
        ("__version__ = '1.2'", "ok", "1.2"),
        ("raise ImportError('libthis.so.1: cannot open shared object file')", "failed", "libthis.so.1"),
        ("import os; os.kill(os.getpid(), 11)", "failed", "killed by SIGSEGV"),
    ):
        module.write_text(text)
        check = package("openai")
        assert (check.status, found in check.found) == (status, True), check
    assert "openai" not in sys.modules


def test_a_package_that_nobody_installed_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert (package("vllm").status, package("vllm").found) == ("ok", "not installed")
    assert "pip install" in package("vllm").advice


def test_gpus_are_what_nvidia_smi_and_torch_see(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert (gpu().status, gpu().found) == ("ok", "none; engines run on the CPU")
    program(tmp_path, "nvidia-smi", "echo 'H100, 81559 MiB, 550.1'")
    assert (gpu().status, gpu().found) == ("ok", "H100, 81559 MiB, 550.1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("prox_spark.doctor.machine.probe", lambda code: (True, "0 by torch 2.13"))
    assert (gpu().status, "CPU build" in gpu().advice) == ("warning", True)
    monkeypatch.setattr("prox_spark.doctor.machine.probe", lambda code: (False, "ImportError: libcudart"))
    assert (gpu().status, gpu().found) == ("warning", "torch cannot be imported: ImportError: libcudart")
    monkeypatch.setattr("prox_spark.doctor.machine.probe", lambda code: (True, "1 by torch 2.13"))
    program(tmp_path, "nvidia-smi", "echo 'Failed to initialize NVML'; exit 18")
    assert (gpu().status, gpu().found) == ("warning", "nvidia-smi: Failed to initialize NVML")


def test_a_probe_tells_the_last_line() -> None:
    assert probe("print('a'); print('b')") == (True, "b")
    assert probe("raise ValueError('odd')") == (False, "ValueError: odd")


def test_a_session_that_does_not_start_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EXAMINE, "machine", lambda: FINE)

    def start(settings: dict[str, str]) -> Any:
        raise ProxSparkError("Delta's jars could not be fetched: is Maven Central reachable?\nits last words")

    *_, last = examine(None, (), start)
    assert (last.name, last.status) == ("session", "failed")
    assert last.found == "ProxSparkError: Delta's jars could not be fetched: is Maven Central reachable?"


def test_without_pyspark_the_command_still_answers() -> None:
    program = """
import sys
sys.modules["pyspark"] = None
import prox_spark.doctor.examine as examine
from prox_spark.cli import main
from prox_spark.doctor import Check
examine = sys.modules["prox_spark.doctor.examine"]
examine.machine = lambda: [Check("java", "ok", "17")]
sys.exit(main(["doctor", "--config", "nowhere.yaml", "--output", "json"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert [(check["name"], check["status"]) for check in answer["checks"]] == [
        ("java", "ok"),
        ("configuration", "failed"),
        ("spark", "failed"),
    ]
    assert done.stderr == "prox-spark: 2 of 3 checks failed: configuration, spark\n"


def test_a_model_folder_is_read_out_with_the_file_that_says_each_thing(tmp_path: Path) -> None:
    build_tiny_model(tmp_path, ["A page has a menu and a footer."])
    plan = plan_stage("chunk", ChunkConfig(engine=TransformersSettings(kind="transformers", model=str(tmp_path))))
    plain = "architecture LlamaForCausalLM (config.json); weights float32 in 1 file, config.json says float32; "
    plain += (
        "context 2048 (max_position_embeddings in config.json); chat template none; BOS 0 (tokenizer_config.json); "
    )
    assert model(plan) == Check("chunk model", "ok", f"{plain}EOS 1 (tokenizer_config.json), 1 (config.json)")

    asked = {"eos_token_id": [1, 2], "repetition_penalty": 1.2, "do_sample": True}
    (tmp_path / "generation_config.json").write_text(json.dumps(asked))
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    read = model(plan)
    assert "chat template chat_template.jinja; " in read.found
    assert (
        "EOS 1 (tokenizer_config.json), 1 (generation_config.json), 2 (generation_config.json), 1 (config" in read.found
    )
    assert read.found.endswith("; generation_config.json also says do_sample True, repetition_penalty 1.2")
    assert read.advice.startswith("decoding is greedy")


def test_a_model_without_an_end_token_is_a_warning(tmp_path: Path) -> None:
    build_tiny_model(tmp_path, ["A page has a menu and a footer."])
    plan = plan_stage("chunk", ChunkConfig(engine=TransformersSettings(kind="transformers", model=str(tmp_path))))
    for name in ("config.json", "tokenizer_config.json"):
        settings = json.loads((tmp_path / name).read_text())
        (tmp_path / name).write_text(
            json.dumps({key: value for key, value in settings.items() if "eos_token" not in key})
        )
    read = model(plan)
    assert (read.status, "EOS none" in read.found) == ("warning", True)
