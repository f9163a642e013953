"""vLLM on a real GPU, by the code that the other tests run on a CPU. Skipped where there is none."""

import shutil
from pathlib import Path

import pytest
from engine_helpers import end_engine, run

from prox_spark.config.engines import TransformersSettings, VllmSettings
from prox_spark.engines.tiny import build_tiny_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="this machine has no GPU"),
]

TEXT = "Home About Contact\nThis page tells of a house by the sea, and of who lived there.\nWe use cookies. Accept\n"


def test_vllm_decides_on_a_gpu_as_transformers_does(tmp_path: Path) -> None:
    model = str(build_tiny_model(tmp_path / "tiny", [TEXT + "remove_lines keep_doc drop_doc untouch_doc\n"]))
    texts = [TEXT * n for n in range(1, 12)]
    try:
        vllm = run("document", VllmSettings(kind="vllm", model=model, options={"dtype": "float32"}), texts)
        transformers = run("document", TransformersSettings(kind="transformers", model=model), texts)
    finally:
        end_engine()
    for key, row in vllm.items():
        assert row["status"] == "ok"
        assert row["keep_score"] == pytest.approx(transformers[key]["keep_score"], abs=1e-2)


def test_programs_on_a_gpu_keep_to_the_grammar(tmp_path: Path) -> None:
    model = str(build_tiny_model(tmp_path / "tiny", [TEXT + "remove_lines keep_doc drop_doc untouch_doc\n"]))
    try:
        rows = run("chunk", VllmSettings(kind="vllm", model=model), [TEXT * n for n in (1, 5, 60)])
    finally:
        end_engine()
    assert {row["status"] for row in rows.values()} <= {"ok", "truncated"}
