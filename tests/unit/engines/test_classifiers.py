"""A document's label is read where the classifier has read the whole document."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import folders_made as made
import pytest
import torch
import transformers

from prox_spark.config.engines import TransformersSettings
from prox_spark.config.models import DocumentConfig
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.transformers_backend import TransformersBackend
from prox_spark.errors import RefinerError
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import definition
from prox_spark.generation.tokens import PromptTokenizer

PAGES = ["a page has a menu", "a page has some prose, a cookie banner", "a page of a footer"]
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "initializer_range": 0.6,
    "id2label": {0: "drop", 1: "keep"},
    "pad_token_id": 0,
}


def classifier(folder: Path, kind: str) -> None:
    """A random token classifier of this family, with the refiner.json of a document stage."""
    made.plain(folder)
    (folder / "model.safetensors").unlink()
    # Weights by which no two pages have the same score to four digits.
    torch.manual_seed(1)
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    config = getattr(transformers, f"{kind}Config")(vocab_size=size, **SIZES)
    getattr(transformers, f"{kind}ForTokenClassification")(config).save_pretrained(folder)
    stage = {"template": "text/1", "window": 200, "label": "keep"}
    (folder / "refiner.json").write_text(json.dumps({"name": "c", "context": 512, "document": stage}))


def scores(folder: Path) -> tuple[list[int], list[float]]:
    """Where each page's label is read, and what it is."""
    settings = TransformersSettings(kind="transformers", model=str(folder))
    refiner = plan_stage("document", DocumentConfig(engine=settings)).refiner
    prompter = Prompter(refiner, PromptTokenizer(folder))
    asked = [prompter.request(n, page, 0) for n, page in enumerate(prompter.ask(PAGES))]
    engine = TransformersBackend(wire.Hello("transformers", str(folder), 512, {}, refiner.label))

    async def all_of_them() -> list[wire.Answer]:
        return list(await asyncio.gather(*(engine.answer(wire.question(request)) for request in asked)))

    with ThreadPoolExecutor(max_workers=1) as pool:
        answers = pool.submit(lambda: asyncio.run(all_of_them())).result()
    places = [(request.positions or [-1])[0] - len(request.token_ids or []) for request in asked]
    return places, [(answer.scores or [0.0])[0] for answer in answers]


@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "GPT2"])
def test_a_causal_classifier_is_read_at_the_last_token(kind: str, tmp_path: Path) -> None:
    classifier(tmp_path, kind)
    places, found = scores(tmp_path)
    assert places == [-1, -1, -1]
    assert len({round(score, 4) for score in found}) == 3


@pytest.mark.parametrize("kind", ["Bert", "ModernBert"])
def test_a_bidirectional_classifier_is_read_at_the_first_token(kind: str, tmp_path: Path) -> None:
    classifier(tmp_path, kind)
    places, found = scores(tmp_path)
    assert all(place < -1 for place in places)
    assert len({round(score, 4) for score in found}) == 3


def test_only_a_label_at_the_end_is_in_a_fingerprint(tmp_path: Path) -> None:
    for kind, said in (("Llama", True), ("ModernBert", False)):
        classifier(tmp_path, kind)
        settings = TransformersSettings(kind="transformers", model=str(tmp_path))
        refiner = plan_stage("document", DocumentConfig(engine=settings)).refiner
        assert ("at_end" in definition(refiner)) is said


def test_a_causal_model_is_no_classifier(tmp_path: Path) -> None:
    for change in ({"score.weight": None}, {"score.bias": None}):
        classifier(tmp_path, "Llama")
        made.weights(tmp_path, lambda tensors, lost=change: {n: t for n, t in tensors.items() if n not in lost})
        with pytest.raises(RefinerError, match=f"lack {next(iter(change))} of LlamaForTokenClassification"):
            TransformersBackend(wire.Hello("transformers", str(tmp_path), 512, {}, 1))
