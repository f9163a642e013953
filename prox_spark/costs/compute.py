"""Cost of training and refining in floating-point operations, and when refining pays off.

The paper's accounting (ProX, appendix E.3, after Kaplan and others, 2020, arXiv 2001.08361): training costs 6·N·D, reading and
writing in inference 2·N·D, so refining in two stages costs 2·N·(D_raw + D_doc): the document stage reads everything,
the chunk stage the kept documents. N counts parameters without embeddings, as Kaplan's estimate does; D counts tokens,
here the measured ones: prompts and answers of each stage. Training the refiner is not counted, as in the paper.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_EMBEDDINGS = (
    *("embed_tokens", "tok_embeddings", "word_embeddings", "position_embeddings", "token_type_embeddings"),
    *("wte", "wpe", "embed_in", "embed_out", "lm_head"),
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """A model's number of parameters, and the number without input and output embeddings."""

    all: int
    without_embeddings: int


def count_parameters(tensors: Iterable[tuple[str, Sequence[int]]]) -> Parameters:
    """Count named tensors of these shapes; embeddings are recognised by their usual names."""
    whole = inner = 0
    for name, shape in tensors:
        size = math.prod(shape)
        whole += size
        if not any(part in _EMBEDDINGS for part in name.split(".")):
            inner += size
    return Parameters(whole, inner)


def llama_parameters(*, hidden: int, feed_forward: int, layers: int, heads: int, kv_heads: int) -> int:
    """Parameters without embeddings of a Llama of this shape: attention, gated feed-forward, norms."""
    attention = 2 * hidden * hidden + 2 * hidden * (hidden // heads) * kv_heads
    return layers * (attention + 3 * hidden * feed_forward + 2 * hidden) + hidden


def training_flops(parameters: int, tokens: float) -> float:
    """6·N·D: a forward and a backward pass over ``tokens``."""
    return 6.0 * parameters * tokens


def inference_flops(parameters: int, tokens: float) -> float:
    """2·N·D: a forward pass over ``tokens``, read or written."""
    return 2.0 * parameters * tokens


@dataclass(frozen=True, slots=True)
class Stage:
    """A refining stage: its model's parameters without embeddings (``None`` if they are not known, 0 if the stage
    runs no model), and the tokens of its prompts and answers."""

    stage: str
    refiner: str
    parameters: int | None
    prompt_tokens: int
    output_tokens: int

    @property
    def flops(self) -> float | None:
        """2·N·D of this stage, ``None`` if N is not known."""
        if self.parameters is None:
            return None
        return inference_flops(self.parameters, self.prompt_tokens + self.output_tokens)


def refining_flops(stages: Iterable[Stage]) -> float | None:
    """All stages together; ``None`` if one is not known."""
    found = [stage.flops for stage in stages]
    return None if any(one is None for one in found) else float(sum(one for one in found if one is not None))


@dataclass(frozen=True, slots=True)
class Point:
    """A model's quality after a number of training tokens, in bits per byte; lower is better."""

    tokens: int
    bits_per_byte: float


def tokens_to_reach(curve: Sequence[Point], bits_per_byte: float) -> float | None:
    """Training tokens after which a curve first reaches ``bits_per_byte``; ``None`` if it never does.

    Between two points, it is interpolated linearly over the logarithm of the tokens. If the first point is already as good, its
    tokens are returned, which is an upper bound.
    """
    before: Point | None = None
    for point in sorted(curve, key=lambda one: one.tokens):
        if point.bits_per_byte <= bits_per_byte:
            if before is None or before.bits_per_byte <= point.bits_per_byte:
                return float(point.tokens)
            share = (before.bits_per_byte - bits_per_byte) / (before.bits_per_byte - point.bits_per_byte)
            low, high = math.log(before.tokens), math.log(point.tokens)
            return math.exp(low + share * (high - low))
        before = point
    return None


@dataclass(frozen=True, slots=True)
class Trained:
    """A model in the comparison. ``refining`` is the whole corpus's cost, ``None`` if it is not known; ``corpus``
    the number of its tokens; the model was trained on ``tokens`` (more than ``corpus`` if they were repeated)."""

    name: str
    parameters: int
    tokens: int
    corpus: int
    curve: tuple[Point, ...]
    refining: float | None = 0.0

    def cost(self, tokens: float) -> float:
        """FLOPs of training on this many tokens."""
        return training_flops(self.parameters, tokens)

    def charged(self, tokens: float) -> float | None:
        """FLOPs of refining charged to training on this many tokens: the share of the refined corpus that it reads."""
        if self.refining is None:
            return None
        return self.refining * min(1.0, tokens / self.corpus) if self.corpus else self.refining


def account(models: Sequence[Trained]) -> list[dict[str, Any]]:
    """One row per model: its cost, and what refining saves compared with the first model (usually the raw corpus's).

    ``break_even_tokens``: the training tokens that cost as much as the charged refining. ``first_needs_tokens``: the tokens
    with which the first model reaches this model's final quality; ``needs_tokens``: the tokens with which this model reaches
    the first model's final quality; ``None``: not reached. ``saved_flops``: how much less this model costs, refining included,
    than the first at equal quality: the first's final quality if this one reaches it, else this one's if the first reaches it;
    negative if refining costs more than it saves, ``None`` if neither is reached or the refining's cost is not known.
    """
    return [_row(model, models[0]) for model in models]


def _row(model: Trained, first: Trained) -> dict[str, Any]:
    charged = model.charged(model.tokens)
    row: dict[str, Any] = {
        "model": model.name,
        "parameters": model.parameters,
        "tokens": model.tokens,
        "training_flops": model.cost(model.tokens),
        "refining_flops": model.refining,
        "charged_refining_flops": charged,
        "total_flops": None if charged is None else model.cost(model.tokens) + charged,
        "break_even_tokens": None if charged is None else charged / model.cost(1),
    }
    if model is first:
        return row
    needs = tokens_to_reach(model.curve, _end(first)) if first.curve else None
    first_needs = tokens_to_reach(first.curve, _end(model)) if model.curve else None
    # At equal quality: the first one's final quality if both reach it, else this one's.
    mine, theirs = (needs, first.tokens) if needs is not None else (model.tokens, first_needs)
    saved = None if theirs is None else _saved(model, mine, first, theirs)
    return row | {"needs_tokens": needs, "first_needs_tokens": first_needs, "saved_flops": saved}


def _saved(model: Trained, tokens: float, first: Trained, first_tokens: float) -> float | None:
    charged, first_charged = model.charged(tokens), first.charged(first_tokens)
    if charged is None or first_charged is None:
        return None
    return first.cost(first_tokens) + first_charged - model.cost(tokens) - charged


def _end(model: Trained) -> float:
    return max(model.curve, key=lambda one: one.tokens).bits_per_byte


def curve_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Point, ...]:
    """The points of ``pretraining.json``'s ``curve`` that were measured."""
    return tuple(Point(int(row["tokens"]), float(row["bits_per_byte"])) for row in rows if "bits_per_byte" in row)
