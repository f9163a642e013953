"""Greedy means greedy in every engine, whatever ``generation_config.json`` asks for: the same answers and scores as the likeliest
token after all before it, again and again.

Slow: vLLM starts once. Token classifiers, which ``onnx`` runs too, are compared in ``test_line_scores.py``.
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from endpoint import Handler, serving
from engine_helpers import end_engine, run

from prox_spark.config.engines import EngineSettings, OpenaiSettings, TransformersSettings, VllmSettings
from prox_spark.config.models import ChunkConfig, DocumentConfig
from prox_spark.generation.plan import plan_stage
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.tokens import PromptTokenizer

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "engines"))

import folders_made as made
from servers import answer

pytestmark = [pytest.mark.engine, pytest.mark.slow]

TEXTS = ["A page has a menu.\nSome prose of a page.", "A footer\nand a cookie banner", "[doc]\nA page."]
MOST = 16
NOT_GREEDY = {
    "do_sample": True,
    "temperature": 1.7,
    "top_k": 3,
    "top_p": 0.5,
    "num_beams": 3,
    "length_penalty": 2.0,
    "repetition_penalty": 1.8,
    "no_repeat_ngram_size": 1,
    "suppress_tokens": [5, 6, 7],
    "begin_suppress_tokens": [8, 9],
    "bad_words_ids": [[70], [71]],
    "forced_bos_token_id": 3,
    "forced_eos_token_id": 1,
    "min_length": 9,
    "min_new_tokens": 7,
    "max_new_tokens": 2,
    "exponential_decay_length_penalty": [1, 2.0],
}


@dataclass
class Model:
    """A folder, its weights, and what they answer by hand."""

    folder: Path
    weights: Any
    stops: frozenset[int] = frozenset()

    def next(self, ids: list[int], penalty: float = 1.0) -> Any:
        """Log-probabilities of the next token; a repetition penalty is applied as its paper says."""
        import torch

        with torch.inference_mode():
            logits = self.weights(input_ids=torch.tensor([ids])).logits[0, -1].float()
        logits = logits.clone()
        seen = torch.tensor(sorted(set(ids)))
        logits[seen] = torch.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)
        return logits.log_softmax(-1)

    def write(self, prompt: list[int], most: int, penalty: float = 1.0) -> tuple[list[int], list[float]]:
        ids: list[int] = []
        logprobs: list[float] = []
        while len(ids) < most and not (ids and ids[-1] in self.stops):
            row = self.next([*prompt, *ids], penalty)
            ids.append(int(row.argmax()))
            logprobs.append(float(row[ids[-1]]))
        return ids, logprobs

    def serve(self, handler: Handler, payload: dict[str, Any]) -> None:
        """As vLLM's server, which takes ``generation_config.json`` for what a request leaves out."""
        prompt = payload["prompt"]
        if not all(isinstance(token, int) for token in prompt) or payload.get("temperature") != 0:
            handler.say(500, b'{"error": "sampled"}')
            return
        if wanted := payload.get("logprob_token_ids"):
            row = self.next(prompt)
            top = {f"token_id:{token}": float(row[token]) for token in wanted}
            answer(handler, "x", "length", logprobs={"top_logprobs": [top]})
            return
        ids, logprobs = self.write(prompt, payload["max_tokens"], payload.get("repetition_penalty", 1.8))
        finish = "stop" if ids[-1] in self.stops else "length"
        answer(handler, "text", finish, token_ids=ids, logprobs={"token_logprobs": logprobs})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("greedy")
    made.plain(folder)
    found = Model(folder, AutoModelForCausalLM.from_pretrained(folder).eval())
    # An end token that one of the answers has, which only the model's settings name.
    free = found.write(prompts(folder, "chunk")[0], MOST)[0]
    end = next(token for token in free[2:] if token not in free[:2])
    made.edit(folder, "generation_config.json", eos_token_id=[1, end], **NOT_GREEDY)
    found.stops = frozenset({1, end})
    yield found
    end_engine()


def prompts(folder: Path, stage: Any) -> list[list[int]]:
    section = {"chunk": ChunkConfig, "document": DocumentConfig}[stage]
    plan = plan_stage(stage, section(engine=TransformersSettings(kind="transformers", model=str(folder))))
    prompter = Prompter(plan.refiner, PromptTokenizer(folder), plan.prefix)
    return [prompter.request(0, asked, 0).token_ids or [] for asked in prompter.ask(TEXTS)]


@pytest.fixture(params=["transformers", "openai", "vllm"])
def engine(request: pytest.FixtureRequest, model: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineSettings]:
    folder = str(model.folder)
    if request.param == "openai":
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with serving(lambda payload: None, model.serve) as server:
            yield OpenaiSettings(kind="openai", model="m", base_url=server.url, refiner=folder)
    elif request.param == "vllm":
        yield VllmSettings(kind="vllm", model=folder, options={"dtype": "float32"})
    else:
        yield TransformersSettings(kind="transformers", model=folder)


def test_every_engine_writes_and_decides_by_the_likeliest_token(model: Model, engine: EngineSettings) -> None:
    tokenizer = PromptTokenizer(model.folder)
    expected = [tokenizer.decode(model.write(prompt, MOST)[0]).strip(" ") for prompt in prompts(model.folder, "chunk")]
    rows = run("chunk", engine, TEXTS, grammar=False, max_tokens=MOST)
    assert [rows[f"d{number}", 0]["output"] for number in range(len(TEXTS))] == expected

    rows = run("document", engine, TEXTS)
    keep, drop = tokenizer.decision_ids(("keep", "drop"))
    for number, prompt in enumerate(prompts(model.folder, "document")):
        row = model.next(prompt)
        score = 1 / (1 + math.exp(float(row[drop] - row[keep])))
        assert rows[f"d{number}", 0]["keep_score"] == pytest.approx(score, abs=1e-4)
