"""Every kind of engine: its settings, the refiner it makes, how it is opened and where it runs.

A new kind is a settings model in ``config.engines``, an engine, and an entry here.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from prox_spark import __version__
from prox_spark.config.engines import (
    ColumnSettings,
    DsirSettings,
    DuplicatesSettings,
    EngineSettings,
    OnnxSettings,
    OpenaiSettings,
    RandomSettings,
    RulesSettings,
    ScriptedSettings,
    StatisticsSettings,
    TransformersSettings,
    VllmSettings,
)
from prox_spark.engines.digests import file_digest
from prox_spark.engines.models import local_folder, refiner_folder
from prox_spark.engines.protocol import Engine
from prox_spark.errors import RefinerError
from prox_spark.generation.model_refiner import folder_digests, model_refiner
from prox_spark.generation.refiner import Overrides, Refiner, Stage
from prox_spark.generation.tokens import PromptTokenizer
from prox_spark.rules.catalogue import VERSION as RULES_VERSION
from prox_spark.rules.catalogue import select_rules
from prox_spark.section import Section
from prox_spark.statistics.scorer import FILE as STATISTICS_FILE
from prox_spark.statistics.scorer import load_scorer
from prox_spark.statistics.text import VERSION as STATISTICS_VERSION


@dataclass(frozen=True, slots=True)
class EngineKind:
    """One kind of engine.

    ``refiner`` makes the refiner of (stage, settings, what the configuration asks for), ``open`` the engine of (settings,
    refiner, the address of the task's GPU or null). ``runs``: in the ``task`` itself, in a process that an ``executor``'s
    tasks share, or behind an ``endpoint``; ``together``: no engine, all documents are compared in Spark. ``folder`` gives the
    model that ``refiner`` reads files of, null where it reads none. ``has_model``: prompts are token ids, and the self-test
    asks it. ``reads``: what it needs of a document. ``check`` raises ``ConfigError`` for settings that the engine does not
    take. ``operational`` are the settings that only say how it runs: they change no answer. ``package`` is what it needs
    besides this one: the module, and how to install it.
    """

    settings: type[Section]
    refiner: Callable[[Stage, Any, Overrides], Refiner]
    open: Callable[[Any, Refiner, str | None], Engine]
    runs: Literal["task", "executor", "endpoint", "together"]
    folder: Callable[[Any], str] | None = None
    has_model: bool = False
    reads: Literal["text", "document"] = "text"
    check: Callable[[Any], None] | None = None
    operational: tuple[str, ...] = ()
    package: tuple[str, str] | None = None


def kind_of(settings: EngineSettings) -> EngineKind:
    """The kind of these settings."""
    return KINDS[settings.kind]


def load_refiner(
    stage: Stage,
    settings: EngineSettings,
    *,
    template_name: str | None = None,
    window: int | None = None,
    max_tokens: int | None = None,
    grammar: bool | None = None,
) -> Refiner:
    """The refiner of an engine's settings; what is given takes the place of the refiner's own value.

    Reads (and digests) the model's files. Raises ``RefinerError``; ``ConfigError`` for rules of the other stage.
    """
    return kind_of(settings).refiner(stage, settings, Overrides(template_name, window, max_tokens, grammar))


def open_engine(settings: EngineSettings, refiner: Refiner, *, gpu: str | None = None) -> Engine:
    """The engine that answers for ``refiner``; one with a model is found or started with its first request.

    ``gpu`` is the address of the task's GPU, where it has one. Raises ``RefinerError`` where the model is not there.
    """
    return kind_of(settings).open(settings, refiner, gpu)


def _rules(stage: Stage, settings: RulesSettings, given: Overrides) -> Refiner:
    rules = select_rules(stage, settings.rules)
    return Refiner(stage, "rules", "rules", (("rules", str(RULES_VERSION)),), rules=rules)


def _open_rules(settings: RulesSettings, refiner: Refiner, gpu: str | None) -> Engine:
    from prox_spark.engines.local.rules import RulesEngine

    return RulesEngine(refiner.stage, refiner.rules)


def _statistics(stage: Stage, settings: StatisticsSettings, given: Overrides) -> Refiner:
    _check_stage(stage, f"{settings.model} scores whole documents")
    folder = local_folder(settings.model)
    load_scorer(folder)
    sources = ((STATISTICS_FILE, file_digest(folder / STATISTICS_FILE)), ("statistics", str(STATISTICS_VERSION)))
    return Refiner("document", folder.name, "statistics", sources)


def _open_statistics(settings: StatisticsSettings, refiner: Refiner, gpu: str | None) -> Engine:
    from prox_spark.engines.local.statistics import StatisticsEngine

    return StatisticsEngine(load_scorer(local_folder(settings.model)))


def _check_stage(stage: Stage, what: str) -> None:
    if stage != "document":
        raise RefinerError(f"chunk.engine: {what}; use it in document.engine")


def _dsir(stage: Stage, settings: DsirSettings, given: Overrides) -> Refiner:
    # Compiled code, which only some refiners need.
    from prox_spark.selection.chance import VERSION as CHANCE_VERSION
    from prox_spark.selection.dsir import VERSION as DSIR_VERSION
    from prox_spark.selection.folder import load_dsir

    _check_stage(stage, "dsir chooses whole documents")
    folder = local_folder(settings.model)
    dsir = load_dsir(folder)
    # Not the digest of refiner.json, which holds a name, too.
    fitted = {"short": dsir.short, "min_words": dsir.min_words, "seed": dsir.seed}
    sources = [("dsir", str(DSIR_VERSION)), ("random", str(CHANCE_VERSION))]
    sources += [(name, repr(value)) for name, value in fitted.items()]
    return Refiner("document", folder.name, "dsir", (*folder_digests(folder), *sources))


def _random(stage: Stage, settings: RandomSettings, given: Overrides) -> Refiner:
    from prox_spark.selection.chance import VERSION as CHANCE_VERSION

    _check_stage(stage, "random chooses whole documents")
    sources = (("random", str(CHANCE_VERSION)), ("seed", str(settings.seed)))
    return Refiner("document", "random", "random", sources)


def _column(stage: Stage, settings: ColumnSettings, given: Overrides) -> Refiner:
    _check_stage(stage, "column chooses whole documents")
    sources = (("column", settings.column), ("scale", str(settings.scale)))
    return Refiner("document", settings.column, "column", sources)


def _open_selection(settings: Any, refiner: Refiner, gpu: str | None) -> Engine:
    from prox_spark.engines.local.selection import open_selection

    return open_selection(settings)


def _duplicates(stage: Stage, settings: DuplicatesSettings, given: Overrides) -> Refiner:
    _check_stage(stage, "duplicates keeps or drops whole documents")
    sources = [("method", method(settings)), ("keep", settings.keep)]
    if settings.score is not None:
        sources.append(("score", settings.score))
    return Refiner("document", "duplicates", "duplicates", tuple(sources))


def method(settings: DuplicatesSettings) -> str:
    """What signatures are made by: those by the same method can be compared."""
    # Compiled code, which only some refiners need.
    from prox_spark.duplicates.minhash import VERSION

    return f"minhash {VERSION}: {settings.words} words, {settings.buckets} x {settings.hashes}"


def _open_nothing(settings: Any, refiner: Refiner, gpu: str | None) -> Engine:
    raise RefinerError(
        f"engine.kind {settings.kind} compares the documents of a store; it cannot be asked about one text"
    )


def _scripted(stage: Stage, settings: ScriptedSettings, given: Overrides) -> Refiner:
    table = json.dumps([settings.answers, settings.default], sort_keys=True).encode()
    sources = (("answers", hashlib.sha256(table).hexdigest()),)
    return Refiner(stage, "scripted", "scripted", sources, lines_per_chunk=settings.lines_per_chunk)


def _open_scripted(settings: ScriptedSettings, refiner: Refiner, gpu: str | None) -> Engine:
    from prox_spark.engines.local.scripted import ScriptedEngine

    return ScriptedEngine(settings)


def _check_vllm(settings: VllmSettings) -> None:
    from prox_spark.engines.supervised.vllm_backend import check_options

    check_options(settings.options)


def _onnx(stage: Stage, settings: OnnxSettings, given: Overrides) -> Refiner:
    from prox_spark.engines.onnx.scorer import folder_shape

    refiner = model_refiner(stage, settings, given)
    if refiner.label is None:
        raise RefinerError(
            f"{stage} stage of {settings.model}: engine.kind onnx runs token classifiers only (refiner.json has no label "
            "for this stage); use engine.kind vllm or transformers"
        )
    folder_shape(refiner_folder(settings))
    return refiner


def _open_onnx(settings: OnnxSettings, refiner: Refiner, gpu: str | None) -> Engine:
    from prox_spark.engines.onnx.engine import OnnxEngine
    from prox_spark.engines.onnx.scorer import load_scorer, task_threads

    assert refiner.label is not None
    folder, label, int8 = refiner_folder(settings), refiner.label, dict(refiner.options).get("precision") == '"int8"'
    return OnnxEngine(lambda: load_scorer(folder, refiner.sources, refiner.context, label, int8, task_threads()).score)


def _openai(stage: Stage, settings: OpenaiSettings, given: Overrides) -> Refiner:
    refiner = model_refiner(stage, settings, given)
    if refiner.label is not None:
        raise RefinerError(
            f"{stage} stage of {settings.refiner}: a token classifier cannot run behind a completions endpoint; "
            "use engine.kind onnx, vllm or transformers"
        )
    return refiner


def _open_openai(settings: OpenaiSettings, refiner: Refiner, gpu: str | None) -> Engine:
    from prox_spark.engines.endpoint.engine import OpenaiEngine

    return OpenaiEngine(settings, PromptTokenizer(refiner_folder(settings)).decode)


def _open_supervised(settings: TransformersSettings | VllmSettings, refiner: Refiner, gpu: str | None) -> Engine:
    from prox_spark.engines.supervised import wire
    from prox_spark.engines.supervised.client import SupervisedEngine

    hello = wire.Hello(
        backend=settings.kind,
        model=str(refiner_folder(settings)),
        context=refiner.context,
        options=dict(settings.options) if isinstance(settings, VllmSettings) else {},
        label=refiner.label,
        digest=hashlib.sha256(json.dumps([__version__, *refiner.sources]).encode()).hexdigest(),
    )
    return SupervisedEngine(hello, gpu=gpu)


def _model(settings: Any) -> str:
    return str(settings.model)


def _refiner(settings: OpenaiSettings) -> str:
    return settings.refiner


_FAULTS = ("calls_file", "error_on", "crash_on", "crash_marker", "seconds_per_call")


KINDS = {
    "rules": EngineKind(RulesSettings, _rules, _open_rules, "task"),
    "statistics": EngineKind(StatisticsSettings, _statistics, _open_statistics, "task", _model),
    "dsir": EngineKind(DsirSettings, _dsir, _open_selection, "task", _model, reads="document"),
    "random": EngineKind(RandomSettings, _random, _open_selection, "task", reads="document"),
    "column": EngineKind(ColumnSettings, _column, _open_selection, "task", reads="document"),
    "duplicates": EngineKind(DuplicatesSettings, _duplicates, _open_nothing, "together", reads="document"),
    "scripted": EngineKind(ScriptedSettings, _scripted, _open_scripted, "task", operational=_FAULTS),
    "vllm": EngineKind(
        VllmSettings,
        model_refiner,
        _open_supervised,
        "executor",
        _model,
        has_model=True,
        check=_check_vllm,
        package=("vllm", "install the extra cpu or, with a GPU, gpu: pip install 'prox-spark[gpu]'"),
    ),
    "transformers": EngineKind(
        TransformersSettings,
        model_refiner,
        _open_supervised,
        "executor",
        _model,
        has_model=True,
        package=("transformers", "install the extra cpu: pip install 'prox-spark[cpu]'"),
    ),
    "onnx": EngineKind(
        OnnxSettings,
        _onnx,
        _open_onnx,
        "task",
        _model,
        has_model=True,
        package=("onnxruntime", "install the extra onnx: pip install 'prox-spark[onnx]'"),
    ),
    "openai": EngineKind(
        OpenaiSettings,
        _openai,
        _open_openai,
        "endpoint",
        _refiner,
        has_model=True,
        operational=("base_url", "api_key_variable", "max_in_flight", "timeout_seconds", "retries", "batch"),
        package=("openai", "pip install openai"),
    ),
}
"""Every kind by its name in a configuration."""
