"""Whether a model's weights are all there, found out by transformers before any engine answers with random numbers.

Where transformers loads a model it fills what is missing with random numbers and only warns; vLLM leaves some of it empty.
"""

import logging
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prox_spark.engines.folders import Folder, Weights
from prox_spark.errors import RefinerError

_log = logging.getLogger(__name__)

_SHOWN = 4
_AGAIN = "get the whole model, or the one that config.json describes"


def load_whole(folder: Path, label: int | None, **options: Any) -> Any:
    """The model of a folder with every one of its tensors: one that writes, or a token classifier where there is a ``label``.

    Raises ``RefinerError`` where a tensor is missing or of another shape.
    """

    def load() -> Any:
        return _automatic(label).from_pretrained(
            folder, trust_remote_code=False, use_safetensors=True, output_loading_info=True, **options
        )

    return _whole(load, folder)


def check_whole(folder: Folder, weights: Weights, label: int | None) -> None:
    """Refuse weights that lack tensors of the folder's architecture; builds the model from their headers, without memory.

    Quantised weights and architectures that transformers does not know are left to the engine. Raises ``RefinerError``.
    """
    import torch
    from transformers import AutoConfig

    if folder.quantised is not None:
        return
    try:
        config: Any = AutoConfig.from_pretrained(folder.path, trust_remote_code=False)
        model = _automatic(label)._model_mapping[type(config)]
    except (ValueError, KeyError, OSError) as error:
        _log.info("whether the weights in %s are whole is not checked: %s", folder.path, error)
        return
    if find_spec("accelerate") is None:
        _log.info("accelerate is not installed: %s is loaded once to see whether its weights are whole", folder.path)
        load_whole(folder.path, label)
        return
    tensors = {name: torch.empty(shape, device="meta") for name, (_, shape) in weights.tensors.items()}

    def build() -> Any:
        return model.from_pretrained(
            None, config=config, state_dict=tensors, device_map="meta", output_loading_info=True
        )

    _whole(build, folder.path)


def _automatic(label: int | None) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

    return AutoModelForCausalLM if label is None else AutoModelForTokenClassification


def _whole(load: Callable[[], Any], folder: Path) -> Any:
    """The model that ``load`` gives with a report of what it lacks, where that is nothing."""
    try:
        model, report = load()
    except RuntimeError as error:
        if "ignore_mismatched_sizes" not in str(error):
            raise
        raise RefinerError(f"the weights in {folder} have other shapes than config.json says; {_AGAIN}") from error
    missing = {str(name) for name in report["missing_keys"]}
    if missing:
        stray = {str(name) for name in report["unexpected_keys"]}
        has = f", and have {_listed(stray)} that it does not know" if stray else ""
        raise RefinerError(f"the weights in {folder} lack {_listed(missing)} of {type(model).__name__}{has}; {_AGAIN}")
    return model


def _listed(names: set[str]) -> str:
    """The names with the numbers of layers left out."""
    kinds: dict[str, int] = {}
    for name in sorted(names):
        kind = re.sub(r"\.\d+\.", ".*.", name)
        kinds[kind] = kinds.get(kind, 0) + 1
    shown = [f"{kind} ({count} times)" if count > 1 else kind for kind, count in list(kinds.items())[:_SHOWN]]
    more = f" and {len(kinds) - _SHOWN} more" if len(kinds) > _SHOWN else ""
    return f"{', '.join(shown)}{more}"
