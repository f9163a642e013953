"""Documents of one shard as Spark hands them to the task, a tokenizer to train on the spot, and what was written."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from prox_spark.exporting.folder import Folder
from prox_spark.exporting.shards import ShardPlan, shard_task
from prox_spark.exporting.writers import COLUMNS

HOSTILE = 'a "quoted"\\ \x00\x1b[31m\u2028 </script> \U0001f9ea é\u0301 \r\n\tend '
TEXTS = [
    "A first page.\nIt has two lines.",
    HOSTILE,
    "",
    " leading\n\n\nand trailing ",
    "日本語の文章。" * 40,
    "<s>not special</s>",
]


def rows(texts: Sequence[str], first: int = 0, shard: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "shard": shard,
            "doc_id": f"d{number}",
            "text": text,
            "url": None if number % 2 else f"https://site.example/{number}",
            "source": "test",
            "metadata": None if number % 3 == 0 else [("number", str(number)), ("said", HOSTILE)],
        }
        for number, text in enumerate(texts, first)
    ]


def batches(values: list[dict[str, Any]], size: int = 1000) -> Iterator[pa.RecordBatch]:
    schema = pa.schema([("shard", pa.int64()), *COLUMNS])
    for start in range(0, len(values), size):
        yield pa.RecordBatch.from_pylist(values[start : start + size], schema=schema)


def write(
    folder: Path | str, format: str, values: list[dict[str, Any]], size: int = 1000, tokenizing: Any = None
) -> Any:
    """One attempt at a shard: the row that the task yields."""
    plan = ShardPlan(str(folder), format, tokenizing)
    (row,) = pa.Table.from_batches(list(shard_task(plan)(batches(values, size)))).to_pylist()
    return row


def content(folder: Path | str, name: str) -> bytes:
    return Folder(str(folder)).read(name)


def train_tokenizer(folder: Path, texts: Iterable[str], end: str | None = "</s>") -> Path:
    """A byte-level BPE without a normalizer: every text comes back exactly."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": end}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder
