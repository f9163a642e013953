"""Documents as token ids: loads the tokenizer, and turns documents of any length into ids that decode to the exact text."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prox_spark.engines.folders import read_folder, serialised
from prox_spark.engines.models import resolve_tokenizer
from prox_spark.errors import UsageError
from prox_spark.generation.tokens import SLAB, encode, open_tokenizers

_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
"""Files of a tokenizer; other files of a model's folder are not exported."""

_PLAIN_LINE_END = re.compile(r"(?<=\S)\n(?=\S)")

Ids = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Tokenizing:
    """The tokenizer data that a task needs; ``name`` is for error messages."""

    name: str
    serialised: str
    end_id: int
    dtype: str


@dataclass(frozen=True)
class ChosenTokenizer:
    """A loaded tokenizer. ``vocabulary`` is one more than its largest id; ``files`` are its files by name."""

    name: str
    serialised: str
    vocabulary: int
    end_token: str
    end_id: int
    files: dict[str, bytes]

    @property
    def dtype(self) -> str:
        """uint16 if it fits every id, else uint32."""
        return "uint16" if self.vocabulary <= 1 << 16 else "uint32"

    @property
    def tokenizing(self) -> Tokenizing:
        return Tokenizing(self.name, _marked(self.serialised, self.end_id), self.end_id, self.dtype)

    def described(self) -> dict[str, Any]:
        """The tokenizer's entry in the manifest."""
        return {
            "name": self.name,
            "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.files.items())},
            "vocabulary": self.vocabulary,
            "end_token": self.end_token,
            "end_token_id": self.end_id,
        }


def read_tokenizer(name: str) -> ChosenTokenizer:
    """The tokenizer of a folder or of a repository on the model hub.

    Raises ``RefinerError`` if there is none, ``UsageError`` if it has no end token: nothing would separate the documents
    of a shard.
    """
    folder = resolve_tokenizer(name)
    whole = serialised(folder)
    tokenizer, _ = open_tokenizers(whole, name)
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    named = read_folder(folder).token("eos_token")
    end = named.value if named else None
    if end is None or end not in vocabulary:
        lacks = "names no eos_token" if end is None else f"names {end!r} as eos_token, which is not in its vocabulary"
        raise UsageError(
            f"tokenizer {name!r}: its tokenizer_config.json {lacks}, so documents would not be separated; "
            "choose a tokenizer with an end token, or set one there"
        )
    files = {file: (folder / file).read_bytes() for file in _FILES if (folder / file).is_file()}
    # The tokenizer as used, if the folder has it only in an older format.
    files.setdefault("tokenizer.json", whole.encode())
    known = Path(name).name if Path(name).expanduser().is_dir() else name
    return ChosenTokenizer(known, whole, max(vocabulary.values()) + 1, end, vocabulary[end], files)


def _marked(serialised: str, end_id: int) -> str:
    """The tokenizer with its end token marked as special: otherwise a page that has its text would end there."""
    whole = json.loads(serialised)
    for token in whole.get("added_tokens") or ():
        token["special"] = token["special"] or token["id"] == end_id
    return json.dumps(whole, ensure_ascii=False)


class DocumentTokenizer:
    """Ids of documents, without special tokens; text in a page that looks like one is tokenised as text."""

    def __init__(self, tokenizing: Tokenizing) -> None:
        self._dtype = tokenizing.dtype
        self._first, self._next = open_tokenizers(tokenizing.serialised, tokenizing.name)

    def pieces(self, texts: Sequence[str]) -> Iterator[tuple[int, Ids]]:
        """Pairs of a text's index and ids, in order; a text of more than ``SLAB`` characters comes in several pieces."""
        start = 0
        for number, text in enumerate(texts):
            if len(text) > SLAB:
                yield from self._short(texts, start, number)
                yield from ((number, ids) for ids in self._long(text))
                start = number + 1
        yield from self._short(texts, start, len(texts))

    def decode(self, ids: Ids) -> str:
        """The text that the ids of a whole document decode to."""
        return str(self._first.decode(ids.tolist(), skip_special_tokens=False))

    def _short(self, texts: Sequence[str], start: int, end: int) -> Iterator[tuple[int, Ids]]:
        for number, ids in enumerate(encode(self._first, texts[start:end]), start):
            yield number, np.asarray(ids, self._dtype)

    def _long(self, text: str) -> Iterator[Ids]:
        for number, piece in enumerate(cut(text)):
            (ids,) = encode(self._next if number else self._first, [piece])
            yield np.asarray(ids, self._dtype)


def cut(text: str, size: int = SLAB) -> Iterator[str]:
    """A long text in pieces of at most ``size`` characters, cut where tokenizers end a token anyway.

    That is after a line end between two characters that are not white space, in the last quarter of a piece; else after any
    line end there; else anywhere.
    """
    start = 0
    while len(text) - start > size:
        last = start + size
        ends = [found.end() for found in _PLAIN_LINE_END.finditer(text, last - size // 4, last)]
        end = ends[-1] if ends else text.rfind("\n", last - size // 4, last) + 1 or last
        yield text[start:end]
        start = end
    yield text[start:]
