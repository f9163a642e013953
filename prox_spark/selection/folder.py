"""A fitted DSIR as a folder: ``refiner.json`` and ``model.safetensors``."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, ValidationError

from prox_spark.errors import RefinerError
from prox_spark.section import Section
from prox_spark.selection.dsir import QUANTILES, VERSION, Dsir
from prox_spark.selection.ngrams import BUCKETS

FILE, WEIGHTS = "refiner.json", "model.safetensors"


class _RefinerFile(Section):
    name: str
    kind: Literal["dsir"]
    version: int
    min_words: int = Field(ge=1)
    seed: int
    short: float = Field(ge=0, lt=1)


def save_dsir(dsir: Dsir, name: str, folder: Path) -> None:
    """Write both files: the same bytes for the same numbers."""
    from safetensors.numpy import save_file

    about = _RefinerFile(
        name=name, kind="dsir", version=VERSION, min_words=dsir.min_words, seed=dsir.seed, short=dsir.short
    )
    (folder / FILE).write_text(json.dumps(about.model_dump(), indent=2) + "\n", encoding="utf-8")
    save_file({"log_ratio": dsir.log_ratio, "quantiles": dsir.quantiles}, folder / WEIGHTS)


def load_dsir(folder: Path) -> Dsir:
    """Load DSIR from a folder. Raises ``RefinerError`` if it is not DSIR, is damaged, or was fitted by another version."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    about = _read(folder / FILE)
    if about.version != VERSION:
        raise RefinerError(
            f"{folder} was fitted with n-gram version {about.version}, but this package has {VERSION}; "
            "run `adapt` again"
        )
    try:
        tensors = load_file(folder / WEIGHTS)
        log_ratio, quantiles = (np.asarray(tensors[name], np.float64) for name in ("log_ratio", "quantiles"))
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise RefinerError(f"{folder / WEIGHTS} cannot be read: {type(error).__name__}: {error}") from None
    if (log_ratio.shape, quantiles.shape) != ((BUCKETS,), (QUANTILES,)):
        raise RefinerError(f"{folder / WEIGHTS} has {log_ratio.shape} buckets and {quantiles.shape} quantiles")
    if not (np.isfinite(log_ratio).all() and np.isfinite(quantiles).all() and (np.diff(quantiles) >= 0).all()):
        raise RefinerError(f"{folder / WEIGHTS} has weights that are not numbers, or unsorted quantiles")
    return Dsir(log_ratio, quantiles, about.short, about.min_words, about.seed)


def _read(file: Path) -> _RefinerFile:
    if not file.is_file():
        raise RefinerError(
            f"{file} does not exist: engine.kind=dsir needs a folder made by `adapt` with task=selection"
        )
    try:
        return _RefinerFile.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RefinerError(
            f"{file} is not a DSIR refiner ({where}: {first['msg']}); engine.kind=dsir needs a "
            "folder made by `adapt` with task=selection"
        ) from None
