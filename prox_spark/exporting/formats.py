"""The formats of an export. Nothing heavy is imported here: the command line reads them for its help."""

from typing import Literal

Format = Literal["parquet", "jsonl", "huggingface", "tokens"]
