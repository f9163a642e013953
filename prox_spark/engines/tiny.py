"""A tiny random model, built on the spot: the machinery of a real engine without a download.

Its programs are random; a grammar keeps them valid. Tests and the demo run it through the same engine as a trained
refiner.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

VOCABULARY = 2048
HIDDEN = 64
FEED_FORWARD = 128
LAYERS = 2
HEADS = 2
CONTEXT = 2048

BEGIN, END = "<s>", "</s>"


def build_tiny_model(folder: Path, texts: Iterable[str], *, seed: int = 0) -> Path:
    """Write a tokenizer trained on ``texts`` and a random Llama with ``refiner.json`` into ``folder``; return it.

    The tokenizer is a byte-level BPE of at most ``VOCABULARY`` entries; the model has ``HIDDEN`` dimensions,
    ``LAYERS`` layers and a context of ``CONTEXT`` tokens. The same texts and seed give the same files. The folder
    serves both stages: the document stage decides by the first token, the chunk stage writes grammar-held programs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = _write_tokenizer(folder, texts)
    _write_model(folder, size, seed)
    refiner = {
        "name": "tiny",
        "context": CONTEXT,
        "document": {"template": "lines/1", "window": 512, "decision": ["keep", "drop"]},
        "chunk": {"template": "lines/1", "window": 768, "max_tokens": 48, "numbering": "document", "grammar": True},
    }
    (folder / "refiner.json").write_text(json.dumps(refiner, indent=2) + "\n", encoding="utf-8")
    return folder


def _write_tokenizer(folder: Path, texts: Iterable[str]) -> int:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "add_bos_token": False,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return int(tokenizer.get_vocab_size())


def _write_model(folder: Path, vocabulary: int, seed: int) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    random = np.random.default_rng(seed)

    def weights(rows: int, columns: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
        return (random.standard_normal((rows, columns)) * 0.1).astype(np.float32)

    ones = np.ones(HIDDEN, dtype=np.float32)
    tensors = {
        "model.embed_tokens.weight": weights(vocabulary, HIDDEN),
        "model.norm.weight": ones,
        "lm_head.weight": weights(vocabulary, HIDDEN),
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            tensors[f"{prefix}.self_attn.{name}.weight"] = weights(HIDDEN, HIDDEN)
        for name in ("gate_proj", "up_proj"):
            tensors[f"{prefix}.mlp.{name}.weight"] = weights(FEED_FORWARD, HIDDEN)
        tensors[f"{prefix}.mlp.down_proj.weight"] = weights(HIDDEN, FEED_FORWARD)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}.{name}.weight"] = ones
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
