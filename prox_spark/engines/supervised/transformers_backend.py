"""Hugging Face transformers inside the supervisor: greedy generation in batches of prompts of like length."""

import asyncio
import math
from collections import deque
from pathlib import Path
from typing import Any

from prox_spark.engines.folders import check_fit, read_folder, stop_ids
from prox_spark.engines.supervised import wire
from prox_spark.engines.supervised.backend import EngineDiedError
from prox_spark.engines.supervised.precision import slow_bfloat16
from prox_spark.engines.supervised.whole import load_whole

_BATCH = 16
"""Prompts of one step: the middle way between padding lost and matrices too small."""

_TOKENS = 16384
"""Tokens of one step, padding and output included: memory grows with these. A longer prompt is a step alone."""


def load(hello: wire.Hello) -> "TransformersBackend":
    """The engine with the model that ``hello`` names. Raises whatever it raises."""
    return TransformersBackend(hello)


class TransformersBackend:
    """One causal language model or token classifier. Waiting questions are sorted by length; each batch runs in a thread."""

    def __init__(self, hello: wire.Hello) -> None:
        import torch

        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._label = hello.label
        folder = read_folder(Path(hello.model))
        check_fit(folder, "transformers", label=hello.label, options=hello.options)
        dtype = torch.float32 if self._device == "cpu" and slow_bfloat16() else "auto"
        self._model = load_whole(folder.path, hello.label, dtype=dtype).to(self._device).eval()
        self._folder = hello.model
        if hello.label is None:
            self._stops = stop_ids(folder)
            # Nothing of the folder's own settings: beams, penalties and forced tokens are not greedy.
            self._model.generation_config = _greedy(self._stops)
        self._context = hello.context
        self._grammars: dict[str, Any] = {}
        self._waiting: deque[tuple[wire.Question, asyncio.Future[wire.Answer]]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._broken: str | None = None

    async def answer(self, asked: wire.Question) -> wire.Answer:
        """Answer one question."""
        if len(asked.token_ids) // 4 + asked.max_tokens > self._context:
            raise ValueError(f"prompt and output are longer than the context of {self._context} tokens")
        future: asyncio.Future[wire.Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    def dead(self) -> str | None:
        """Why the model answers no more: after an error of its GPU nothing runs there until the process ends."""
        return self._broken

    async def _work(self) -> None:
        while self._waiting:
            # One turn of the loop first, so that questions of one message come into one sort.
            await asyncio.sleep(0)
            waiting = sorted((item for item in self._waiting if not item[1].done()), key=lambda item: _kind(item[0]))
            self._waiting.clear()
            if not waiting:
                return
            first = _kind(waiting[0][0])[:3]
            alike = [item for item in waiting[:_BATCH] if _kind(item[0])[:3] == first]
            batch = alike[: _fitting([item[0] for item in alike])]
            self._waiting.extend(waiting[len(batch) :])
            for (_, future), answer in zip(batch, await self._answers([asked for asked, _ in batch]), strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    async def _answers(self, batch: list[wire.Question]) -> list[wire.Answer | Exception]:
        """An answer for each question, or what failed it; where a batch fails each is asked alone, and costs only itself."""
        try:
            return [*await asyncio.to_thread(self._run, batch)]
        except Exception as error:  # noqa: BLE001 -- these requests' outcome; the others go on
            said = f"{type(error).__name__}: {error}"
            if "CUDA error" in said:
                self._broken = f"the engine died: {said.splitlines()[0]}"
        if self._broken is not None:
            return [EngineDiedError(self._broken)] * len(batch)
        if len(batch) == 1:
            return [RuntimeError(said)]
        return [one for asked in batch for one in await self._answers([asked])]

    def _run(self, batch: list[wire.Question]) -> list[wire.Answer]:
        import torch

        prompts = [wire.integers(asked.token_ids) for asked in batch]
        if self._label is not None:
            return self._scored(batch, prompts)
        width = max(map(len, prompts))
        # Padded on the left, so that every prompt ends where the output begins; the mask hides what is padded.
        ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts], device=self._device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=self._device)
        with torch.inference_mode():
            if batch[0].decision is not None:
                positions = (mask.cumsum(-1) - 1).clamp(min=0)
                logits = self._model(
                    input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=1
                ).logits
                return [_decided(asked, row[-1].float().tolist()) for asked, row in zip(batch, logits, strict=True)]
            chosen = _Chosen(self._constraint(batch[0].grammar))
            output = self._model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=batch[0].max_tokens, logits_processor=[chosen]
            )
        rows = zip(batch, output[:, width:].tolist(), chosen.logprobs(), strict=True)
        return [self._generated(asked, ids, scores) for asked, ids, scores in rows]

    def _scored(self, batch: list[wire.Question], prompts: list[list[int]]) -> list[wire.Answer]:
        """P(label) at the positions of each prompt; padded on the right, the mask hides what is padded."""
        import torch

        width = max(map(len, prompts))
        ids = torch.tensor([prompt + [0] * (width - len(prompt)) for prompt in prompts], device=self._device)
        mask = torch.tensor([[1] * len(p) + [0] * (width - len(p)) for p in prompts], device=self._device)
        with torch.inference_mode():
            logits = self._model(input_ids=ids, attention_mask=mask).logits
        probabilities = logits.float().softmax(-1)[..., self._label]
        return [
            wire.Answer(id=asked.id, scores=row[wire.integers(asked.positions or b"")].tolist())
            for asked, row in zip(batch, probabilities, strict=True)
        ]

    def _generated(self, asked: wire.Question, tokens: list[int], logprobs: list[float]) -> wire.Answer:
        length = next((place + 1 for place, token in enumerate(tokens) if token in self._stops), None)
        return wire.Answer(
            id=asked.id,
            token_ids=tokens[:length],
            token_logprobs=logprobs[:length],
            finish="length" if length is None else "stop",
        )

    def _constraint(self, grammar: str | None) -> Any:
        """A logits processor that holds the output to ``grammar``; one is good for one call."""
        if grammar is None:
            return None
        import xgrammar
        from xgrammar.contrib.hf import LogitsProcessor

        if grammar not in self._grammars:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(self._folder, trust_remote_code=False)
            size = self._model.config.get_text_config().vocab_size
            stops = list(self._stops) or None
            info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=size, stop_token_ids=stops)
            self._grammars[grammar] = xgrammar.GrammarCompiler(info).compile_grammar(grammar)
        return LogitsProcessor(self._grammars[grammar])


