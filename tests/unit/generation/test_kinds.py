"""The registry of engine kinds: whatever has a list of kinds has this one."""

import ast
import importlib
import importlib.util
import inspect
import re
import textwrap
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from prox_spark.config.engines import ModelSettings
from prox_spark.config.load import engine_kinds
from prox_spark.config.models import ChunkConfig
from prox_spark.doctor.machine import _packages
from prox_spark.engines.supervised import supervisor
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.generation.kinds import KINDS, load_refiner, open_engine
from prox_spark.generation.plan import asked_for
from prox_spark.generation.refiner import Stage

ROOT = Path(__file__).parents[3]


def test_every_kind_that_a_configuration_may_name_is_registered() -> None:
    assert {name: kind.settings for name, kind in KINDS.items()} == engine_kinds()


def test_engines_with_a_model_are_those_whose_settings_say_so() -> None:
    assert {kind.settings for kind in KINDS.values() if kind.has_model} == set(get_args(ModelSettings))


def test_every_kind_has_an_engine() -> None:
    for name, kind in KINDS.items():
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind.open)))
        modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        if kind.runs == "executor":
            modules.append(f"{supervisor.__package__}.{name}_backend")
        for module in modules:
            assert module is not None
            assert importlib.util.find_spec(module) is not None, f"{name}: there is no {module}"
        if kind.runs == "executor":
            assert callable(importlib.import_module(modules[-1] or "").load)


def test_operational_keys_are_keys_of_the_settings() -> None:
    for kind in KINDS.values():
        assert set(kind.operational) <= kind.settings.model_fields.keys()


def test_every_kind_with_a_model_says_what_to_install_and_doctor_looks_for_it() -> None:
    needed = [kind.package[0] for kind in KINDS.values() if kind.package]
    assert len(needed) == sum(kind.has_model for kind in KINDS.values())
    assert list(_packages()) == needed
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for advice in _packages().values():
        assert "pip install" in advice
        assert set(re.findall(r"prox-spark\[(\w+)\]", advice)) <= set(extras)


def test_every_kind_is_documented() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert all(f"`engine.kind: {name}`" in page for name in KINDS)


def test_what_is_asked_for_leaves_out_how_it_runs() -> None:
    engine = {"kind": "openai", "model": "m", "refiner": "r", "base_url": "http://127.0.0.1/v1"}
    one = ChunkConfig.model_validate({"engine": engine, "min_keep_score": 0.3})
    other = ChunkConfig.model_validate({"engine": {**engine, "base_url": "http://127.0.0.2/v1", "retries": 1}})
    assert asked_for(one) == asked_for(other)
    assert asked_for(one) != asked_for(ChunkConfig.model_validate({"engine": {**engine, "model": "n"}}))
    vllm = {"kind": "vllm", "model": "m"}
    plain = asked_for(ChunkConfig.model_validate({"engine": vllm}))
    assert plain == asked_for(ChunkConfig.model_validate({"engine": {**vllm, "options": {"max_num_seqs": 8}}}))
    assert plain != asked_for(ChunkConfig.model_validate({"engine": {**vllm, "options": {"dtype": "half"}}}))


def test_what_is_asked_for_is_the_same_for_the_same_refiner() -> None:
    def asked(**engine: object) -> str:
        return asked_for(ChunkConfig.model_validate({"engine": engine}))

    assert asked(kind="vllm", model="m") == asked(kind="transformers", model="m")
    assert asked(kind="vllm", model="./m") == asked(kind="vllm", model=str(Path.cwd() / "m"))
    assert asked(kind="vllm", model="m") == asked(kind="onnx", model="m", precision="float32")
    plain = asked(kind="vllm", model="m")
    assert plain not in (asked(kind="onnx", model="m", precision="int8"), asked(kind="onnx", model="m"))
    assert plain == asked(kind="vllm", model="m", options={"dtype": "auto", "quantization": None})
    assert plain != asked(kind="vllm", model="n")


@pytest.mark.parametrize("kind", ["vllm", "transformers"])
def test_an_engine_is_shared_by_what_reads_the_same_files_of_the_same_package(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_tiny_model(tmp_path / "model", ["Home\nAbout"])
    section = ChunkConfig.model_validate({"engine": {"kind": kind, "model": str(folder)}})

    def hello(stage: Stage) -> Any:
        engine: Any = open_engine(section.engine, load_refiner(stage, section.engine))
        return engine._hello

    first = hello("chunk")
    assert first == hello("document")
    monkeypatch.setattr("prox_spark.generation.kinds.__version__", "9.9.9")
    assert first != hello("chunk")
    monkeypatch.undo()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\1\2\3")
    assert first != hello("chunk")
