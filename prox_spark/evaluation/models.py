"""Measures pretrained models: perplexity of clean text, a suite of tasks, compute. Needs no Spark.

The measurements of a model are written to the folder ``models`` in the output as soon as they are known. An interrupted run
continues with the next model, and a repeated command measures nothing.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prox_spark import __version__
from prox_spark.atomic import whole_file
from prox_spark.config.evaluate import EvaluateConfig
from prox_spark.costs.compute import Stage, Trained, account, count_parameters, curve_of, refining_flops
from prox_spark.engines.models import resolve_model
from prox_spark.errors import ConfigError, StoreError, UsageError
from prox_spark.evaluation.pictures import draw_compute
from prox_spark.pretraining.perplexity import begin_token, encode, measure
from prox_spark.pretraining.prose import Prose, read_prose
from prox_spark.pretraining.record import read_record
from prox_spark.pretraining.suites import Prepared, Suite, load_suite, prepare, run_suite
from prox_spark.training.inputs import marks
from prox_spark.training.models import existing_causal
from prox_spark.training.steps import device_of

Refining = Callable[[str, str | None], list[Stage]]
"""The stages of a refinement by its name and fingerprint (if that is known), from the store."""


_WINDOW = 2048
"""Maximum window: the logits of a recent model's whole context, a hundred thousand tokens, do not fit into memory."""


def named_folders(settings: EvaluateConfig) -> dict[str, Path]:
    """The models' folders by the names under which they are reported. Raises ``RefinerError`` if one cannot be used."""
    folders = [resolve_model(model, None) for model in settings.models]
    # A download's folder is named after its commit.
    short = [Path(model).name if Path(model).expanduser().is_dir() else model for model in settings.models]
    names = short if len(set(short)) == len(short) else settings.models
    if len(set(names)) < len(names):
        raise ConfigError(f"evaluate.models lists a model twice: {', '.join(settings.models)}")
    return dict(zip(names, folders, strict=True))


def refinements_named(folders: Mapping[str, Path]) -> set[str]:
    """The refinements that these models were trained on, from their ``pretraining.json``."""
    records = [read_record(folder) for folder in folders.values()]
    return {str(one["data"]["refinement"]) for one in records if one is not None and one["data"]["refinement"]}


def evaluate_models(
    settings: EvaluateConfig, folders: Mapping[str, Path], output: Path, refining: Refining
) -> dict[str, Any]:
    """``models`` (each one's measurements by its name) and ``compute`` (``compute_of``); draws ``compute.svg``."""
    texts = {path: read_prose(path, settings.text_key, settings.perplexity_bytes) for path in settings.perplexity}
    asked = load_suite(settings.suite) if settings.suite is not None else None
    suite = prepare(asked, settings.tasks) if asked is not None else None
    models = {}
    for name, folder in folders.items():
        measured = output / "models" / f"{_mark(folder, settings, asked)}.json"
        models[name] = _once(measured, partial(_measured, folder, settings, texts, suite))
    compute = compute_of(folders, refining)
    draw_compute(compute["points"], output / "compute.svg")
    return {"models": models, "compute": compute}


def _mark(folder: Path, settings: EvaluateConfig, suite: Suite | None) -> str:
    """Hash of all inputs of a measurement: settings, suite, and each file that is read, by size and time of change."""
    told: list[Any] = [
        settings.model_dump(mode="json", include={"perplexity_bytes", "text_key", "window"}),
        __version__,
    ]
    if suite is not None:
        told += [suite.name, [task.model_dump(mode="json") for task in suite.tasks], version("lm_eval")]
    read = marks([folder, *settings.perplexity, *([settings.tasks] if settings.tasks else [])])
    return hashlib.sha256(json.dumps([told, read], sort_keys=True).encode()).hexdigest()[:16]


