"""Token shards as one stream, and the training order of its sequences.

The documents of the shards follow one another, each with its end token. The stream is cut into sequences of
``length`` tokens to predict; the last token of one is the first of the next, so that each token except the first is
predicted once in a pass. The boundaries of shards make no difference.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from prox_spark.errors import TrainingError

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer"


@dataclass(frozen=True)
class Shards:
    """A folder of token shards: the stream, its tokenizer's folder, its manifest."""

    folder: Path
    manifest: dict[str, Any]
    digest: str
    arrays: tuple[Any, ...]
    starts: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    vocabulary: int
    end: int

    @property
    def tokens(self) -> int:
        """Tokens of the stream."""
        return int(self.starts[-1])

    @property
    def refinement(self) -> str | None:
        """``NAME:VERSION`` of the exported refinement, ``None`` if the shards contain the original documents."""
        name = self.manifest.get("refinement")
        if name is None or self.manifest.get("raw"):
            return None
        version = self.manifest.get("version")
        return str(name) if version is None else f"{name}:{version}"

    @property
    def tokenizer(self) -> Path:
        """Folder of the tokenizer's files."""
        return self.folder / TOKENIZER

    def read(self, start: int, stop: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """Tokens ``start`` to ``stop`` (not included) of the stream. Raises ``TrainingError`` for an id out of range."""
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        parts = []
        for array, begin, end in zip(self.arrays[first:], self.starts[first:-1], self.starts[first + 1 :], strict=True):
            if begin >= stop:
                break
            parts.append(array[max(start - begin, 0) : min(stop, end) - begin])
        ids: np.ndarray[tuple[int], np.dtype[np.int64]] = np.concatenate(parts).astype(np.int64)
        if len(ids) and not 0 <= ids.min() <= ids.max() < self.vocabulary:
            wrong = int(ids.max() if ids.max() >= self.vocabulary else ids.min())
            raise TrainingError(
                f"{self.folder}: token id {wrong} between tokens {start} and {stop}; the manifest says the vocabulary has "
                f"{self.vocabulary}"
            )
        return ids


def open_shards(folder: str | Path) -> Shards:
    """The shards of a folder, mapped into memory. Raises ``TrainingError`` if manifest, shards or tokenizer do not fit."""
    path = Path(folder).expanduser()
    try:
        written = (path / MANIFEST).read_bytes()
        manifest = json.loads(written)
        files = [(path / one["name"], int(one["tokens"])) for one in manifest["files"]]
        vocabulary = int(manifest["tokenizer"]["vocabulary"])
        end = int(manifest["tokenizer"]["end_token_id"])
        said = int(manifest["tokens"])
    except OSError as error:
        raise TrainingError(
            f"pretrain.data {path}: no {MANIFEST} ({error.strerror}); create the folder with `export --format tokens`"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path / MANIFEST}: not a manifest of token shards ({type(error).__name__}: {error})"
        ) from None
    arrays = [_map(file, tokens) for file, tokens in files if tokens]
    starts = np.concatenate([[0], np.cumsum([len(array) for array in arrays])]).astype(np.int64)
    if said != starts[-1]:
        raise TrainingError(f"{path}: {MANIFEST} says {said} tokens, but its shards have {starts[-1]}; export it again")
    _check_tokenizer(path / TOKENIZER, vocabulary, end)
    return Shards(path, manifest, hashlib.sha256(written).hexdigest(), tuple(arrays), starts, vocabulary, end)


def _map(file: Path, tokens: int) -> Any:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file}: cannot be read as token ids: {error}") from None
    if array.ndim != 1 or array.dtype.kind not in "ui" or len(array) != tokens:
        raise TrainingError(
            f"{file}: {array.dtype} of shape {array.shape}; {MANIFEST} says {tokens} token ids in one dimension; export it again"
        )
    return array


def _check_tokenizer(folder: Path, vocabulary: int, end: int) -> None:
    from tokenizers import Tokenizer

    try:
        # Loaded as in `export`: transformers adds tokens that the settings name and the file lacks.
        entries = Tokenizer.from_str((folder / "tokenizer.json").read_text("utf-8")).get_vocab(with_added_tokens=True)
    # The tokenizers library raises plain Exception for a file that is not a tokenizer.
    except Exception as error:
        raise TrainingError(f"{folder}: cannot load its tokenizer: {' '.join(str(error).split())[:300]}") from error
    size = max(entries.values(), default=-1) + 1
    if size != vocabulary:
        raise TrainingError(
            f"{folder} has {size} entries, the shards' {MANIFEST} says {vocabulary}: the shards have another tokenizer; "
            "export them again"
        )
    if not 0 <= end < vocabulary:
        raise TrainingError(
            f"{folder.parent / MANIFEST}: end_token_id {end} is not in the vocabulary of {vocabulary} entries"
        )


def vocabulary_of(folder: Path) -> dict[str, int]:
    """Number of a tokenizer's entries, including added ones. Raises ``TrainingError`` if it cannot be loaded."""
    from transformers import AutoTokenizer

    try:
        entries: dict[str, int] = AutoTokenizer.from_pretrained(
            str(folder), trust_remote_code=False, local_files_only=True
        ).get_vocab()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{folder}: cannot load its tokenizer: {' '.join(str(error).split())[:300]}") from error
    return entries


@dataclass(frozen=True)
class Order:
    """The order of sequences: each pass has all of them, in an order drawn from seed and pass.

    It depends only on the stream, ``length`` and ``seed``, not on the number of processes or the size of a step.
    """

    shards: Shards
    length: int
    seed: int

    @property
    def sequences(self) -> int:
        """Sequences of a pass; remaining tokens at the stream's end are not trained on."""
        return max(self.shards.tokens - 1, 0) // self.length

    def place(self, number: int) -> int:
        """The index in the stream of the run's ``number``-th sequence."""
        turn, place = divmod(number, self.sequences)
        return int(_permutation(self.sequences, self.seed, turn)[place])

    def batch(self, first: int, last: int) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
        """The run's sequences ``first`` to ``last`` (not included), each a row of ``length`` + 1 ids."""
        places = [self.place(number) for number in range(first, last)]
        return np.stack(
            [self.shards.read(place * self.length, place * self.length + self.length + 1) for place in places]
        )


@lru_cache(maxsize=2)
def _permutation(size: int, seed: int, turn: int) -> Any:
    order = np.arange(size, dtype=np.uint32 if size < 2**32 else np.uint64)
    np.random.default_rng([seed & 0xFFFFFFFF, turn]).shuffle(order)
    return order


def check_budget(order: Order, tokens: int, passes: float) -> None:
    """Raise ``TrainingError`` if ``tokens`` is more than this many passes have."""
    held = order.sequences * order.length
    if tokens > held * passes:
        needed = f"{tokens / held:.2f} passes" if held else "no sequence"
        raise TrainingError(
            f"{order.shards.folder} has {order.shards.tokens:,} tokens ({order.sequences:,} sequences of {order.length}), and "
            f"pretrain.tokens asks for {tokens:,} in at most {passes:g} passes: {needed}; export more, lower pretrain.tokens, or "
            "raise pretrain.passes"
        )
