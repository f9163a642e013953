"""``adapt``: from labelled pages to a refiner's folder, which is written atomically."""

import hashlib
import json
import logging
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prox_spark import __version__
from prox_spark.adapt.card import card
from prox_spark.adapt.documents import fit_documents, score_documents
from prox_spark.adapt.int8 import int8_f1, keeps_f1
from prox_spark.adapt.recipe import Recipe, make_recipe
from prox_spark.adapt.scoring import Scored, best_threshold, calibration, calibration_error, keep_f1, roc_area
from prox_spark.adapt.training import smaller, train
from prox_spark.atomic import whole_folder
from prox_spark.config.adapt import AdaptConfig
from prox_spark.corpora.labels import by_short_name, read_documents, short_names
from prox_spark.engines.models import resolve_model
from prox_spark.errors import TrainingError
from prox_spark.generation.refiner import Refiner
from prox_spark.progress import duration
from prox_spark.statistics.scorer import load_scorer, save_scorer
from prox_spark.training.inputs import marks
from prox_spark.training.steps import CHECKPOINT, device_of, machine, within_memory

_log = logging.getLogger(__name__)

_CARD = "README.md"
_OF_SELECTIONS = ("target", "min_words", "raw_documents")


@dataclass(frozen=True)
class Adapted:
    """A trained refiner: its folder, the best evaluation, and scores by validation file."""

    output: str
    best: dict[str, float]
    scores: dict[str, dict[str, float]]
    seconds: float


def adapt(settings: AdaptConfig, report: Callable[[dict[str, float]], None] = lambda _: None) -> Adapted:
    """Train a refiner with these settings; ``report`` is called for each evaluation (with several processes: standard error).

    The folder holds safetensors (bfloat16), tokenizer, ``config.json``, ``refiner.json``, ``training.json`` and a card
    (``README.md``); a document scorer without ``base`` has only ``statistics.json``. Until it is complete, the work is in a
    folder beside it, named after a hash of the settings; after an interruption, the same command resumes there.
    Raises ``TrainingError`` if the output exists or the pages cannot be used.
    """
    if settings.task == "selection":
        raise TrainingError("adapt.task=selection reads a store: it is fitted by prox_spark.adapt.selection")
    output = free_output(settings)
    _log.info(
        "adapt: task %s, base %s, %d processes; makes %s",
        *(settings.task, settings.base or "none", settings.processes, output),
    )
    with whole_folder(output, _digest(settings)[:12]) as work:
        if (work / _CARD).is_file():
            done = _finished(work, settings)
        elif settings.task == "documents" and settings.base is None:
            done = _fit(settings, work)
        elif settings.processes > 1:
            from prox_spark.training.distributed import train_together

            done = train_together(run, _absolute(settings), work)
        else:
            done = run(settings, work, report)
        (work / CHECKPOINT).unlink(missing_ok=True)
    _log.info("adapt finished: %s in %s", output, duration(done.seconds), extra={"measured": done.best})
    return done


def free_output(settings: AdaptConfig) -> Path:
    """The folder to create. Raises ``TrainingError`` if it exists."""
    output = Path(settings.output).expanduser()
    if output.exists():
        raise TrainingError(f"{output} exists; set another adapt.output, or move the folder away")
    return output


def _finished(work: Path, settings: AdaptConfig) -> Adapted:
    """The results of a run that was killed after it wrote the card, its last file, and before the folder got its name."""
    training = json.loads((work / "training.json").read_text(encoding="utf-8"))
    return Adapted(settings.output, training["best"], training["scores"], training["seconds"])


def _absolute(settings: AdaptConfig) -> AdaptConfig:
    """Executors have another working directory."""
    changed: dict[str, Any] = {
        name: [str(Path(path).expanduser().absolute()) for path in getattr(settings, name)]
        for name in ("train", "validation")
    }
    if settings.base is not None:
        changed["base"] = str(resolve_model(settings.base, settings.revision))
    return settings.model_copy(update=changed)


def _fit(settings: AdaptConfig, work: Path) -> Adapted:
    """A scorer of text statistics: fitted in a second, no model."""
    started = time.monotonic()
    documents = read_documents(settings.train)
    scorer, unseen = fit_documents(documents, settings.seed)
    save_scorer(scorer, work)
    scorer = load_scorer(work)
    threshold, f1 = best_threshold([unseen])
    validation = {path: score_documents(scorer, read_documents([path])) for path in settings.validation}
    scores = {f"the {len(documents)}, in cross-validation, three times": _scores(unseen, threshold)}
    scores |= {name: _scores(one, threshold) for name, one in by_short_name(validation).items()}
    done = Adapted(settings.output, {"threshold": threshold, "f1": f1}, scores, time.monotonic() - started)
    _describe(work, settings, done, "statistics", len(documents), len(scorer.weights) + 1, platform.machine())
    return done


