"""What an engine cannot run, or would run on other numbers than its maker's, told before anything starts.

Only what headers and settings prove is refused here; whether every tensor of the architecture is there is found out where the
engine starts (``prox_spark.engines.supervised.whole``). What depends on an engine's package is judged where that is installed: a
driver without it leaves it to the executors, which ask again.
"""

import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from prox_spark.engines.folders.reading import Folder
from prox_spark.engines.folders.weights import (
    ADAPTER_CONFIG,
    CONSOLIDATED,
    INDEX,
    SINGLE,
    Weights,
    listed,
    read_index,
    read_weights,
    wrapper,
)
from prox_spark.errors import RefinerError

_HEADS = ("lm_head.", "embed_out.", "output.", "head.", "output_layer.", "language_model.lm_head.")
"""How a causal model's head is called, where it has weights of its own."""

_NEEDED = {
    "aqlm": ("accelerate", "aqlm"),
    "auto-round": ("auto_round",),
    "awq": ("accelerate", "gptqmodel"),
    "bitsandbytes": ("accelerate", "bitsandbytes"),
    "compressed-tensors": ("compressed_tensors",),
    "eetq": ("accelerate", "kernels"),
    "fp8": ("accelerate",),
    "gptq": ("optimum", "gptqmodel"),
    "hqq": ("hqq",),
    "mxfp4": ("accelerate",),
    "quanto": ("optimum.quanto",),
    "quark": ("quark",),
    "torchao": ("torchao",),
}
"""Modules that transformers needs for weights that a method quantised."""

_OTHER_NAMES = {"auto-round", "auto_round", "compressed_tensors", "mxfp8"}
"""Methods that vLLM reads under another name than the folder's."""


def left_to_vllm(options: Mapping[str, Any]) -> bool:
    """Whether ``options`` give vLLM other settings or files than the folder's own, so that only vLLM can judge them."""
    own_settings = not options.get("hf_overrides") and not options.get("hf_config_path")
    return not own_settings or options.get("load_format") not in (None, "auto", "safetensors")


def check_fit(folder: Folder, engine: str, *, label: int | None, options: Mapping[str, Any]) -> Weights:
    """The weights of a folder that ``engine`` (``onnx``, ``transformers``, ``vllm``) can run; reads headers and settings only.

    ``label``: as in ``Refiner``, for a token classifier. ``options`` are the engine's own. Raises ``RefinerError`` that says what
    the folder is and what to do.
    """
    weights = read_weights(folder.path)
    _check_files(folder, engine, weights)
    _check_names(folder, weights, label)
    _check_method(folder, engine, options)
    _check_code(folder, engine)
    if folder.marked and engine != "onnx":
        raise RefinerError(
            f"{folder.path / folder.marked[0]} begins with a byte order mark, which {engine} does not read: save it without"
        )
    return weights


def _check_files(folder: Folder, engine: str, weights: Weights) -> None:
    if (folder.path / ADAPTER_CONFIG).is_file():
        raise RefinerError(
            f"{folder.path} has an adapter (LoRA) beside a base model, which no engine here applies: merge the two with peft "
            f"(merge_and_unload, save_pretrained), or move {ADAPTER_CONFIG} away to use the base alone"
        )
    if engine == "transformers" and not any((folder.path / name).is_file() for name in (SINGLE, INDEX)):
        raise RefinerError(
            f"{folder.path} has weights under other names ({listed(list(weights.files))}) and no {INDEX}; transformers reads "
            f"only {SINGLE} or the files of an index: rename a single file, or load and save the model"
        )
    if engine == "vllm" and SINGLE in weights.files and (folder.path / INDEX).is_file():
        named = sorted(set(read_index(folder.path).values()))
        if named != [SINGLE]:
            raise RefinerError(
                f"{folder.path} has {SINGLE} and an index of {listed(named)}, which may be two models; vLLM reads the index's "
                f"files and the other engines {SINGLE}: move one of the two away"
            )
    elif engine == "vllm" and SINGLE in weights.files:
        others = sorted(file.name for file in folder.path.glob("*.safetensors") if file.name != SINGLE)
        if others:
            what = "consolidated weights" if any(folder.path.glob(CONSOLIDATED)) else "other weights"
            raise RefinerError(
                f"{folder.path} has {what} beside {SINGLE}, and vLLM reads all: move {listed(others)} away"
            )


def _check_names(folder: Folder, weights: Weights, label: int | None) -> None:
    prefix = wrapper(weights)
    if prefix is not None:
        raise RefinerError(
            f"the weights in {folder.path} have names that begin with {prefix!r}, as a training framework wraps them, and no "
            "engine would find them: save the inner model with save_pretrained"
        )
    headless = not any(name.startswith(_HEADS) or ".lm_head." in name for name in weights.tensors)
    if label is None and headless and folder.ties_head is False and folder.architecture.endswith("ForCausalLM"):
        raise RefinerError(
            f"the weights in {folder.path} lack the head of {folder.architecture} (lm_head.weight), and config.json says that it "
            "is not the embedding (tie_word_embeddings false): get the whole model, or set that if the two are shared"
        )


def _check_method(folder: Folder, engine: str, options: Mapping[str, Any]) -> None:
    method = folder.quantised
    if method is None:
        return
    if engine == "vllm":
        known = _vllm_methods()
        if not known or method in known or method in _OTHER_NAMES or options.get("quantization"):
            return
        raise RefinerError(
            f"{folder.path} is quantised ({method}), which this vLLM does not read: use the model's unquantised weights, or set "
            "engine.options.quantization if a plugin of vLLM reads them"
        )
    if engine == "onnx":
        raise RefinerError(
            f"{folder.path} is quantised ({method}), and engine.kind onnx reads no quantised weights: use the model's "
            "unquantised weights"
        )
    if _has("torch"):
        lacking = [name for name in _NEEDED.get(method, ()) if not _has(name)]
        if lacking:
            raise RefinerError(
                f"{folder.path} is quantised ({method}), and transformers needs {' and '.join(lacking)} for it: install "
                f"{'it' if len(lacking) == 1 else 'them'} on driver and executors, or use the model's unquantised weights"
            )


def _check_code(folder: Folder, engine: str) -> None:
    """Refuse models that are code in their folder; one that the engine has by itself needs none."""
    if not isinstance(folder.config.get("auto_map"), dict):
        return
    if engine == "vllm":
        known = _source("vllm", "model_executor/models/registry.py")
        name = folder.architecture
    else:
        known = _source("transformers", "models/auto/auto_mappings.py", "models/auto/configuration_auto.py")
        name = folder.model_type
    if known and f'"{name}"' not in known:
        raise RefinerError(
            f"{folder.path} brings its own code (auto_map in config.json), and code from a model folder is never run; {engine} "
            f"does not know {name or 'its architecture'} by itself: use another engine or model, or serve it and use engine.kind "
            "openai"
        )


@cache
def _vllm_methods() -> frozenset[str]:
    """Names of quantisation methods in vLLM's source, as importing it takes many seconds; none where it is not installed."""
    source = _source("vllm", "model_executor/layers/quantization/__init__.py")
    listing = re.search(r"QuantizationMethods = Literal\[(.*?)\]", source, re.DOTALL)
    return frozenset(re.findall(r'"([^"]+)"', listing[1])) if listing else frozenset()


def _source(package: str, *files: str) -> str:
    """The text of source files of a package; empty where they are not here."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return ""
    paths = [Path(found.submodule_search_locations[0]) / file for file in files]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths if path.is_file())


def _has(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # A package above it is not there.
        return False