class _Chosen:
    """A logits processor that notes the log-probability of each greedy token: one number of a whole vocabulary's.

    ``constraint`` is the processor that says which tokens may follow, where there is one; probabilities are the model's own.
    """

    def __init__(self, constraint: Any) -> None:
        self._constraint = constraint
        self._steps: list[Any] = []

    def __call__(self, ids: Any, logits: Any) -> Any:
        whole = logits.float().logsumexp(-1)
        # A constraint writes into what it is given.
        held = logits if self._constraint is None else self._constraint(ids, logits.clone())
        chosen = logits.gather(-1, held.argmax(-1, keepdim=True)).squeeze(-1).float()
        self._steps.append(chosen - whole)
        return held

    def logprobs(self) -> list[list[float]]:
        """Those of each row."""
        import torch

        found: list[list[float]] = torch.stack(self._steps, dim=1).tolist()
        return found


def _greedy(stops: tuple[int, ...]) -> Any:
    """The settings of greedy decoding up to one of ``stops``."""
    from transformers import GenerationConfig

    return GenerationConfig(do_sample=False, num_beams=1, pad_token_id=0, eos_token_id=list(stops) or None)


def _fitting(batch: list[wire.Question]) -> int:
    """How many of these questions, in the order of their length, make one step."""
    for number, asked in enumerate(batch):
        if number and (number + 1) * (len(asked.token_ids) // 4 + asked.max_tokens) > _TOKENS:
            return number
    return len(batch)


def _kind(asked: wire.Question) -> tuple[bool, str, int, int]:
    """What may share a batch (the first three), then the length."""
    return asked.decision is not None, asked.grammar or "", asked.max_tokens, len(asked.token_ids)


def _decided(asked: wire.Question, logits: list[float]) -> wire.Answer:
    if asked.decision is None:
        raise ValueError("a question without a decision")
    keep, drop = (logits[token] for token in asked.decision)
    return wire.Answer(id=asked.id, keep_score=1.0 / (1.0 + math.exp(min(drop - keep, 700.0))))
