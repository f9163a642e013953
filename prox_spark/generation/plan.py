"""What a task needs to know to write a stage's programs: made once on the driver, shipped to every task."""

from dataclasses import dataclass

from prox_spark.config.engines import EngineSettings, ModelSettings, OpenaiSettings, VllmSettings
from prox_spark.config.models import ChunkConfig, Config, DocumentConfig
from prox_spark.engines.models import pinned, refiner_folder
from prox_spark.engines.supervised.vllm_backend import check_options
from prox_spark.errors import ConfigError, RefinerError
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import Refiner, Stage, fingerprint, load_refiner
from prox_spark.generation.tokens import PromptTokenizer


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage, its engine and its refiner; ``fingerprint`` is what the programs' ``refiner`` column holds."""

    stage: Stage
    settings: EngineSettings
    refiner: Refiner
    fingerprint: str


@dataclass(frozen=True)
class Plans:
    """The stages of a refinement; null where one is skipped."""

    document: StagePlan | None
    chunk: StagePlan | None


def plan_stages(config: Config) -> Plans:
    """The stages that ``config`` asks for, with their refiners' fingerprints. Starts no engine.

    Raises ``ConfigError`` when both are null or compat cannot execute the chunk refiner's programs, ``RefinerError`` when a
    refiner cannot be used.
    """
    if config.document is None and config.chunk is None:
        raise ConfigError(
            "document and chunk are both null: there is nothing to refine with; configure at least one stage"
        )
    document = plan_stage("document", config.document) if config.document else None
    chunk = plan_stage("chunk", config.chunk) if config.chunk else None
    if chunk is not None and chunk.refiner.numbering == "chunk" and config.execution.mode == "compat":
        raise ConfigError(
            f"execution.mode is compat, which counts lines through the document, and {chunk.refiner.name} numbers them from "
            "each chunk's first: take strict"
        )
    return Plans(document, chunk)


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
