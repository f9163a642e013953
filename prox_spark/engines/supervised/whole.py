"""Whether a model's weights are all there, found out by transformers before any engine answers with random numbers.

Where transformers loads a model it fills what is missing with random numbers and only warns; vLLM leaves some of it empty.
"""

import logging
import re
from typing import Any

from prox_spark.engines.folders import Folder, read_folder
from prox_spark.errors import RefinerError

_log = logging.getLogger(__name__)

_SHOWN = 4


def check_whole(folder: Folder, label: int | None) -> None:
    """Refuse weights that lack tensors of the folder's architecture; reads headers and builds the model without memory.

    Quantised weights and architectures that transformers does not know are left to the engine. Raises ``RefinerError``.
    """
    from transformers import AutoConfig

    if folder.quantised is not None:
        return
    try:
        config: Any = AutoConfig.from_pretrained(folder.path, trust_remote_code=False)
        known = type(config) in automatic(label)._model_mapping
    except (ValueError, KeyError, OSError) as error:
        _log.info("whether the weights in %s are whole is not checked: %s", folder.path, error)
        return
    if known:
        load_whole(folder.path, label, device_map="meta")


def automatic(label: int | None) -> Any:
    """transformers' class for a model that writes, or for a token classifier where there is a ``label``."""
    from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

    return AutoModelForCausalLM if label is None else AutoModelForTokenClassification


def load_whole(folder: Any, label: int | None, **options: Any) -> Any:
    """The model of a folder with every one of its tensors. Raises ``RefinerError`` where one is missing or of another shape."""
    try:
        model, report = automatic(label).from_pretrained(
            folder, trust_remote_code=False, use_safetensors=True, output_loading_info=True, **options
        )
    except RuntimeError as error:
        if "ignore_mismatched_sizes" not in str(error):
            raise
        raise RefinerError(f"the weights in {folder} have other shapes than config.json says; {_AGAIN}") from error
    missing = {str(name) for name in report["missing_keys"]}
    if missing:
        stray = {str(name) for name in report["unexpected_keys"]}
        has = f", and have {_listed(stray)} that it does not know" if stray else ""
        raise RefinerError(
            f"the weights in {folder} lack {_listed(missing)} of {type(model).__name__}{has}; {_AGAIN}"
        )
    return model


_AGAIN = "get the whole model, or the one that config.json describes"


def _listed(names: set[str]) -> str:
    """The names with the numbers of layers left out, the commonest first."""
    kinds: dict[str, int] = {}
    for name in sorted(names):
        kind = re.sub(r"\.\d+\.", ".*.", name)
        kinds[kind] = kinds.get(kind, 0) + 1
    shown = [f"{kind} ({count} times)" if count > 1 else kind for kind, count in list(kinds.items())[:_SHOWN]]
    more = f" and {len(kinds) - _SHOWN} more" if len(kinds) > _SHOWN else ""
    return f"{', '.join(shown)}{more}"
