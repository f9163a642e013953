"""Causal models: with random weights, for example in the paper's sizes, or an existing one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prox_spark.config.shapes import default_heads
from prox_spark.errors import TrainingError


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
    """A Llama with random weights. Default: one head for every 64 dimensions, and as many key and value heads.

    ``end`` is the end token's id; ``more`` are other values of the model's configuration.
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
        model, report = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, trust_remote_code=False, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{key} {folder} cannot be loaded as a causal language model: {error}") from error
    check_whole(report, key, folder)
    return model


def check_whole(report: Mapping[str, Any], key: str, folder: Path, prefix: str = "") -> None:
    """Raise ``TrainingError`` if a folder lacks weights or has them in another shape: transformers makes them random numbers.

    ``report`` is its loading report. Only weights whose names begin with ``prefix`` count: a head may be new.
    """
    shaped = [name for name, *_ in report["mismatched_keys"]]
    missing = sorted(name for name in map(str, [*report["missing_keys"], *shaped]) if name.startswith(prefix))
    if missing:
        raise TrainingError(
            f"{key} {folder} lacks {len(missing)} of its weights, {missing[0]} among them: get the whole model"
        )
