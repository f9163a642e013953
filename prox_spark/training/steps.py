"""Optimizer steps and checkpoints, the same for refiners (``adapt``) and for models of a corpus (``pretrain``)."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prox_spark.atomic import whole_file
from prox_spark.errors import TrainingError

CHECKPOINT = "checkpoint.pt"
_SKIPPED = 0.01
"""Share of steps without a usable gradient above which training stops."""


def parameter_groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """For the optimizer: matrices decay; biases and norms do not."""
    named = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in named if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in named if p.ndim <= 1], "weight_decay": 0.0},
    ]


def take_step(model: Any, optimizer: Any, losses: Iterable[tuple[float, Callable[[], Any]]], processes: int = 1) -> Any:
    """One step; returns this process's loss, or ``None`` if the step was skipped because its gradient was not a number.

    ``losses`` are the parts of this process's share, computed one after another (in bfloat16 on a GPU), with weights
    that sum to 1. Gradients are averaged over ``processes`` and clipped to a norm of 1.
    """
    import torch

    device = next(model.parameters()).device
    optimizer.zero_grad()
    whole: Any = 0.0
    for weight, compute in losses:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            loss = compute()
        (loss * weight).backward()
        whole = whole + loss.detach().float() * weight
    if processes > 1:
        for parameter in model.parameters():
            if parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad.div_(processes)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if not torch.isfinite(norm):
        return None
    optimizer.step()
    return whole


def check_skipped(skipped: int, steps: int, section: str, rate: float) -> None:
    """Raise ``TrainingError`` if too many steps were skipped; ``section`` is the configuration's."""
    if skipped > max(10, _SKIPPED * steps):
        raise TrainingError(
            f"the gradient was not a number in {skipped} of {steps} steps: lower {section}.learning_rate ({rate})"
        )


@contextmanager
def within_memory(where: str, advice: str) -> Iterator[None]:
    """Raise ``TrainingError`` with the advice if the block runs out of memory, on an accelerator or on this machine."""
    import torch

    try:
        yield
    except RuntimeError as error:
        # torch has no separate error class for CPU memory.
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise TrainingError(f"out of memory in {where}: {advice} ({str(error).splitlines()[0]})") from error


def save_checkpoint(file: Path, whole: dict[str, Any]) -> None:
    """Save the whole state, including torch's random state, in one file, written atomically."""
    import torch

    with whole_file(file) as partial:
        torch.save({**whole, "random": torch.get_rng_state()}, partial)


def load_checkpoint(file: Path, model: Any, optimizer: Any) -> dict[str, Any]:
    """The state that ``save_checkpoint`` wrote; loads ``model`` and ``optimizer`` into those given and restores the random
    state.

    Raises ``TrainingError`` if it belongs to another model or cannot be read. No code in the file is run.
    """
    import pickle

    import torch

    device = next(model.parameters()).device
    try:
        whole: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
        model.load_state_dict(whole["model"])
        optimizer.load_state_dict(whole["optimizer"])
        torch.set_rng_state(whole["random"].cpu())
    except (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise TrainingError(
            f"{file} does not match this model ({' '.join(str(error).split())[:300]}); delete the folder to start over"
        ) from error
    return whole


def machine(processes: int) -> str:
    """The hardware of the training, in words."""
    import platform

    import torch

    device = f"{torch.cuda.get_device_name()}" if torch.cuda.is_available() else f"{torch.get_num_threads()} threads"
    many = f"{processes} processes, each on " if processes > 1 else ""
    return f"{platform.machine()}, {many}{device}, torch {torch.__version__}"


def device_of(rank: int) -> Any:
    """The GPU of a process, or the CPU."""
    import torch

    # Its backward pass sometimes gives NaN for rows that attend only to padding (seen with torch 2.11 on an H200).
    torch.backends.cuda.enable_cudnn_sdp(False)
    return torch.device("cuda", rank % torch.cuda.device_count()) if torch.cuda.is_available() else torch.device("cpu")
