"""``adapt``: from labelled pages to a refiner's folder, which stands complete or not at all."""

import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prox_spark import __version__
from prox_spark.adapt.card import card
from prox_spark.adapt.pages import LabelledPage, read_pages
from prox_spark.adapt.scorer import new_model, score, train
from prox_spark.adapt.scoring import Scored, best_threshold, calibration, calibration_error, keep_f1
from prox_spark.adapt.settings import AdaptConfig
from prox_spark.adapt.tokenizer import write_tokenizer
from prox_spark.adapt.windows import encode_pages
from prox_spark.errors import TrainingError
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import Refiner
from prox_spark.generation.tokens import PromptTokenizer

TEMPLATE = "marked/1"
_CONTEXT = 4096
_SAMPLED_LINE = 80
"""Characters of a line that the vocabulary learns from: little more is ever sent of one."""


@dataclass(frozen=True)
class Adapted:
    """A refiner that was trained: its folder, the best evaluation, and scores by validation file."""

    output: str
    best: dict[str, Any]
    scores: dict[str, dict[str, float]]
    seconds: float


def adapt(settings: AdaptConfig, report: Callable[[dict[str, Any]], None] = lambda _: None) -> Adapted:
    """Train a line scorer as told; ``report`` hears of each evaluation.

    The folder holds safetensors, tokenizer, ``config.json``, ``refiner.json``, ``training.json`` and a card
    (``README.md``). Raises ``TrainingError`` where the output exists or the pages do not serve.
    """
    import torch

    started = time.monotonic()
    output = Path(settings.output).expanduser()
    if output.exists():
        raise TrainingError(f"{output} exists; name another adapt.output, or move it away")
    pages = read_pages(settings.train)
    validation = {path: read_pages([path]) for path in settings.validation}
    work = output.with_name(f".{output.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        torch.manual_seed(settings.seed)
        vocabulary = write_tokenizer(work, _lines(pages), settings.shape.vocabulary)
        prompter = Prompter(_refiner(settings), PromptTokenizer(work))
        encoded = {path: encode_pages(prompter, chosen) for path, chosen in validation.items()}
        model = new_model(settings.shape, vocabulary, _CONTEXT, settings.dropout)
        best = train(model, prompter, encode_pages(prompter, pages), encoded, settings, report)
        scored = {path: score(model, prompter, chosen, settings) for path, chosen in encoded.items()}
        scale, shift = calibration(list(scored.values()))
        _calibrate(model, scale, shift)
        calibrated = {path: one.calibrated(scale, shift) for path, one in scored.items()}
        threshold, f1 = best_threshold(list(calibrated.values()))
        scores = {Path(path).name: _scores(one, threshold) for path, one in calibrated.items()}
        done = Adapted(str(output), {**best, "threshold": threshold, "f1": f1}, scores, time.monotonic() - started)
        _write(work, model, settings, done, len(pages), torch.get_num_threads())
        work.rename(output)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return done


def _lines(pages: list[LabelledPage]) -> Any:
    return (line[:_SAMPLED_LINE] for page in pages for line in page.text.split("\n"))


def _refiner(settings: AdaptConfig) -> Refiner:
    """As ``refiner.json`` will describe it."""
    return Refiner(
        stage="chunk",
        name=settings.name,
        kind="model",
        sources=(),
        template=TEMPLATE,
        numbering="none",
        window=settings.window,
        context=_CONTEXT,
        label=1,
    )


def _calibrate(model: Any, scale: float, shift: float) -> None:
    """Put the calibration into the head: half of the shift to each class leaves their sum as it is."""
    import torch

    with torch.no_grad():
        model.classifier.weight.mul_(scale)
        model.classifier.bias.mul_(scale).add_(torch.tensor([-shift / 2, shift / 2]))


def _scores(scored: Scored, threshold: float) -> dict[str, float]:
    """What the card says of one validation file; F1 of kept words."""
    everything = scored.calibrated(0.0, 100.0)
    return {
        "f1": keep_f1(scored, threshold),
        "f1_keep_everything": keep_f1(everything, 0.5),
        "calibration_error": calibration_error(scored),
        "lines": len(scored.keep),
    }


def _write(work: Path, model: Any, settings: AdaptConfig, done: Adapted, pages: int, threads: int) -> None:
    model.save_pretrained(work, safe_serialization=True)
    refiner = {
        "name": settings.name,
        "context": _CONTEXT,
        "chunk": {"template": TEMPLATE, "window": settings.window, "numbering": "none", "label": "keep"},
    }
    training = {
        "settings": {
            **settings.model_dump(mode="json", exclude={"card", "output"}),
            "train": [Path(path).name for path in settings.train],
            "validation": [Path(path).name for path in settings.validation],
        },
        "pages": pages,
        "parameters": sum(value.numel() for value in model.parameters()),
        "best": done.best,
        "scores": done.scores,
        "seconds": round(done.seconds),
        "machine": f"{platform.machine()}, {threads} threads, torch {_version('torch')}",
        "date": datetime.now(UTC).date().isoformat(),
        "package_version": __version__,
    }
    for name, value in (("refiner.json", refiner), ("training.json", training)):
        (work / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    (work / "README.md").write_text(card(settings, training), encoding="utf-8")


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
