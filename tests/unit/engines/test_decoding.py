"""The transformers engine decodes greedily to one set of end tokens, whatever a folder's generation_config.json asks for."""

import asyncio
import json
import math
from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import folders_made as made
import pytest
import torch

from prox_spark.engines.supervised import transformers_backend as backend
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.transformers_backend import TransformersBackend
from prox_spark.generation.tokens import PromptTokenizer
from prox_spark.programs import parse
from prox_spark.programs.grammar import EBNF

PROMPTS = ([0, 70, 71, 72], [0, 300], [0, 5, 9, 200, 201, 202, 203])


def question(number: int, prompt: Sequence[int], max_tokens: int = 12, grammar: str | None = None) -> wire.Question:
    return wire.Question(number, array("I", prompt).tobytes(), max_tokens, None, None, grammar)


def load(folder: Path) -> TransformersBackend:
    return TransformersBackend(wire.Hello("transformers", str(folder), 2048, {}))


def answers(engine: TransformersBackend, asked: Sequence[wire.Question]) -> list[wire.Answer]:
    async def all_of_them() -> list[wire.Answer]:
        return list(await asyncio.gather(*map(engine.answer, asked)))

    # In a thread of its own: the browser's tests leave a loop running in this one.
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(lambda: asyncio.run(all_of_them())).result()


def by_hand(
    engine: TransformersBackend, prompt: Sequence[int], stops: set[int], most: int = 12
) -> tuple[list[int], list[float]]:
    """The likeliest token after all before it, again and again."""
    ids, logprobs = list(prompt), []
    for _ in range(most):
        with torch.inference_mode():
            row = engine._model(input_ids=torch.tensor([ids])).logits[0, -1].float().log_softmax(-1)
        token = int(row.argmax())
        ids.append(token)
        logprobs.append(float(row[token]))
        if token in stops:
            break
    return ids[len(prompt) :], logprobs


@pytest.mark.parametrize(
    "asked",
    [
        {"num_beams": 4, "length_penalty": 2.0},
        {"repetition_penalty": 1.9, "no_repeat_ngram_size": 1},
        {"do_sample": True, "temperature": 2.0, "top_k": 3},
        {"suppress_tokens": list(range(2, 200)), "forced_eos_token_id": 1, "min_new_tokens": 7},
        {"max_length": 5, "bad_words_ids": [[70]], "exponential_decay_length_penalty": [1, 2.0]},
    ],
    ids=lambda asked: next(iter(asked)),
)
def test_greedy_is_greedy(asked: dict[str, Any], tmp_path: Path) -> None:
    made.plain(tmp_path)
    made.edit(tmp_path, "generation_config.json", **asked)
    engine = load(tmp_path)
    for prompt, answer in zip(PROMPTS, answers(engine, [question(n, p) for n, p in enumerate(PROMPTS)]), strict=True):
        ids, logprobs = by_hand(engine, prompt, {1})
        assert answer.token_ids == ids
        assert answer.token_logprobs == pytest.approx(logprobs, abs=1e-4)


@pytest.mark.parametrize("where", ["config.json", "generation_config.json", "tokenizer_config.json"])
def test_every_end_token_ends_an_answer(where: str, tmp_path: Path) -> None:
    made.plain(tmp_path)
    free = by_hand(load(tmp_path), PROMPTS[0], set())[0]
    end = next(token for token in free[1:] if token != free[0])
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        made.edit(tmp_path, name, **{("eos_token" if name.startswith("tok") else "eos_token_id"): ...})
    if where == "tokenizer_config.json":
        entries = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]
        made.edit(tmp_path, where, eos_token=next(entry for entry, number in entries.items() if number == end))
    else:
        made.edit(tmp_path, where, eos_token_id=[1, end])
    (answer,) = answers(load(tmp_path), [question(0, PROMPTS[0])])
    assert (answer.token_ids, answer.finish) == (free[: free.index(end) + 1], "stop")


def test_probabilities_under_a_grammar_are_the_models_own(tmp_path: Path) -> None:
    made.plain(tmp_path)
    engine = load(tmp_path)
    free, held = answers(engine, [question(0, PROMPTS[0]), question(1, PROMPTS[0], 40, EBNF)])
    assert held.token_ids is not None
    assert held.token_logprobs is not None
    assert free.token_ids != held.token_ids[:12]
    whole = [*PROMPTS[0], *held.token_ids]
    with torch.inference_mode():
        rows = engine._model(input_ids=torch.tensor([whole])).logits[0].float().log_softmax(-1)
    own = [float(rows[len(PROMPTS[0]) - 1 + place, token]) for place, token in enumerate(held.token_ids)]
    assert held.token_logprobs == pytest.approx(own, abs=1e-4)
    assert parse(PromptTokenizer(tmp_path).decode(held.token_ids)).calls


def test_a_step_is_bounded_by_its_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plain(tmp_path)
    engine = load(tmp_path)
    sizes: list[tuple[int, int]] = []
    run = engine._run

    def counted(batch: list[wire.Question]) -> list[wire.Answer]:
        sizes.append((len(batch), len(batch) * max(len(asked.token_ids) // 4 + asked.max_tokens for asked in batch)))
        return run(batch)

    monkeypatch.setattr(engine, "_run", counted)
    monkeypatch.setattr(backend, "_TOKENS", 600)
    lengths = [700, 20, 250, 30, 90, 25, 150, 20]
    found = answers(engine, [question(n, [0, *([9] * length)], 2) for n, length in enumerate(lengths)])
    assert [answer.id for answer in found] == list(range(8))
    assert all(tokens <= 600 or count == 1 for count, tokens in sizes)
    assert [count for count, _ in sizes] == [5, 2, 1]


def test_one_number_is_kept_of_a_vocabularys_logits(tmp_path: Path) -> None:
    chosen = backend._Chosen(None)
    logits = torch.full((2, 152_000), -3.0)
    logits[0, 7], logits[1, 9] = 5.0, 6.0
    for _ in range(3):
        assert chosen(None, logits) is logits
    expected = [[5.0 - math.log(math.exp(5) + 151_999 * math.exp(-3))] * 3]
    expected.append([6.0 - math.log(math.exp(6) + 151_999 * math.exp(-3))] * 3)
    assert [pytest.approx(row, abs=1e-4) for row in expected] == chosen.logprobs()
    assert sum(step.numel() for step in chosen._steps) == 6
