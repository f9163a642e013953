"""Token shards as ``export`` writes them, made here with numpy, and settings that train in a second."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prox_spark.config.pretrain import ModelShape, PretrainConfig
from prox_spark.engines.tiny import END, build_tiny_model

WORDS = ("the sea", "a house", "stood by", "of stone", "and light", "in the room", "was old", "near us")


def texts(count: int, seed: int = 0) -> list[str]:
    """Sentences of a few phrases, the last of which follows from the first: something to learn."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        phrases = [WORDS[place] for place in random.integers(0, len(WORDS), random.integers(4, 30))]
        found.append(" ".join([*phrases, phrases[0]]) + ".")
    return found


def write_shards(folder: Path, documents: Sequence[str], shards: int = 2, **manifest: Any) -> Path:
    """A folder of token shards of these documents; ``manifest``'s keys stand in place of the true ones."""
    from transformers import AutoTokenizer

    build_tiny_model(folder / "model", texts(200))
    (folder / "tokenizer").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / "model" / name).rename(folder / "tokenizer" / name)
    for file in (folder / "model").iterdir():
        file.unlink()
    (folder / "model").rmdir()
    tokenizer = AutoTokenizer.from_pretrained(str(folder / "tokenizer"))
    end = tokenizer.convert_tokens_to_ids(END)
    files = []
    for number, part in enumerate(np.array_split(np.arange(len(documents)), shards)):
        ids = [token for place in part for token in [*tokenizer.encode(documents[place]), end]]
        name = f"tokens-{number:05d}.npy"
        np.save(folder / name, np.array(ids, np.uint16))
        files.append({"name": name, "tokens": len(ids), "documents": len(part)})
    found = {
        "refinement": None,
        "documents": len(documents),
        "tokens": sum(file["tokens"] for file in files),
        "dtype": "uint16",
        "tokenizer": {"vocabulary": len(tokenizer), "end_token_id": end},
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(found | manifest))
    return folder


def settings(data: Path, output: Path, **more: Any) -> PretrainConfig:
    given = {
        "shape": None if "base" in more else ModelShape(hidden=32, feed_forward=32, layers=1, heads=2, tied=True),
        "tokens": 12 * 256,
        "sequence": 32,
        "batch_tokens": 256,
        "micro_batch": 4,
        "learning_rate": 1e-2,
        "warm_up": 2,
        "evaluations": 3,
        "checkpoint_every": 5,
        **more,
    }
    return PretrainConfig(name="small", data=str(data), output=str(output), **given)


def prose(file: Path, documents: Sequence[str]) -> str:
    records = [{"text": text, "source": f"s{number % 2}"} for number, text in enumerate(documents)]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(file)
