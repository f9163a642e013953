"""Training a line scorer: a small ModernBERT that gives P(keep) at the last token of each line.

The loss weighs a line by the square root of its words: between every line alike, which would learn menus, and every
word alike, which would learn long paragraphs.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from prox_spark.adapt.scoring import Scored, best_threshold
from prox_spark.adapt.settings import AdaptConfig, ScorerShape
from prox_spark.adapt.windows import EncodedPage, Window, batches, windows
from prox_spark.generation.prompts import Prompter

LABELS = {0: "remove", 1: "keep"}
_LOCAL = 128
_WARM_UP = 0.03
_FLOOR = 1 / 30
_POOL = 400
"""Windows that are sorted by length together, so that a step pads little and order stays random."""


def new_model(shape: ScorerShape, vocabulary: int, context: int, dropout: float) -> Any:
    """A ModernBERT token classifier with random weights."""
    from transformers import ModernBertConfig, ModernBertForTokenClassification

    config = ModernBertConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // 64,
        max_position_embeddings=context,
        local_attention=_LOCAL,
        global_attn_every_n_layers=2,
        embedding_dropout=dropout,
        mlp_dropout=dropout,
        classifier_dropout=dropout,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
        cls_token_id=None,
        sep_token_id=None,
        id2label=LABELS,
        label2id={label: number for number, label in LABELS.items()},
        attn_implementation="sdpa",
    )
    return ModernBertForTokenClassification(config)


def train(
    model: Any,
    prompter: Prompter,
    pages: Sequence[EncodedPage],
    validation: Mapping[str, Sequence[EncodedPage]],
    settings: AdaptConfig,
    report: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Train ``model`` in place and leave it with the weights of its best evaluation; returns that evaluation.

    Each epoch cuts the pages at other places. The same settings, pages and number of threads give the same weights.
    """
    import torch

    shuffled = random.Random(settings.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.05, betas=(0.9, 0.98))
    whole = sum(len(line or ()) for page in pages for line in page.encoded.ids) * settings.epochs
    best: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    seen, losses, evaluated = 0, [], 0
    model.train()
    for step, batch in enumerate(_steps(prompter, pages, settings, shuffled), 1):
        done = min(seen / whole, 1.0)
        rate = settings.learning_rate * _schedule(done)
        for group in optimizer.param_groups:
            group["lr"] = rate
        logits = _logits(model, batch)
        keep, words = (
            torch.from_numpy(np.concatenate([getattr(w, name) for w in batch])) for name in ("keep", "words")
        )
        weight = words.sqrt() + 0.5
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, keep, weight=weight, reduction="sum")
        loss = loss / weight.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen += sum(len(window.ids) for window in batch)
        losses.append(float(loss.detach()))
        if seen >= whole * (evaluated + 1) / settings.evaluations or seen >= whole:
            evaluated += 1
            scored = {name: score(model, prompter, chosen, settings) for name, chosen in validation.items()}
            threshold, f1 = best_threshold(list(scored.values()))
            found = {"step": step, "tokens": seen, "loss": float(np.mean(losses)), "threshold": threshold, "f1": f1}
            report(found)
            losses = []
            if f1 > best.get("f1", -1.0):
                best = found
                weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        if seen >= whole:
            break
    model.load_state_dict(weights)
    model.eval()
    return best


def score(model: Any, prompter: Prompter, pages: Sequence[EncodedPage], settings: AdaptConfig) -> Scored:
    """Logits of all lines of these pages, in windows as ``generate`` cuts them."""
    import torch

    training = model.training
    model.eval()
    chosen = [window for page in pages for window in windows(prompter, page, settings.window)]
    chosen.sort(key=lambda window: len(window.ids))
    logits = []
    with torch.inference_mode():
        for batch in batches(chosen, 2 * settings.batch_tokens):
            logits.append(_logits(model, batch).double().numpy())
    model.train(training)
    return Scored(
        np.concatenate(logits),
        np.concatenate([window.keep for window in chosen]),
        np.concatenate([window.words for window in chosen]),
    )


def _schedule(done: float) -> float:
    if done < _WARM_UP:
        return max(done / _WARM_UP, 0.02)
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * done))


def _steps(
    prompter: Prompter, pages: Sequence[EncodedPage], settings: AdaptConfig, shuffled: random.Random
) -> Iterator[list[Window]]:
    """Batches without end; every epoch with windows of another size, so that lines meet other neighbours."""
    while True:
        chosen: list[Window] = []
        for page in pages:
            size = shuffled.randint(settings.window // 2, settings.window)
            chosen.extend(windows(prompter, page, size))
        shuffled.shuffle(chosen)
        made: list[list[Window]] = []
        for start in range(0, len(chosen), _POOL):
            pool = sorted(chosen[start : start + _POOL], key=lambda window: len(window.ids))
            made.extend(batches(pool, settings.batch_tokens))
        shuffled.shuffle(made)
        yield from made


def _logits(model: Any, batch: Sequence[Window]) -> Any:
    """The log-odds of keep at every line of the batch, in order."""
    import torch

    width = max(len(window.ids) for window in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.zeros(len(batch), width, dtype=torch.long)
    for row, window in enumerate(batch):
        ids[row, : len(window.ids)] = torch.from_numpy(window.ids)
        mask[row, : len(window.ids)] = 1
    rows = torch.from_numpy(np.repeat(np.arange(len(batch)), [len(window.ends) for window in batch]))
    ends = torch.from_numpy(np.concatenate([window.ends for window in batch]))
    logits = model(input_ids=ids, attention_mask=mask).logits[rows, ends].float()
    return logits[:, 1] - logits[:, 0]
