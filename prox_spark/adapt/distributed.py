"""``adapt`` in several processes."""

from pathlib import Path
from typing import Any

from prox_spark.adapt.job import Adapted, run
from prox_spark.adapt.settings import AdaptConfig
from prox_spark.training.distributed import joined, run_together, tell


def train_together(settings: AdaptConfig, work: str) -> Adapted:
    """Train in ``settings.processes`` processes; what the first one reports goes to standard error.

    Raises ``TrainingError`` where a process fails.
    """
    given = settings.model_dump(mode="json")
    done: Adapted = run_together(_one, given, work, processes=settings.processes, cluster=settings.cluster)
    return done


def _one(given: dict[str, Any], work: str) -> Adapted:
    with joined() as share:
        return run(AdaptConfig.model_validate(given), Path(work), tell, share)
