"""The training loop, the same for every task: schedule, averaging, evaluations, checkpoints.

An interrupted run resumes from its last evaluation. Random numbers depend on the seed, the epoch and the step, so on a CPU the
final weights are those of an uninterrupted run; on a GPU, the last digits of sums vary from run to run.
"""

import math
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from prox_spark.config.adapt import AdaptConfig
from prox_spark.errors import TrainingError
from prox_spark.training.steps import (
    CHECKPOINT,
    check_skipped,
    load_checkpoint,
    parameter_groups,
    save_checkpoint,
    take_step,
    within_memory,
)

_WARM_UP = 0.03


class Task(Protocol):
    """A training task: batches, their loss, and an evaluation."""

    def epoch(self, number: int) -> Sequence[Any]:
        """The batches of an epoch, in order; the same for the same number."""
        ...

    def tokens(self, batch: Any) -> int:
        """Tokens of a batch, without padding."""
        ...

    def loss(self, model: Any, batch: Any) -> Any:
        """The batch's mean loss."""
        ...

    def evaluate(self, model: Any) -> dict[str, float]:
        """Scores of ``model`` on the validation pages, including ``f1``."""
        ...


@dataclass(slots=True)
class _State:
    """The state of a run."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seen: int = 0
    evaluated: int = 0
    skipped: int = 0
    seconds: float = 0.0
    best: dict[str, float] = field(default_factory=dict)


def train(
    model: Any,
    task: Task,
    settings: AdaptConfig,
    folder: Path,
    report: Callable[[dict[str, float]], None],
    share: tuple[int, int] = (0, 1),
) -> dict[str, float]:
    """Train ``model`` in place and leave it with the weights of its best evaluation; returns that evaluation.

    ``folder`` keeps the checkpoint. ``share`` is (rank, processes) if several processes train together: each takes its
    batches of a step, gradients are averaged, and all end with the same weights. Raises ``TrainingError`` if memory runs
    out or the loss is no longer a number.
    """
    import torch

    rank, processes = share
    optimizer = torch.optim.AdamW(
        parameter_groups(model, settings.weight_decay), lr=settings.learning_rate, betas=(0.9, 0.98)
    )
    first = task.epoch(0)
    if len(first) < processes:
        raise TrainingError(
            f"{len(first)} batches in an epoch for {processes} processes: lower adapt.batch_tokens "
            f"({settings.batch_tokens}) or adapt.processes"
        )
    whole = max(sum(map(task.tokens, first)) * settings.epochs, 1.0)
    state = _State()
    best: dict[str, Any] = {}
    average = {name: value.detach().clone() for name, value in model.state_dict().items()} if settings.average else None
    saved = folder / CHECKPOINT
    if saved.is_file():
        state, best, average = _resume(saved, model, optimizer)
    losses: list[Any] = []
    started = time.monotonic() - state.seconds
    model.train()
    while state.seen < whole:
        batches = task.epoch(state.epoch) if state.epoch else first
        for group in _steps(batches, processes, state.batch):
            rate = settings.learning_rate * _schedule(min(state.seen / whole, 1.0), settings.final_rate)
            for parameters in optimizer.param_groups:
                parameters["lr"] = rate
            torch.manual_seed(zlib.crc32(f"{settings.seed}/{state.step}/{rank}".encode()))
            with within_memory(f"step {state.step + 1}", smaller(settings)):
                loss = take_step(model, optimizer, [(1.0, partial(task.loss, model, group[rank]))], processes)
            state.step += 1
            state.batch += 1
            if loss is not None:
                losses.append(loss)
            else:
                state.skipped += 1
                check_skipped(state.skipped, state.step, "adapt", settings.learning_rate)
            state.seen += sum(map(task.tokens, group))
            if average is not None:
                _blend(average, model, min(settings.average, (1 + state.step) / (10 + state.step)))
            if state.seen >= whole * (state.evaluated + 1) / settings.evaluations or state.seen >= whole:
                state.evaluated += 1
                mean = float(torch.stack(losses).mean()) if losses else float("nan")
                losses = []
                found = {"step": state.step, "tokens": state.seen, "loss": mean}
                with within_memory("an evaluation", smaller(settings)):
                    found |= _evaluated(model, task, average)
                if rank == 0:
                    report(found)
                if found["f1"] > state.best.get("f1", -1.0):
                    state.best = found
                    chosen = average if average is not None else model.state_dict()
                    best = {name: value.detach().clone() for name, value in chosen.items()}
                state.seconds = time.monotonic() - started
                if rank == 0:
                    _save(saved, state, best, average, model, optimizer)
            if state.seen >= whole:
                break
        else:
            state.epoch += 1
            state.batch = 0
    model.load_state_dict(best)
    model.eval()
    return {**state.best, "seconds": state.seconds}


def smaller(settings: AdaptConfig) -> str:
    """Advice for an out-of-memory error."""
    return f"lower adapt.batch_tokens ({settings.batch_tokens}), adapt.window or the model's size"


def _steps(batches: Sequence[Any], processes: int, first: int) -> Iterator[Sequence[Any]]:
    """The batches of each step from step ``first`` on, one per process; an incomplete last step is skipped."""
    for start in range(first * processes, len(batches) - processes + 1, processes):
        yield batches[start : start + processes]


def _schedule(done: float, floor: float) -> float:
    if done < _WARM_UP:
        return max(done / _WARM_UP, 0.02)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def _blend(average: dict[str, Any], model: Any, decay: float) -> None:
    import torch

    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, 1 - decay)
            else:
                average[name].copy_(value)


def _evaluated(model: Any, task: Task, average: dict[str, Any] | None) -> dict[str, float]:
    """``task.evaluate`` with the averaged weights if there are any, else with the model's own."""
    own = None
    if average is not None:
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(average)
    model.eval()
    found = task.evaluate(model)
    model.train()
    if own is not None:
        model.load_state_dict(own)
    return found


def _save(
    saved: Path, state: _State, best: dict[str, Any], average: dict[str, Any] | None, model: Any, optimizer: Any
) -> None:
    whole = {
        "state": {name: getattr(state, name) for name in _State.__slots__},
        "best": best,
        "average": average,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    save_checkpoint(saved, whole)


def _resume(saved: Path, model: Any, optimizer: Any) -> tuple[_State, dict[str, Any], dict[str, Any] | None]:
    whole = load_checkpoint(saved, model, optimizer)
    return _State(**whole["state"]), whole["best"], whole["average"]
