"""Shapes of models with random weights: the paper's sizes by name, and defaults."""

from collections.abc import Mapping
from typing import Any

from prox_spark.suggest import unknown

PAPER_SIZES: dict[str, dict[str, Any]] = {
    "xs": {"hidden": 1280, "feed_forward": 2048, "layers": 24, "heads": 16, "kv_heads": 1},
    "s": {"hidden": 1536, "feed_forward": 4864, "layers": 24, "heads": 24, "kv_heads": 2},
    "m": {"hidden": 2048, "feed_forward": 8192, "layers": 24, "heads": 32, "kv_heads": 32},
}
"""The model sizes of ProX by name (its appendix on models); their context is 2,048 tokens, their vocabulary 32,000."""


def named_shape(given: Any, sizes: Mapping[str, Any]) -> Any:
    """A section's raw settings with the shape behind the name in ``shape``. Raises ``ValueError`` for an unknown name."""
    if isinstance(given, dict) and isinstance(given.get("shape"), str):
        if given["shape"] not in sizes:
            raise ValueError(f"{unknown('shape', given['shape'], sizes)}; give one of these names or a mapping")
        return {**given, "shape": sizes[given["shape"]]}
    return given


def default_heads(hidden: int) -> int:
    """One head for every 64 dimensions."""
    return max(1, hidden // 64)
