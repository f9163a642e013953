"""The training loop of a causal model on token shards.

An interrupted run resumes from its last saved state and, on a CPU, ends with the losses and weights of an uninterrupted run;
on a GPU, the last digits of sums vary from run to run. The sequences of a step are the same for every number of
processes; their gradients are then summed in another order, so that losses agree to rounding only.
"""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from prox_spark.config.pretrain import PretrainConfig
from prox_spark.pretraining.data import Order
from prox_spark.training.steps import (
    CHECKPOINT,
    check_skipped,
    load_checkpoint,
    parameter_groups,
    save_checkpoint,
    take_step,
    within_memory,
)

LOSSES = "losses.jsonl"
_BETAS = (0.9, 0.95)


@dataclass(slots=True)
class _State:
    """The state of a run."""

    step: int = 0
    skipped: int = 0
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    """Losses since the last evaluation."""


@dataclass(frozen=True)
class Run:
    """A finished run: its evaluations, and its seconds without interruptions."""

    curve: list[dict[str, float]]
    seconds: float


def train(
    model: Any,
    order: Order,
    settings: PretrainConfig,
    folder: Path,
    evaluate: Callable[[], dict[str, float]],
    report: Callable[[dict[str, float]], None],
    share: tuple[int, int] = (0, 1),
) -> Run:
    """Train ``model`` in place. ``folder`` keeps the saved state and the losses of all steps (``losses.jsonl``).

    ``evaluate`` measures the model; its numbers are recorded in the run's curve and reported. ``share`` is (rank, processes).
    Raises ``TrainingError`` if memory runs out, the loss is not a number, or the saved state belongs to another model.
    """
    import torch

    rank, processes = share
    optimizer = torch.optim.AdamW(
        parameter_groups(model, settings.weight_decay), lr=settings.learning_rate, betas=_BETAS
    )
    state, saved = _State(), folder / CHECKPOINT
    if saved.is_file():
        whole = load_checkpoint(saved, model, optimizer)
        state = _State(**whole["state"])
    losses = _Losses(folder / LOSSES, state.step) if rank == 0 else None
    started = time.monotonic() - state.seconds
    model.train()
    while state.step < settings.steps:
        rate = settings.learning_rate * schedule(state.step, settings.steps, settings.warm_up, settings.final_rate)
        for parameters in optimizer.param_groups:
            parameters["lr"] = rate
        with within_memory(f"step {state.step + 1}", smaller(settings)):
            loss = take_step(model, optimizer, _parts(model, order, settings, state.step, share), processes)
        state.step += 1
        if loss is None:
            state.skipped += 1
            check_skipped(state.skipped, state.step, "pretrain", settings.learning_rate)
        else:
            state.recent.append(_mean(loss, processes))
        tokens = state.step * settings.batch_tokens
        if losses is not None:
            last = state.recent[-1] if loss is not None else None
            losses.add({"step": state.step, "tokens": tokens, "loss": last, "learning_rate": rate})
        due = _due(state.step, settings)
        if due:
            mean = {"loss": sum(state.recent) / len(state.recent)} if state.recent else {}
            found = {"step": state.step, "tokens": tokens, **mean, **evaluate()}
            state.curve.append(found)
            state.recent = []
            if rank == 0:
                report(found)
        if due or state.step % settings.checkpoint_every == 0:
            state.seconds = time.monotonic() - started
            if losses is not None:
                losses.flush()
                _save(saved, state, model, optimizer)
    if losses is not None:
        losses.close()
    model.eval()
    return Run(state.curve, state.seconds)


def smaller(settings: PretrainConfig) -> str:
    """Advice for an out-of-memory error."""
    return f"lower pretrain.micro_batch ({settings.micro_batch}), pretrain.sequence or the model's size"


def schedule(step: int, steps: int, warm_up: int, floor: float) -> float:
    """Share of the peak rate at a step: a linear rise, then a cosine down to ``floor`` at the last step's end.

    As in the paper's repository (``get_lr``), except for the first step, which has rate 0 there. A warm-up that takes
    more than a tenth of a short run is cut to that.
    """
    warm_up = min(warm_up, steps // 10)
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    done = (step - warm_up) / max(steps - warm_up, 1)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def _parts(
    model: Any, order: Order, settings: PretrainConfig, step: int, share: tuple[int, int]
) -> list[tuple[float, Callable[[], Any]]]:
    """This process's share of a step: micro-batches with their weights."""
    import torch

    rank, processes = share
    device = next(model.parameters()).device
    own = settings.batch_tokens // settings.sequence // processes
    first = (step * processes + rank) * own

    def loss(start: int, stop: int) -> Any:
        ids = torch.from_numpy(order.batch(start, stop)).to(device)
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits.float()
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())

    bounds = [
        (at, min(at + settings.micro_batch, first + own)) for at in range(first, first + own, settings.micro_batch)
    ]
    return [((stop - start) / own, partial(loss, start, stop)) for start, stop in bounds]


def _mean(loss: Any, processes: int) -> float:
    """A step's loss over all processes."""
    import torch

    if processes > 1:
        torch.distributed.all_reduce(loss)
        loss = loss / processes
    return float(loss)


def _due(step: int, settings: PretrainConfig) -> bool:
    """Whether an evaluation is due between the previous step and this one."""
    count = min(settings.evaluations, settings.steps)
    return step * count // settings.steps > (step - 1) * count // settings.steps


def _save(saved: Path, state: _State, model: Any, optimizer: Any) -> None:
    whole = {
        "state": {name: getattr(state, name) for name in _State.__slots__},
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    save_checkpoint(saved, whole)


class _Losses:
    """The file of losses, one line per step; lines after the saved state are removed and computed again."""

    def __init__(self, file: Path, steps: int) -> None:
        kept = file.read_text(encoding="utf-8").splitlines()[:steps] if file.is_file() else []
        file.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._file = file.open("a", encoding="utf-8")

    def add(self, row: dict[str, float | None]) -> None:
        self._file.write(json.dumps(row) + "\n")

    def flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
