"""The shipped line scorer in both precisions of the ``onnx`` engine: F1 on labelled pages, and scores near transformers'.

Slow: 218 pages, twice, take a minute of a core.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from prox_spark.config.engines import OnnxSettings, TransformersSettings
from prox_spark.engines.models import SHIPPED
from prox_spark.engines.onnx.scorer import Scorer
from prox_spark.generation.kinds import load_refiner
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.tokens import PromptTokenizer

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.slow

FOLDER = SHIPPED / "web-lines-2"


def scorer(int8: bool) -> Scorer:
    return Scorer(FOLDER, context=4096, label=1, int8=int8)


@pytest.fixture(scope="module")
def pages(shared: Path) -> list[tuple[dict[str, Any], Any, list[Any]]]:
    """Each page, what is asked about it, and its requests."""
    prompter = Prompter(load_refiner("chunk", OnnxSettings(kind="onnx", model="web-lines-2")), PromptTokenizer(FOLDER))
    with zstandard.open(shared / "gold" / "dev.jsonl.zst") as file:
        read = [json.loads(line) for line in io.TextIOWrapper(file, encoding="utf-8")]
    found = []
    for page, asked in zip(read, prompter.ask([page["raw_content"] for page in read]), strict=True):
        found.append((page, asked, [prompter.request(0, asked, index) for index in range(len(asked.chunks))]))
    return found


def test_int8_keeps_f1_within_two_thousandths(pages: list[tuple[dict[str, Any], Any, list[Any]]]) -> None:
    single, whole = scorer(False), scorer(True)
    figures = {threshold: np.zeros((2, 2)) for threshold in (0.2, 0.35)}
    apart = []
    for page, asked, requests in pages:
        lines = page["raw_content"].split("\n")
        words, keep = np.array([len(line.split()) for line in lines]), np.array(page["gold_keep"]) == 1
        scores = np.ones((2, len(lines)))
        for chunk, request in zip(asked.chunks, requests, strict=True):
            covered = slice(chunk.line_start, chunk.line_end + 1)
            scores[:, covered] = [one.score(request.token_ids, request.positions) for one in (single, whole)]
        apart.append(np.abs(scores[0] - scores[1]))
        for threshold, sums in figures.items():
            stays = scores >= threshold
            sums += np.stack([(words * (keep & stays)).sum(1), words[keep].sum() + (words * stays).sum(1)], axis=1)
    for sums in figures.values():
        f1 = 2 * sums[:, 0] / sums[:, 1]
        assert f1[1] == pytest.approx(f1[0], abs=0.002)
    assert np.concatenate(apart).mean() < 0.002


def test_single_precision_scores_real_pages_as_transformers_does(
    pages: list[tuple[dict[str, Any], Any, list[Any]]],
) -> None:
    import torch
    from transformers import AutoModelForTokenClassification

    label = load_refiner("chunk", TransformersSettings(kind="transformers", model="web-lines-2")).label
    model = AutoModelForTokenClassification.from_pretrained(FOLDER, dtype=torch.float32).eval()
    single = scorer(False)
    for request in [request for _, _, requests in pages[:8] for request in requests]:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([request.token_ids])).logits
        expected = logits.softmax(-1)[0, request.positions, label].tolist()
        assert single.score(request.token_ids, request.positions) == pytest.approx(expected, abs=1e-4)
