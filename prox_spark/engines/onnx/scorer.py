"""A token classifier of a model folder, loaded into onnxruntime."""

import json
import logging
import os
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from prox_spark.engines import folders
from prox_spark.engines.onnx.modernbert import Shape, Weights, build, read_shape
from prox_spark.errors import EngineError, RefinerError

_log = logging.getLogger(__name__)

_ERRORS_ONLY = 3
INSTALL = "install the extra onnx: pip install 'prox-spark[onnx]'"


class Scorer:
    """P(label) at places of one chunk after the other."""

    def __init__(self, folder: Path, *, context: int, label: int, int8: bool, threads: int = 1) -> None:
        """Build the graph of ``folder``'s weights.

        Raises ``RefinerError`` where there is none for them, ``EngineError`` where onnxruntime is not installed or refuses it.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise EngineError(f"engine.kind onnx needs onnxruntime ({error}): {INSTALL}") from error
        began = time.monotonic()
        shape, weights = folder_shape(folder), read_weights(folder)
        try:
            model = build(shape, weights, context=context, label=label, int8=int8)
        except KeyError as error:
            raise RefinerError(f"{folder}: the weights lack {error}, which config.json asks for") from error
        self._vocabulary = len(weights["model.embeddings.tok_embeddings.weight"])
        self._context = context
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = _ERRORS_ONLY
        # Threads that wait for work by spinning would take the cores of other tasks.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # Of many classes without a common one of their own; weights of another shape than config.json says among them.
            raise EngineError(f"onnxruntime {onnxruntime.__version__} cannot load {folder}: {error}") from error
        precision = "int8" if int8 else "float32"
        _log.info("loaded %s with onnxruntime in %.1f s (%s)", folder, time.monotonic() - began, precision)

    def score(self, ids: Sequence[int], positions: Sequence[int]) -> list[float]:
        """P(label) at ``positions`` of the chunk ``ids``. Raises ``ValueError`` for a chunk that the model cannot read."""
        chunk, places = np.asarray(ids, dtype=np.int64), np.asarray(positions, dtype=np.int64)
        if not 0 < len(chunk) <= self._context:
            raise ValueError(f"a prompt of {len(chunk)} tokens; the model reads 1 to {self._context}")
        if chunk.min() < 0 or chunk.max() >= self._vocabulary:
            raise ValueError(f"token ids must be in 0 to {self._vocabulary - 1}")
        if not len(places) or places.min() < 0 or places.max() >= len(chunk):
            raise ValueError(f"positions must be in 0 to {len(chunk) - 1}, at least one")
        (found,) = self._session.run(None, {"ids": chunk, "positions": places})
        scores: list[float] = found.tolist()
        return scores


@lru_cache(maxsize=2)
def load_scorer(
    folder: Path, sources: tuple[tuple[str, str], ...], context: int, label: int, int8: bool, threads: int
) -> Scorer:
    """The scorer of a folder whose files have the digests ``sources``, loaded once in a process: Python workers live longer
    than tasks."""
    return Scorer(folder, context=context, label=label, int8=int8, threads=threads)


def task_threads() -> int:
    """Threads of a task's engine: Spark sets ``OMP_NUM_THREADS`` of its Python workers to ``spark.task.cpus``."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return max(int(value), 1) if value.isdecimal() and len(value) < 4 else 1


def folder_shape(folder: Path) -> Shape:
    """See ``read_shape``."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        return read_shape(config, str(folder))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefinerError(f"{folder / 'config.json'} cannot be read: {type(error).__name__}: {error}") from error


def read_weights(folder: Path) -> Weights:
    """Every tensor of a folder's weights, in single precision. Raises ``RefinerError`` where one cannot be read."""
    import safetensors

    parse: Any = safetensors.deserialize  # It has no types.
    weights: dict[str, np.ndarray[Any, np.dtype[np.float32]]] = {}
    for file in (folder / name for name in folders.read_weights(folder).files):
        try:
            tensors = parse(file.read_bytes())
        except (OSError, safetensors.SafetensorError) as error:
            raise RefinerError(f"{file} cannot be read: {error}") from error
        weights |= {name: _single(tensor, f"{file}: {name}") for name, tensor in tensors}
    return weights


def _single(tensor: Any, where: str) -> "np.ndarray[Any, np.dtype[np.float32]]":
    data, kind = tensor["data"], tensor["dtype"]
    if kind == "BF16":
        # The upper half of a single.
        values = (np.frombuffer(data, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
    elif kind in ("F16", "F32"):
        values = np.frombuffer(data, dtype="<f2" if kind == "F16" else "<f4").astype(np.float32)
    else:
        raise RefinerError(f"{where} is of type {kind}; engine.kind onnx reads BF16, F16 and F32")
    return values.reshape(tensor["shape"])
