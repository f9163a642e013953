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
from prox_spark.engines.folders.reading import CONFIG
from prox_spark.errors import RefinerError

_log = logging.getLogger(__name__)

_SHOWN = 4
_LONGEST = 300
_OF_LAYER = re.compile(r"(.*?\.)\d+\..*\.weight\Z")
_AGAIN = "get the whole model, or the one that config.json describes"


def load_whole(folder: Path, label: int | None, **options: Any) -> Any:
    """The model of a folder with every one of its tensors: one that writes, or a token classifier where there is a ``label``.

    Raises ``RefinerError`` where a tensor is missing or of another shape.
    """

    _config(folder)

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

    if folder.quantised is not None:
        return
    try:
        config = _config(folder.path)
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


def _config(folder: Path) -> Any:
    """The settings of a folder as transformers reads them.

    Raises ``RefinerError`` for a value that it does not take, and what it raises for an architecture that it does not know.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (ValueError, KeyError, OSError):
        raise
    except Exception as error:  # transformers' checks of a value raise anything
        raise RefinerError(
            f"{folder / CONFIG} has a value that transformers does not take: {_in_one_line(error)}"
        ) from error


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]


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
    except (AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
        raise RefinerError(f"transformers cannot load {folder}: {_in_one_line(error)}") from error
    missing, stray = ({str(name) for name in report[kind]} for kind in ("missing_keys", "unexpected_keys"))
    layers = _unused_layers(model, stray)
    if layers and not missing:
        raise RefinerError(
            f"the weights in {folder} have {_listed(layers)} that {type(model).__name__} with this config.json does not use; "
            f"{_AGAIN}"
        )
    if missing:
        has = f", and have {_listed(stray)} that it does not know" if stray else ""
        raise RefinerError(f"the weights in {folder} lack {_listed(missing)} of {type(model).__name__}{has}; {_AGAIN}")
    return model


def _unused_layers(model: Any, stray: set[str]) -> set[str]:
    """Weights of layers like the model's own that it does not use: transformers only warns of them.

    What an architecture is known to leave out is not among ``stray``. Other parts (of a model that also sees, say) have layers of
    another name, and layers that predict further tokens are a draft model's.
    """
    if getattr(model.config, "num_nextn_predict_layers", None):
        return set()
    own = {match[1] for name in model.state_dict() if (match := _OF_LAYER.match(name))}
    return {name for name in stray if (match := _OF_LAYER.match(name)) and match[1] in own}


def _listed(names: set[str]) -> str:
    """The names with the numbers of layers left out."""
    kinds: dict[str, int] = {}
    for name in sorted(names):
        kind = re.sub(r"\.\d+\.", ".*.", name)
        kinds[kind] = kinds.get(kind, 0) + 1
    shown = [f"{kind} ({count} times)" if count > 1 else kind for kind, count in list(kinds.items())[:_SHOWN]]
    more = f" and {len(kinds) - _SHOWN} more" if len(kinds) > _SHOWN else ""
    return f"{', '.join(shown)}{more}"
