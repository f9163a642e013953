"""Token ids of prompts, in batches, on the task's side.

A prompt's ids are defined as a concatenation: BOS (where the template says so) with the template's prefix, the
ids of each piece of the document, the ids of the suffix. Pieces and suffix are tokenised as continuations: without BOS,
and without the space that SentencePiece-like tokenizers put before a text. For a template with a prefix and tokenizers
whose vocabulary has no entry across a line end (Llama 2's, and byte-level ones that split there) this gives the
ids of the whole prompt tokenised at once, as ``apply_chat_template`` gives them. What looks like a special token in a page is
tokenised as text.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from prox_spark.engines.folders import Said, begin_token, end_tokens, read_folder, serialised
from prox_spark.errors import RefinerError

SLAB = 1 << 20
"""Characters that go to the tokenizer at a time, so that memory does not grow with a document."""

_SILENT = 64
"""Tokens without text in a row, at most: each is decoded again with all before it that had none."""

_PIECES = 1 << 15
"""Pieces at a time: the tokenizer needs about 600 bytes for each, however short."""


class PromptTokenizer:
    """A model folder's fast tokenizer. Raises ``RefinerError`` where there is none."""

    def __init__(self, folder: Path) -> None:
        self._first, self._next = open_tokenizers(serialised(folder), str(folder))
        self._folder = read_folder(folder)
        self.longest = max(map(len, self._first.get_vocab(with_added_tokens=False)), default=1)
        """Characters of the longest entry: ``n`` characters are at least ``n / longest`` tokens."""

    @cached_property
    def begin(self) -> Said | None:
        """BOS, and where it comes from; null where the tokenizer has none."""
        return begin_token(self._folder, self._first)

    @cached_property
    def stops(self) -> list[Said]:
        """The tokens that end an answer, and where each comes from."""
        return end_tokens(self._folder, self._first)

    def prefix(self, text: str, *, begin: bool) -> "array[int]":
        """Ids of a template's beginning, with BOS before it where it ``begin``s so and there is one.

        Its special tokens are read as such, and BOS with the text after it: some tokenizers put a space before a text, but none
        after a special token.
        """
        number = self.begin.value if begin and self.begin else None
        if number is None:
            return _written(self._first, text)
        together = _written(self._first, f"{self._first.id_to_token(number)}{text}")
        return together if together and together[0] == number else array("I", [number]) + _written(self._first, text)

    def suffix(self, text: str) -> "array[int]":
        """Ids of a template's end, which follows the document; its special tokens are read as such."""
        return _written(self._next, text)

    def pieces(self, texts: list[str]) -> list["array[int]"]:
        """Ids of pieces that follow others: unsigned 32-bit integers, one array a piece."""
        return list(self.stream(texts))

    def stream(self, texts: Iterable[str]) -> Iterator["array[int]"]:
        """``pieces``, as they are asked for: no more than ``SLAB`` characters are held at a time."""
        return encode(self._next, texts)

    def entries(self, names: Sequence[str]) -> list[int]:
        """Ids of entries of the vocabulary. Raises ``RefinerError`` where it lacks one."""
        found = [self._first.token_to_id(name) for name in names]
        known = [int(number) for number in found if number is not None]
        if len(known) < len(names):
            lacking = names[found.index(None)]
            raise RefinerError(
                f"the tokenizer does not have {len(names) - len(known)} of the template's entries: {lacking!r}, …"
            )
        return known

    def decode(self, ids: list[int]) -> str:
        """Text of generated ids, special tokens and the one that ended the answer left out."""
        return str(self._first.decode(self._without_end(ids), skip_special_tokens=True))

    def ends(self, ids: list[int]) -> list[int] | None:
        """For each generated id the length of the text up to its end, as ``decode`` gives it for all of them.

        None where that cannot be told: bytes that are no text, of a vocabulary that falls back to bytes.
        """
        from tokenizers.decoders import DecodeStream

        stream, ends, length, silent = DecodeStream(skip_special_tokens=True), [], 0, 0
        body = self._without_end(ids)
        for token in body:
            # Half a character has no text yet: it counts with the token that completes it.
            try:
                text = stream.step(self._first, token) or ""
            except Exception:  # noqa: BLE001 -- tokenizers raises nothing narrower
                return None
            silent = 0 if text else silent + 1
            if silent > _SILENT:
                return None
            length += len(text)
            ends.append(length)
        return ends + [length] * (len(ids) - len(body))

    def _without_end(self, ids: list[int]) -> list[int]:
        """The ids but for an end token that is last: one that is not marked as special would be text."""
        return ids[:-1] if ids and any(ids[-1] == stop.value for stop in self.stops) else ids

    def decision_ids(self, words: tuple[str, str]) -> tuple[int, int]:
        """The first tokens of the two words that decide. Raises ``RefinerError`` where they are the same."""
        keep, drop = (piece[0] for piece in self.pieces(list(words)))
        if keep == drop:
            raise RefinerError(f"the decision words {words[0]!r} and {words[1]!r} begin with the same token {keep}")
        return keep, drop


def open_tokenizers(serialised: str, name: str) -> tuple[Any, Any]:
    """A tokenizer from its JSON, for a text's beginning and for what continues one; without padding and truncation.

    ``name`` is what errors call it. Raises ``RefinerError`` where it cannot be read.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise RefinerError(
            f"{name}: its tokenizer needs a package that is not installed: pip install 'prox-spark[refiner]'"
        ) from None
    try:
        first, following = Tokenizer.from_str(serialised), Tokenizer.from_str(_continuing(serialised))
    except Exception as error:  # tokenizers raises nothing narrower
        raise RefinerError(f"{name}: its tokenizer cannot be read: {error}") from error
    for tokenizer in (first, following):
        tokenizer.encode_special_tokens = True
        tokenizer.no_padding()
        tokenizer.no_truncation()
    return first, following


def _written(tokenizer: Any, text: str) -> "array[int]":
    """Ids of a template's own text: unlike a page's, its special tokens are meant."""
    tokenizer.encode_special_tokens = False
    try:
        return array("I", tokenizer.encode(text, add_special_tokens=False).ids) if text else array("I")
    finally:
        tokenizer.encode_special_tokens = True


def encode(tokenizer: Any, texts: Iterable[str]) -> Iterator["array[int]"]:
    """Ids of each text, without special tokens; ``SLAB`` characters go to the tokenizer at a time."""
    slab: list[str] = []
    size = 0
    for text in texts:
        if slab and (size + len(text) > SLAB or len(slab) == _PIECES):
            yield from _encode(tokenizer, slab)
            slab, size = [], 0
        slab.append(text)
        size += len(text)
    if slab:
        yield from _encode(tokenizer, slab)


def _encode(tokenizer: Any, texts: list[str]) -> Iterator["array[int]"]:
    for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
        yield array("I", encoding.ids)


def _continuing(serialised: str) -> str:
    """The same tokenizer without the space before a text."""
    tree = json.loads(serialised)
    tree["normalizer"] = _without_prefix(tree.get("normalizer"))
    tree["pre_tokenizer"] = _without_prefix(tree.get("pre_tokenizer"))
    return json.dumps(tree)


def _without_prefix(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    for name in ("normalizers", "pretokenizers"):
        if name in part:
            kept = [_without_prefix(inner) for inner in part[name]]
            return {**part, name: [inner for inner in kept if inner is not None]}
    if part.get("type") == "Prepend":
        return None
    if part.get("type") == "Metaspace":
        return {**part, "prepend_scheme": "never"}
    if part.get("type") == "ByteLevel":
        return {**part, "add_prefix_space": False}
    return part