def run(
    settings: AdaptConfig,
    work: Path,
    report: Callable[[dict[str, float]], None],
    share: tuple[int, int] = (0, 1),
) -> Adapted:
    """Train in ``work`` and leave the complete refiner there. ``share`` is as in ``prox_spark.adapt.training.train``."""
    with tempfile.TemporaryDirectory() as scratch:
        # Every process trains the same vocabulary; the first process's copy is kept.
        recipe = make_recipe(settings, work if share[0] == 0 else Path(scratch))
    with within_memory("training", smaller(settings)):
        model = recipe.model.to(device_of(share[0]))
        best = train(model, recipe.task, settings, work, report, share)
        # Measure what ships: the saved weights, in a precision that every device supports.
        scored = recipe.task.score(_rounded(model))
        if settings.task == "lines":
            # Twice: the second fit corrects the error of rounding the calibrated head.
            for _ in range(2):
                _calibrate(model, *calibration(list(scored.values())))
                scored = recipe.task.score(_rounded(model))
    threshold = best_threshold(list(scored.values()))[0] if settings.task != "programs" else 0.5
    scores = {name: _scores(one, threshold) for name, one in by_short_name(scored).items()}
    f1 = sum(score["f1"] for score in scores.values()) / len(scores)
    seconds = best.pop("seconds")
    done = Adapted(settings.output, {**best, "threshold": threshold, "f1": f1}, scores, seconds)
    if share[0] == 0:
        _write(work, recipe, settings, done)
    return done


def _digest(settings: AdaptConfig) -> str:
    """Hash of the settings and of all files that are read, including the base's: a checkpoint is only valid for these."""
    base = [] if settings.base is None else [resolve_model(settings.base, settings.revision)]
    whole = [settings.model_dump(mode="json"), marks([*settings.train, *settings.validation, *base]), __version__]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _rounded(model: Any) -> Any:
    """The model with its weights rounded to bfloat16, in single precision: a CPU computes bfloat16 slowly."""
    import torch

    return model.to(torch.bfloat16).to(torch.float32)


def _calibrate(model: Any, scale: float, shift: float) -> None:
    """Put the calibration into the head: half of the shift to each class leaves their sum as it is."""
    import torch

    head = model.classifier
    with torch.no_grad():
        head.weight.mul_(scale)
        head.bias.mul_(scale).add_(
            torch.tensor([-shift / 2, shift / 2], dtype=head.bias.dtype, device=head.bias.device)
        )


def _scores(scored: Scored, threshold: float) -> dict[str, float]:
    """The card's scores for one validation file: F1 of kept words, or of kept documents."""
    everything = scored.calibrated(0.0, 100.0)
    return {
        "f1": keep_f1(scored, threshold),
        "f1_keep_everything": keep_f1(everything, 0.5),
        "auc": roc_area(scored),
        "calibration_error": calibration_error(scored),
        "examples": len(scored.keep),
    }


def _refiner_file(refiner: Refiner, int8: bool) -> Mapping[str, Any]:
    stage: dict[str, Any] = {"template": refiner.template, "window": refiner.window, "numbering": refiner.numbering}
    if refiner.label is not None:
        stage["label"] = "keep"
        # Omitted if false, because older packages do not know this key.
        stage |= {"int8": True} if int8 else {}
    else:
        stage["max_tokens"] = refiner.max_tokens
    if refiner.decision is not None:
        stage["decision"] = list(refiner.decision)
    return {"name": refiner.name, "context": refiner.context, refiner.stage: stage}


def _write(work: Path, recipe: Recipe, settings: AdaptConfig, done: Adapted) -> None:
    import torch

    recipe.model.to(torch.bfloat16).save_pretrained(work, safe_serialization=True)
    whole: dict[str, float] = {}
    if settings.task == "lines":
        whole = by_short_name(int8_f1(recipe.task, work, recipe.refiner, done.best["threshold"]))
    int8 = keeps_f1(whole, {name: score["f1"] for name, score in done.scores.items()})
    for name, f1 in whole.items():
        done.scores[name]["f1_int8"] = f1
    refiner = _refiner_file(recipe.refiner, int8)
    (work / "refiner.json").write_text(json.dumps(refiner, indent=2) + "\n", encoding="utf-8")
    parameters = sum(value.numel() for value in recipe.model.parameters())
    ran_on = machine(settings.processes)
    _describe(work, settings, done, type(recipe.model).__name__, recipe.examples, parameters, ran_on)


def _describe(
    work: Path, settings: AdaptConfig, done: Adapted, architecture: str, examples: int, parameters: int, machine: str
) -> None:
    """``training.json`` and, last, the card."""
    training = {
        "settings": {
            **settings.model_dump(mode="json", exclude={"card", "output", *_OF_SELECTIONS}),
            "train": short_names(settings.train),
            "validation": short_names(settings.validation),
        },
        "examples": examples,
        "architecture": architecture,
        "parameters": parameters,
        "best": done.best,
        "scores": done.scores,
        "seconds": round(done.seconds),
        "machine": machine,
        "date": datetime.now(UTC).date().isoformat(),
        "package_version": __version__,
    }
    (work / "training.json").write_text(json.dumps(training, indent=2) + "\n", encoding="utf-8")
    (work / _CARD).write_text(card(settings, training), encoding="utf-8")
