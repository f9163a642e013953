"""Refiners that score: P(keep) of every line, or of a document, from one prefill of a token classifier, no decoding.

Slow: vLLM starts once for each stage.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine_helpers import end_engine, run

from prox_spark.config.engines import EngineSettings, OnnxSettings, TransformersSettings, VllmSettings
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import RefinerError

pytestmark = [pytest.mark.engine, pytest.mark.slow]

ENGINES: dict[str, Callable[[str], EngineSettings]] = {
    "onnx": lambda folder: OnnxSettings(kind="onnx", model=folder),
    "vllm": lambda folder: VllmSettings(kind="vllm", model=folder, options={"dtype": "float32"}),
}
TEXT = "Home About Contact\n\nThis page tells of a house by the sea, and of who lived there.\nWe use cookies. Accept"


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A random ModernBERT with two classes, on the tokenizer of the tiny model."""
    import torch
    from transformers import ModernBertConfig, ModernBertForTokenClassification

    folder = build_tiny_model(tmp_path_factory.mktemp("scorer"), [TEXT])
    (folder / "model.safetensors").unlink()
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=json.loads((folder / "config.json").read_text())["vocab_size"],
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=1024,
        id2label={0: "drop", 1: "keep"},
        label2id={"drop": 0, "keep": 1},
        initializer_range=0.5,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=1,
        cls_token_id=0,
        sep_token_id=1,
    )
    ModernBertForTokenClassification(config).save_pretrained(folder)
    stage = {"template": "text/1", "window": 200, "label": "keep"}
    refiner = {"name": "scorer", "context": 512, "document": stage, "chunk": {**stage, "numbering": "none"}}
    (folder / "refiner.json").write_text(json.dumps(refiner))
    yield folder
    end_engine()


@pytest.mark.parametrize("kind", ["onnx", "vllm"])
@pytest.mark.parametrize("stage", ["chunk", "document"])
def test_every_engine_scores_as_transformers_does(scorer: Path, stage: str, kind: str) -> None:
    texts = [TEXT, "\n".join([TEXT] * 12), "one line"]
    expected = run(stage, TransformersSettings(kind="transformers", model=str(scorer)), texts)
    found = run(stage, ENGINES[kind](str(scorer)), texts)
    assert found.keys() == expected.keys()
    for key, row in found.items():
        assert row["status"] == "ok"
        assert row["output_tokens"] == 0
        if stage == "document":
            assert row["keep_score"] == pytest.approx(expected[key]["keep_score"], abs=1e-4)
            continue
        assert len(row["line_scores"]) == row["line_end"] - row["line_start"] + 1
        assert row["line_scores"] == pytest.approx(expected[key]["line_scores"], abs=1e-4)
    if stage == "chunk":
        scores = [score for row in found.values() for score in row["line_scores"]]
        assert len({round(score, 3) for score in scores}) > 3, "every line has the same score"


def test_a_label_that_the_model_does_not_have_is_refused(scorer: Path) -> None:
    refiner = json.loads((scorer / "refiner.json").read_text())
    refiner["chunk"]["label"] = "good"
    (scorer / "refiner.json").write_text(json.dumps(refiner))
    with pytest.raises(RefinerError, match=r"'good', but id2label in config\.json has drop, keep"):
        run("chunk", TransformersSettings(kind="transformers", model=str(scorer)), [TEXT])
