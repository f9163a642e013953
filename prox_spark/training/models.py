"""Causal models: with random weights, in the paper's sizes among others, or an existing one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prox_spark.errors import TrainingError

PAPER_SIZES: dict[str, dict[str, Any]] = {
    "xs": {"hidden": 1280, "feed_forward": 2048, "layers": 24, "heads": 16, "kv_heads": 1},
    "s": {"hidden": 1536, "feed_forward": 4864, "layers": 24, "heads": 24, "kv_heads": 2},
    "m": {"hidden": 2048, "feed_forward": 8192, "layers": 24, "heads": 32, "kv_heads": 32},
}
"""ProX's own sizes by their names (its appendix on models); their context is 2,048 tokens, their vocabulary 32,000."""


def named_shape(given: Any, sizes: Mapping[str, Any]) -> Any:
    """A section's raw settings with the shape behind the name in ``shape``. Raises ``ValueError`` for an unknown name."""
    if isinstance(given, dict) and isinstance(given.get("shape"), str):
        if given["shape"] not in sizes:
            raise ValueError(f"shape {given['shape']!r}: known are {', '.join(sizes)}, or a mapping")
        return {**given, "shape": sizes[given["shape"]]}
    return given


def default_heads(hidden: int) -> int:
    """A head for every 64 dimensions."""
    return max(1, hidden // 64)


def new_llama(
    *,
    hidden: int,
    feed_forward: int,
    layers: int,
    heads: int | None,
    kv_heads: int | None,
    vocabulary: int,
    context: int,
    end: int,
    **more: Any,
) -> Any:
    """A Llama with random weights; a head for every 64 dimensions and as many of keys and values unless told.

    ``end`` is the end token's id; ``more`` are further values of its configuration.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    heads = heads or default_heads(hidden)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads or heads,
        max_position_embeddings=context,
        bos_token_id=None,
        eos_token_id=end,
        attn_implementation="sdpa",
        **more,
    )
    return LlamaForCausalLM(config)


def existing_causal(folder: Path, key: str) -> Any:
    """The causal model of a folder, in single precision. ``key`` is the configuration's. Raises ``TrainingError``."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{key} {folder} cannot be loaded as a causal language model: {error}") from error