def _once(file: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as partial:
            partial.write_text(json.dumps(measure(), allow_nan=False), encoding="utf-8")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _measured(
    folder: Path, settings: EvaluateConfig, texts: Mapping[str, list[Prose]], suite: Prepared | None
) -> dict[str, Any]:
    from transformers import AutoTokenizer

    model = existing_causal(folder, "evaluate.models").to(device_of(0))
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    window = _window(settings, model, folder)
    counted = count_parameters((name, tuple(value.shape)) for name, value in model.named_parameters())
    found: dict[str, Any] = {"folder": str(folder), "parameters": asdict(counted), "window": window, "perplexity": {}}
    if texts:
        begin = begin_token(folder, tokenizer)
        for path, documents in texts.items():
            found["perplexity"][path] = measure(model, encode(tokenizer, documents, begin), documents, window)
    if suite is not None:
        # A model that `pretrain` trained from random weights only ever saw the end token before a document.
        record = read_record(folder)
        own = record is not None and record["settings"]["base"] is None
        found["suite"] = run_suite(suite, model, tokenizer, window, begin_token(folder, tokenizer) if own else None)
    return found


def _window(settings: EvaluateConfig, model: Any, folder: Path) -> int:
    context = int(getattr(model.config, "max_position_embeddings", 0) or settings.window or _WINDOW)
    if settings.window is not None and settings.window > context:
        raise ConfigError(
            f"evaluate.window {settings.window} is larger than the context of {folder.name}, {context} tokens"
        )
    return settings.window or min(context, _WINDOW)


def compute_of(folders: Mapping[str, Path], refining: Refining) -> dict[str, Any]:
    """The compute of models that ``pretrain`` made: ``rows`` (``costs.compute.account``), ``stages`` of each refinement,
    ``points`` of a chart by model (FLOPs, bits per byte), and ``notes`` on models that could not be counted or compared.

    ``report`` and other code may call it for any model folders.
    """
    notes: list[str] = []
    stages: dict[tuple[str, str | None], list[Stage] | None] = {}
    trained: list[Trained] = []
    measured: dict[str, str | None] = {}
    for name, folder in folders.items():
        record = read_record(folder)
        if record is None:
            notes.append(f"{name} was not trained by `pretrain`, so its compute is unknown")
            continue
        refinement = (record["data"]["refinement"], record["data"].get("fingerprint"))
        if refinement[0] and refinement not in stages:
            stages[refinement] = _stages(refining, *refinement, notes)
        measured[name] = record["validation_sha256"]
        trained.append(_trained(name, record, stages[refinement] if refinement[0] else []))
    trained = _comparable(trained, measured, notes)
    return {
        "rows": account(trained) if trained else [],
        "stages": {
            refinement: None if found is None else [{**asdict(stage), "flops": stage.flops} for stage in found]
            for (refinement, _), found in stages.items()
        },
        "notes": notes,
        "points": {model.name: points(model) for model in trained},
    }


def _stages(refining: Refining, refinement: str, fingerprint: str | None, notes: list[str]) -> list[Stage] | None:
    try:
        found = refining(refinement, fingerprint)
    except (UsageError, StoreError) as error:
        notes.append(f"the cost of refining {refinement} is unknown: {error}")
        return None
    notes += [
        f"the cost of the {stage.stage} stage of {refinement} is unknown: the weights of {stage.refiner} are missing"
        for stage in found
        if stage.parameters is None
    ]
    return found


def _trained(name: str, record: Mapping[str, Any], stages: Sequence[Stage] | None) -> Trained:
    return Trained(
        name,
        record["parameters"]["without_embeddings"],
        record["tokens"],
        record["data"]["tokens"],
        curve_of(record["curve"]),
        None if stages is None else refining_flops(stages),
    )


def _comparable(trained: list[Trained], measured: Mapping[str, str | None], notes: list[str]) -> list[Trained]:
    """Removes the curves of models that were measured on a different text than the first one."""
    found = []
    for model in trained:
        if measured[model.name] is None:
            notes.append(f"{model.name} was trained without pretrain.validation, so it has no curve to compare")
        elif measured[model.name] != measured[trained[0].name]:
            notes.append(
                f"{model.name} was measured on a different text than {trained[0].name}; their curves are not compared"
            )
            model = Trained(model.name, model.parameters, model.tokens, model.corpus, (), model.refining)
        found.append(model)
    return found


def points(model: Trained) -> list[tuple[float, float]]:
    """A model's curve for ``draw_compute``: FLOPs, refining included, and bits per byte; empty where they are not known."""
    found = []
    for point in model.curve:
        charged = model.charged(point.tokens)
        if charged is not None:
            found.append((model.cost(point.tokens) + charged, point.bits_per_byte))
    return found
