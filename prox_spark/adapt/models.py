"""The models that ``adapt`` trains: with random weights, or existing ones."""

from pathlib import Path
from typing import Any

from prox_spark.config.adapt import Shape
from prox_spark.errors import TrainingError
from prox_spark.training.models import check_whole, existing_causal, new_llama

LABELS = {0: "remove", 1: "keep"}
_LOCAL = 128
"""Tokens around a token that ModernBERT's local layers see, both sides together (ModernBERT's default)."""


def new_classifier(shape: Shape, vocabulary: int, context: int, dropout: float) -> Any:
    """A ModernBERT token classifier with random weights and two classes, remove and keep."""
    from transformers import ModernBertConfig, ModernBertForTokenClassification

    config = ModernBertConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads or shape.hidden // 64,
        max_position_embeddings=context,
        local_attention=_LOCAL,
        global_attn_every_n_layers=2,
        embedding_dropout=dropout,
        mlp_dropout=dropout,
        classifier_dropout=dropout,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
        cls_token_id=None,
        sep_token_id=None,
        id2label=LABELS,
        label2id={label: number for number, label in LABELS.items()},
        attn_implementation="sdpa",
    )
    return ModernBertForTokenClassification(config)


def new_writer(shape: Shape, vocabulary: int, context: int, dropout: float, end: int) -> Any:
    """A Llama with random weights and shared input and output embeddings; the token ``end`` ends a program."""
    return new_llama(
        hidden=shape.hidden,
        feed_forward=shape.feed_forward,
        layers=shape.layers,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        vocabulary=vocabulary,
        context=context,
        end=end,
        attention_dropout=dropout,
        tie_word_embeddings=True,
        pad_token_id=0,
    )


def existing(folder: Path, causal: bool) -> Any:
    """The model of a folder, in single precision; a token classifier gets a new head. Raises ``TrainingError``."""
    import torch
    from transformers import AutoModelForTokenClassification

    if causal:
        return existing_causal(folder, "adapt.base")
    try:
        model, report = AutoModelForTokenClassification.from_pretrained(
            folder,
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            id2label=LABELS,
            label2id={label: number for number, label in LABELS.items()},
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
        if getattr(getattr(model, "classifier", None), "bias", None) is None:
            raise ValueError(f"{type(model).__name__} has no linear head named classifier")
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(
            f"adapt.base {folder} cannot be loaded as an encoder for token classification: {error}"
        ) from error
    check_whole(report, "adapt.base", folder, f"{model.base_model_prefix}.")
    return model
