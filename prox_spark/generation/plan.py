"""What a task needs to know to write a stage's programs: made once on the driver, shipped to every task."""

from dataclasses import dataclass

from prox_spark.config.models import ChunkConfig, DocumentConfig
from prox_spark.engines.models import pinned, refiner_folder
from prox_spark.engines.settings import EngineSettings, ModelSettings, OpenaiSettings, VllmSettings
from prox_spark.engines.vllm_engine import check_options
from prox_spark.errors import RefinerError
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import Refiner, Stage, fingerprint, load_refiner
from prox_spark.generation.tokens import PromptTokenizer


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage, its engine and its refiner; ``fingerprint`` is what the programs' ``refiner`` column holds."""

    stage: Stage
    engine: EngineSettings
    refiner: Refiner
    fingerprint: str


def plan_stage(stage: Stage, settings: DocumentConfig | ChunkConfig) -> StagePlan:
    """Read and check the refiner that a stage's configuration names; starts no engine.

    Raises ``RefinerError`` for a model that cannot be used (also where template, window and output do not fit its
    context), ``ConfigError`` for engine options or rules that do not exist.
    """
    engine = settings.engine
    if isinstance(engine, VllmSettings):
        check_options(engine.options)
    if isinstance(engine, ModelSettings):
        engine = pinned(engine)
    if isinstance(settings, ChunkConfig):
        window, max_tokens = settings.window, settings.max_tokens
    else:
        window, max_tokens = settings.max_prompt_tokens, None
    refiner = load_refiner(
        stage,
        engine,
        template_name=settings.template,
        window=window,
        max_tokens=max_tokens,
        grammar=settings.grammar,
    )
    if isinstance(engine, OpenaiSettings) and refiner.label is not None:
        raise RefinerError(
            f"{stage} stage of {engine.refiner}: it is a token classifier, which no completions endpoint serves; "
            "take engine.kind vllm or transformers"
        )
    if isinstance(engine, ModelSettings):
        prompter = Prompter(refiner, PromptTokenizer(refiner_folder(engine)))
        needed = prompter.overhead + refiner.window + refiner.max_tokens
        if needed > refiner.context:
            raise RefinerError(
                f"{stage} stage of {engine.model}: template ({prompter.overhead}), window ({refiner.window}) and "
                f"output ({refiner.max_tokens}) are {needed} tokens, its context is {refiner.context}; "
                "take a smaller window"
            )
    return StagePlan(stage, engine, refiner, fingerprint(refiner))
