"""The stages of a refinement: what a task needs to write their programs, and what execution needs to find them."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prox_spark.config.engines import (
    EngineSettings,
    ModelSettings,
    OnnxSettings,
    OpenaiSettings,
    TransformersSettings,
    VllmSettings,
    answering_options,
)
from prox_spark.config.models import ChunkConfig, Config, DocumentConfig
from prox_spark.engines.folders import Folder, check_fit, left_to_vllm, read_folder
from prox_spark.engines.models import is_local, pinned, refiner_folder
from prox_spark.errors import ConfigError, RefinerError
from prox_spark.generation.kinds import kind_of, load_refiner
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import Refiner, RefinerId, Stage, fingerprint
from prox_spark.generation.tokens import PromptTokenizer
from prox_spark.limits import DEFAULT, DocumentLimits

_log = logging.getLogger(__name__)

StageConfig = DocumentConfig | ChunkConfig
SECTIONS: dict[Stage, type[DocumentConfig] | type[ChunkConfig]] = {"document": DocumentConfig, "chunk": ChunkConfig}
"""The section of each stage."""

Find = Callable[[Stage, str], RefinerId | None]
"""The newest refiner that a store's programs were written by, from a stage and ``asked_for`` of its settings."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage, its engine and its refiner; ``fingerprint`` is what the programs' ``refiner`` column holds.

    A document above ``limits`` is not asked about. ``prefix`` are the ids that prompts begin with, null without a model: BOS may
    be known to transformers only, which a task's machine need not have.
    """

    stage: Stage
    settings: EngineSettings
    refiner: Refiner
    fingerprint: str
    limits: DocumentLimits = DEFAULT
    prefix: tuple[int, ...] | None = None

    @property
    def id(self) -> RefinerId:
        """What execution needs of it."""
        return RefinerId(self.stage, self.refiner.name, self.fingerprint, self.refiner.numbering)


@dataclass(frozen=True)
class Refiners:
    """The refiners of a refinement; null where a stage is skipped."""

    document: RefinerId | None
    chunk: RefinerId | None


@dataclass(frozen=True)
class Plans:
    """The stages of a refinement; null where one is skipped."""

    document: StagePlan | None
    chunk: StagePlan | None

    @property
    def refiners(self) -> Refiners:
        """What execution needs of them."""
        return Refiners(self.document.id if self.document else None, self.chunk.id if self.chunk else None)


def plan_stages(config: Config) -> Plans:
    """The stages that ``config`` asks for, with their refiners' fingerprints. Starts no engine.

    Raises ``ConfigError`` when both are null or compat cannot execute the chunk refiner's programs, ``RefinerError`` when a
    refiner cannot be used.
    """
    document = plan_stage("document", config.document, config.limits) if config.document else None
    chunk = plan_stage("chunk", config.chunk, config.limits) if config.chunk else None
    plans = Plans(document, chunk)
    _check(config, plans.refiners)
    return plans


def find_refiners(config: Config, find: Find) -> Refiners:
    """The refiners that ``config`` names, for execution: no engine, no tokenizer, and no model where the store knows it.

    A model whose folder is not here is looked up by ``find``; only where that knows none is it downloaded.
    Raises ``ConfigError`` as ``plan_stages`` does, ``RefinerError`` where a refiner is neither here nor in the store.
    """
    document = _find_refiner("document", config.document, find) if config.document else None
    chunk = _find_refiner("chunk", config.chunk, find) if config.chunk else None
    refiners = Refiners(document, chunk)
    _check(config, refiners)
    return refiners


def _find_refiner(stage: Stage, section: StageConfig, find: Find) -> RefinerId:
    folder = kind_of(section.engine).folder
    if folder is None or is_local(folder(section.engine)):
        try:
            return _read_refiner(stage, section)
        except RefinerError:
            # A folder without its weights, as a cluster without GPUs may have it: the store may know more.
            known = find(stage, asked_for(section)) if folder is not None else None
            if known is None:
                raise
    else:
        known = find(stage, asked_for(section))
        if known is None:
            return _read_refiner(stage, section)
    _log.info("%s stage: model files not found; using fingerprint %.8s recorded in the store", stage, known.refiner)
    return known


def _read_refiner(stage: Stage, section: StageConfig) -> RefinerId:
    settings = pinned(section.engine) if isinstance(section.engine, ModelSettings) else section.engine
    refiner = _load(stage, section, settings)
    return RefinerId(stage, refiner.name, fingerprint(refiner), refiner.numbering)


def asked_for(section: StageConfig) -> str:
    """Canonical JSON of what a stage's section asks for, without what only says how and where it runs.

    Two sections with the same JSON ask for the same refiner. A folder's path counts as it is written, but made absolute
    where it begins with ``.``, ``~`` or ``/``.
    """
    kind = kind_of(section.engine)
    found = section.model_dump(mode="json", exclude_defaults=True, exclude={"min_keep_score"})
    engine = found["engine"]
    for key in kind.operational:
        engine.pop(key, None)
    if kind.runs == "executor" or engine.get("precision") == "float32":
        # Which of these engines runs a model changes nothing.
        engine["kind"] = "model"
        engine.pop("precision", None)
    for key in ("model", "refiner"):
        if kind.folder is not None and str(engine.get(key, "")).startswith((".", "~", "/")):
            engine[key] = str(Path(engine[key]).expanduser().absolute())
    options = answering_options(engine.pop("options", {}))
    if options:
        engine["options"] = options
    return json.dumps(found, sort_keys=True, separators=(",", ":"))


def _check(config: Config, refiners: Refiners) -> None:
    if refiners.document is None and refiners.chunk is None:
        raise ConfigError("document and chunk are both null; configure at least one stage")
    if refiners.chunk is not None and refiners.chunk.numbering == "chunk" and config.execution.mode == "compat":
        raise ConfigError(
            f"execution.mode is compat, which numbers lines through the document, but {refiners.chunk.name} numbers them from "
            "each chunk's first: use strict"
        )


def _load(stage: Stage, section: StageConfig, settings: EngineSettings) -> Refiner:
    if isinstance(section, ChunkConfig):
        window, max_tokens = section.window, section.max_tokens
    else:
        window, max_tokens = section.max_prompt_tokens, None
    return load_refiner(
        stage,
        settings,
        template_name=section.template,
        window=window,
        max_tokens=max_tokens,
        grammar=section.grammar,
    )


def plan_stage(stage: Stage, section: StageConfig, limits: DocumentLimits = DEFAULT) -> StagePlan:
    """Read and check the refiner that a stage's configuration names; starts no engine.

    Raises ``RefinerError`` for a model that cannot be used (also where template, window and output do not fit its
    context), ``ConfigError`` for engine options or rules that do not exist.
    """
    settings = section.engine
    check = kind_of(settings).check
    if check is not None:
        check(settings)
    if not isinstance(settings, ModelSettings):
        refiner = _load(stage, section, settings)
        return StagePlan(stage, settings, refiner, fingerprint(refiner), limits)
    settings = pinned(settings)
    refiner = _load(stage, section, settings)
    folder = read_folder(refiner_folder(settings))
    if not isinstance(settings, OpenaiSettings):
        _check_model(folder, settings, refiner)
    prompter = Prompter(refiner, PromptTokenizer(folder.path))
    needed = prompter.overhead + refiner.window + refiner.max_tokens
    if needed > refiner.context:
        raise RefinerError(
            f"{stage} stage of {settings.model}: template ({prompter.overhead}), window ({refiner.window}) and "
            f"output ({refiner.max_tokens}) are {needed} tokens, its context is {refiner.context}; "
            f"set {stage}.{'window' if stage == 'chunk' else 'max_prompt_tokens'} to "
            f"{refiner.context - prompter.overhead - refiner.max_tokens} or less"
        )
    return StagePlan(stage, settings, refiner, fingerprint(refiner), limits, prompter.prefix)


def _check_model(
    folder: Folder, settings: OnnxSettings | TransformersSettings | VllmSettings, refiner: Refiner
) -> None:
    """Refuse a folder that its engine cannot run, or not with the context that ``refiner.json`` says."""
    options = settings.options if isinstance(settings, VllmSettings) else {}
    if left_to_vllm(options):
        return
    check_fit(folder, settings.kind, label=refiner.label, options=options)
    context = folder.context()
    if refiner.context > context.value and folder.limited(settings.kind):
        raise RefinerError(
            f"refiner.json in {folder.path} says a context of {refiner.context}, but the model's is {context}: "
            "set context there to that or less"
        )
