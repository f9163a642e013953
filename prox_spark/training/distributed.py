"""Training in several processes, on this machine or on the cluster's executors, by PySpark's ``TorchDistributor``.

Every process makes the same model from the same files and takes its share of each step. The work folder and the data must be
on a path that all of them see. On executors GPUs are used where ``spark.task.resource.gpu.amount`` is set.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Protocol, TypeVar

from prox_spark.errors import TrainingError
from prox_spark.logs import LogSettings, chosen, follow
from prox_spark.section import Section

_log = logging.getLogger(__name__)


class Settings(Protocol):
    """The keys of a configuration section that training in several processes reads."""

    @property
    def processes(self) -> int:
        """How many processes share each step."""
        ...

    @property
    def cluster(self) -> bool:
        """Whether they run on the cluster's executors."""
        ...


Chosen = TypeVar("Chosen", bound=Section)
Done = TypeVar("Done")
Report = Callable[[dict[str, float]], None]
Run = Callable[[Chosen, Path, Report, tuple[int, int]], Done]
"""Trains in a work folder. Arguments: settings, folder, a callback for evaluations, (rank, number of processes)."""


def train_together(run: Run[Chosen, Done], settings: Chosen, work: Path) -> Done:
    """``run`` in each of ``settings.processes`` processes; returns the first one's result.

    The first process's reports go to its log (``show``). Uses the active session or starts one, because
    the distributor needs it. Raises ``TrainingError`` if a process fails.
    """
    shared = (run, type(settings), settings.model_dump(mode="json"), str(work.absolute()), chosen())
    done: Done = _run_together(shared, settings)[0]  # type: ignore[arg-type]
    return done


def _run_together(arguments: tuple[Any, ...], settings: Settings) -> tuple[Any]:
    processes, cluster = settings.processes, settings.cluster
    from pyspark.ml.torch.distributor import TorchDistributor

    from prox_spark.session import get_session, setting

    spark = get_session()
    # On the driver every process sees all GPUs and takes the one of its rank, so Spark needs no GPU settings.
    gpu = cluster and setting(spark, "spark.task.resource.gpu.amount") != ""
    try:
        distributor = TorchDistributor(num_processes=processes, local_mode=not cluster, use_gpu=gpu)
        # It prints all output of the processes to standard output, where only results belong.
        with redirect_stdout(sys.stderr):
            done: tuple[Any] | None = distributor.run(_one, *arguments)
    except RuntimeError as error:
        raise TrainingError(f"one of {processes} processes failed: {error}; its log is above") from error
    if done is None:
        raise TrainingError("the first process returned no result; its log is above")
    return done


def _one(
    run: Run[Chosen, Done], kind: type[Chosen], given: dict[str, Any], work: str, log: LogSettings | None
) -> tuple[Done]:
    follow(log)
    with _joined() as share:
        # A tuple, because the distributor treats None as a failed process.
        return (run(kind.model_validate(given), Path(work), show, share),)


@contextmanager
def _joined() -> Iterator[tuple[int, int]]:
    """In such a process: join the process group; returns its rank and the number of processes."""
    import torch
    from torch import distributed

    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield distributed.get_rank(), distributed.get_world_size()
    finally:
        distributed.destroy_process_group()


def show(found: dict[str, float]) -> None:
    """Log an evaluation; if the log is quiet, as on a terminal, write a line to standard error."""
    said = " ".join(f"{name}={value:.4g}" for name, value in found.items())
    if _log.isEnabledFor(logging.INFO):
        _log.info("measured: %s", said, extra={"measured": found})
    else:
        sys.stderr.write(said + "\n")
