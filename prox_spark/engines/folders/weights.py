"""The weights of a model folder by their headers: which tensors there are, of which type, and whether the files are whole."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prox_spark.engines.folders.reading import read_json
from prox_spark.errors import RefinerError

WEIGHTS = "*.safetensors"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
CONSOLIDATED = "consolidated*.safetensors"
ADAPTERS = "adapter_model*"
ADAPTER_CONFIG = "adapter_config.json"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_LFS = b"version https://git-lfs"
_LENGTH = 8
_LONGEST_HEADER = 100_000_000
"""Bytes; safetensors itself reads no longer one."""

_TYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}


@dataclass(frozen=True, slots=True)
class Weights:
    """The tensors of a model by name: type as safetensors writes it (``BF16``) and shape. ``files`` hold them."""

    files: tuple[str, ...]
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]

    @property
    def dtype(self) -> str:
        """The type of most numbers."""
        counts: Counter[str] = Counter()
        for kind, shape in self.tensors.values():
            counts[kind] += math.prod(shape)
        kind = counts.most_common(1)[0][0] if counts else "none"
        return _TYPES.get(kind, kind)


def read_weights(folder: Path) -> Weights:
    """Read the headers of the folder's weights: the files of its index, ``model.safetensors``, or else all but others' formats.

    Raises ``RefinerError`` where there are none, or one of them is missing, cut off, or a placeholder of Git LFS.
    """
    files, expected = _files(folder)
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for file in files:
        tensors |= _header(file)
    lacking = sorted(expected - set(tensors))
    if lacking:
        raise RefinerError(
            f"{folder / INDEX} names {listed(lacking)}, but the files do not hold them; download them again"
        )
    return Weights(tuple(file.name for file in files), tensors)


def check_weights(folder: Path) -> None:
    """Refuse a folder without a single file of weights that can be read safely. Raises ``RefinerError``."""
    if not any(folder.glob(WEIGHTS)):
        raise RefinerError(_why_none(folder))


def listed(names: list[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def read_index(folder: Path) -> dict[str, str]:
    """The file of each tensor as the folder's index has it. Raises ``RefinerError`` where it cannot be read."""
    places = read_json(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise RefinerError(f"{folder / INDEX} has no weight_map")
    return {tensor: str(name) for tensor, name in places.items()}


def _files(folder: Path) -> tuple[list[Path], set[str]]:
    """The files with a model's weights, and the tensors that its index names."""
    if (folder / SINGLE).exists():
        return [folder / SINGLE], set()
    if (folder / INDEX).is_file():
        places = read_index(folder)
        names = sorted(set(places.values()))
        foreign = [name for name in names if Path(name).name != name]
        if foreign:
            raise RefinerError(f"{folder / INDEX} names a file outside of the folder: {foreign[0]!r}")
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise RefinerError(f"{folder} lacks {listed(missing)} of the {len(names)} files in {INDEX}; download them")
        return [folder / name for name in names], set(places)
    others = {*folder.glob(CONSOLIDATED), *folder.glob(ADAPTERS)}
    files = sorted(file for file in folder.glob(WEIGHTS) if file not in others)
    if not files:
        raise RefinerError(_why_none(folder))
    return files, set()


def _why_none(folder: Path) -> str:
    """What a folder has in the place of weights, and what to do."""
    if (folder / ADAPTER_CONFIG).is_file():
        base = read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path") or "its base"
        return (
            f"{folder} is an adapter (LoRA) for {base}, not a model: merge the two with peft "
            "(merge_and_unload, save_pretrained) and use the merged folder"
        )
    gguf = sorted(folder.glob("*.gguf"))
    if gguf:
        return (
            f"{folder} has only GGUF weights ({gguf[0].name}), which no engine here reads: use the safetensors that they "
            "were made from, or serve the file with llama.cpp and engine.kind openai"
        )
    if any(folder.glob(CONSOLIDATED)):
        return (
            f"{folder} has only consolidated weights, in Mistral's own names: use the model*.safetensors of the same "
            "repository, or convert them to the transformers format"
        )
    pickled = sorted(file.name for pattern in _PICKLED for file in folder.glob(pattern))
    if pickled:
        return (
            f"{folder} has only pickled weights ({pickled[0]}); loading them can run arbitrary code; "
            "convert them to safetensors"
        )
    return f"{folder} has no weights ({WEIGHTS})"


def _header(file: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors of one file."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            start = opened.read(len(_LFS))
            if start == _LFS:
                raise RefinerError(f"{file} is a placeholder of Git LFS, not the weights: run git lfs pull there")
            length = int.from_bytes(start[:_LENGTH], "little")
            if size < _LENGTH or length > min(size - _LENGTH, _LONGEST_HEADER):
                raise RefinerError(f"{file} is cut off ({size} bytes), or not a safetensors file; download it again")
            opened.seek(_LENGTH)
            found = json.loads(opened.read(length))
        tensors = {name: entry for name, entry in found.items() if name != "__metadata__"}
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
        result = {name: (str(entry["dtype"]), tuple(map(int, entry["shape"]))) for name, entry in tensors.items()}
    except OSError as error:
        raise RefinerError(f"{file} cannot be read: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise RefinerError(f"{file} has a damaged header, or is not a safetensors file; download it again") from None
    if _LENGTH + length + end > size:
        raise RefinerError(f"{file} is cut off: {size} of {_LENGTH + length + end} bytes; download it again")
    return result


_WRAPPERS = re.compile(r"(module|_orig_mod|base_model\.model|_forward_module|student|_fsdp_wrapped_module)\.")
"""Prefixes that training frameworks put before a model's own names."""


def wrapper(weights: Weights) -> str | None:
    """The prefix that a training framework left before the names, where there is one."""
    found = next((match for name in weights.tensors if (match := _WRAPPERS.match(name))), None)
    return found[0] if found else None
