"""``adapt`` in several processes, on this machine or on the cluster's executors, by PySpark's ``TorchDistributor``.

Every process makes the same model from the same files and takes its share of each step. The work folder and the pages must be
on a path that all of them see. On executors GPUs are used where ``spark.task.resource.gpu.amount`` is set.
"""

import sys
from pathlib import Path
from typing import Any

from prox_spark.adapt.job import Adapted, run
from prox_spark.adapt.settings import AdaptConfig
from prox_spark.errors import TrainingError


def train_together(settings: AdaptConfig, work: str) -> Adapted:
    """Train in ``settings.processes`` processes; what the first one reports goes to standard error.

    Starts a Spark session where there is none, as the distributor wants one. Raises ``TrainingError`` where a process fails.
    """
    from pyspark.ml.torch.distributor import TorchDistributor

    from prox_spark.session import get_session

    spark = get_session()
    # On the driver every process sees all GPUs and takes the one of its rank: Spark need not know them.
    gpu = settings.cluster and spark.conf.get("spark.task.resource.gpu.amount", None) is not None
    try:
        distributor = TorchDistributor(num_processes=settings.processes, local_mode=not settings.cluster, use_gpu=gpu)
        done: Any = distributor.run(_one, settings.model_dump(mode="json"), work)
    except RuntimeError as error:
        raise TrainingError(f"one of {settings.processes} processes failed: {error}; its log stands above") from error
    if not isinstance(done, Adapted):
        raise TrainingError("the first process gave no result; its log stands above")
    return done


def _one(given: dict[str, Any], work: str) -> Adapted:
    import torch
    from torch import distributed

    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    rank = distributed.get_rank()
    try:
        settings = AdaptConfig.model_validate(given)
        return run(settings, Path(work), _tell, (rank, distributed.get_world_size()))
    finally:
        distributed.destroy_process_group()


def _tell(found: dict[str, float]) -> None:
    sys.stderr.write(f"{found}\n")
