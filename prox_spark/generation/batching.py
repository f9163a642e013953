"""How many units are generated and committed at a time."""

from prox_spark.config.models import Config
from prox_spark.generation.kinds import kind_of
from prox_spark.generation.pending import Stage, Units
from prox_spark.generation.scheduling import engines
from prox_spark.tables.units import Batch, in_batches

_BYTES_PER_MODEL, _BYTES_PER_CORE = 64 * 1024**2, 512 * 1024**2
"""Stored bytes of a batch for each engine with a model, and for each core where there is none: minutes of work. A model of
0.3 billion parameters reads about half a megabyte of text a second on a data centre's GPU, rules ten on a core."""


def batches_of(config: Config, stage: Stage, units: Units) -> list[Batch]:
    """The units a batch at a time: as many as are configured, or minutes of work for each engine."""
    sized = units.sized()
    if config.generate.batch_units is not None:
        ones = [(unit, documents, 1) for unit, documents, _ in sized]
        return list(in_batches(ones, config.generate.batch_units))
    each = _BYTES_PER_MODEL if kind_of(stage.plan.settings).has_model else _BYTES_PER_CORE
    return list(in_batches(sized, each * engines(stage.store.spark)))


def one_batch(units: Units) -> list[Batch]:
    """All units at once."""
    sized = units.sized()
    if not sized:
        return []
    return [Batch(tuple(unit for unit, _, _ in sized), units.documents, sum(size for _, _, size in sized))]
