"""Training in several processes, on this machine or on the cluster's executors, by PySpark's ``TorchDistributor``.

Every process makes the same model from the same files and takes its share of each step. The work folder and the data must be
on a path that all of them see. On executors GPUs are used where ``spark.task.resource.gpu.amount`` is set.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from prox_spark.errors import TrainingError


def run_together(function: Callable[..., Any], *arguments: Any, processes: int, cluster: bool) -> Any:
    """``function(*arguments)`` in so many processes; returns what the first one did.

    In the session that is active; starts one where there is none, as the distributor wants one. Raises ``TrainingError`` where
    a process fails.
    """
    from pyspark.ml.torch.distributor import TorchDistributor

    from prox_spark.session import get_session

    spark = get_session()
    # On the driver every process sees all GPUs and takes the one of its rank: Spark need not know them.
    gpu = cluster and spark.conf.get("spark.task.resource.gpu.amount", None) is not None
    try:
        distributor = TorchDistributor(num_processes=processes, local_mode=not cluster, use_gpu=gpu)
        # It prints what the processes say, on standard error too, to standard output, where only results belong.
        with redirect_stdout(sys.stderr):
            done: Any = distributor.run(function, *arguments)
    except RuntimeError as error:
        raise TrainingError(f"one of {processes} processes failed: {error}; its log stands above") from error
    if done is None:
        raise TrainingError("the first process gave no result; its log stands above")
    return done


@contextmanager
def joined() -> Iterator[tuple[int, int]]:
    """Inside such a process: its rank and how many there are, joined to the others."""
    import torch
    from torch import distributed

    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield distributed.get_rank(), distributed.get_world_size()
    finally:
        distributed.destroy_process_group()


def tell(found: dict[str, float]) -> None:
    """An evaluation, on standard error."""
    sys.stderr.write(f"{found}\n")
