"""``pretrain`` in several processes."""

from pathlib import Path
from typing import Any

from prox_spark.pretraining.job import run
from prox_spark.pretraining.settings import PretrainConfig
from prox_spark.training.distributed import joined, run_together, tell


def train_together(settings: PretrainConfig, work: str) -> None:
    """Train in ``settings.processes`` processes; what the first one reports goes to standard error.

    Raises ``TrainingError`` where a process fails.
    """
    given = settings.model_dump(mode="json")
    run_together(_one, given, work, processes=settings.processes, cluster=settings.cluster)


def _one(given: dict[str, Any], work: str) -> bool:
    with joined() as share:
        run(PretrainConfig.model_validate(given), Path(work), tell, share)
    return True
