"""From an engine's settings to an engine."""

from prox_spark.config.engines import (
    EngineSettings,
    OpenaiSettings,
    RulesSettings,
    ScriptedSettings,
    SelectionSettings,
    StatisticsSettings,
    VllmSettings,
)
from prox_spark.engines.models import local_folder, refiner_folder
from prox_spark.engines.protocol import Engine
from prox_spark.generation.refiner import Refiner
from prox_spark.generation.tokens import PromptTokenizer
from prox_spark.statistics.scorer import load_scorer


def open_engine(engine: EngineSettings, refiner: Refiner, *, gpu: str | None = None) -> Engine:
    """The engine that answers for ``refiner``; one with a model is found or started with its first request.

    ``gpu`` is the address of the task's GPU, where it has one. Raises ``RefinerError`` where the model is not there.
    """
    if isinstance(engine, RulesSettings):
        from prox_spark.engines.local.rules import RulesEngine

        return RulesEngine(refiner.stage, refiner.rules)
    if isinstance(engine, StatisticsSettings):
        from prox_spark.engines.local.statistics import StatisticsEngine

        return StatisticsEngine(load_scorer(local_folder(engine.model)))
    if isinstance(engine, SelectionSettings):
        from prox_spark.engines.local.selection import open_selection

        return open_selection(engine)
    if isinstance(engine, ScriptedSettings):
        from prox_spark.engines.local.scripted import ScriptedEngine

        return ScriptedEngine(engine)
    if isinstance(engine, OpenaiSettings):
        from prox_spark.engines.endpoint.engine import OpenaiEngine

        return OpenaiEngine(engine, PromptTokenizer(refiner_folder(engine)).decode)
    from prox_spark.engines.supervised import wire
    from prox_spark.engines.supervised.client import SupervisedEngine

    hello = wire.Hello(
        backend=engine.kind,
        model=str(refiner_folder(engine)),
        context=refiner.context,
        options=dict(engine.options) if isinstance(engine, VllmSettings) else {},
        label=refiner.label,
    )
    return SupervisedEngine(hello, gpu=gpu)
