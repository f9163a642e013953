"""Perplexity of held-out text, by token and by byte.

Each document is measured alone. The model first sees the token between documents (as in training), so that every token of the
text is predicted. A document longer than the window is read in windows that overlap by half: each token is
predicted once, from at least half a window of context if the document has that much. Bits per byte compare models with
different tokenizers; perplexity by token does not.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prox_spark.errors import TrainingError
from prox_spark.pretraining.prose import Prose
from prox_spark.pretraining.record import RECORD

_LOGITS = 2**25
"""Maximum logits computed at a time: an eighth of a gigabyte."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Sums over some text: nats of its tokens, tokens, UTF-8 bytes, documents."""

    nats: float
    tokens: int
    size: int
    documents: int

    def rates(self) -> dict[str, Any]:
        """The reported numbers."""
        by_token = self.nats / self.tokens if self.tokens else 0.0
        return {
            "nats_per_token": by_token,
            "perplexity": math.exp(min(by_token, 700.0)),
            "bits_per_byte": self.nats / math.log(2) / self.size if self.size else 0.0,
            "documents": self.documents,
            "tokens": self.tokens,
            "bytes": self.size,
        }


@dataclass(frozen=True, slots=True)
class _Window:
    document: int
    start: int
    stop: int
    first: int
    """The first token that this window predicts."""


def begin_token(folder: Path, tokenizer: Any) -> int:
    """The token put before a document: the end-of-document token if ``pretrain`` made the model, else the tokenizer's
    start token (BOS), else its end token. Raises ``TrainingError`` if it has neither."""
    record = folder / RECORD
    if record.is_file():
        return int(json.loads(record.read_text(encoding="utf-8"))["data"]["end_token_id"])
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise TrainingError(f"{folder}: the tokenizer has no end token to put before a document")


def encode(tokenizer: Any, documents: Sequence[Prose], begin: int) -> list[Any]:
    """Token ids of each document after ``begin``; a special token's name in a document is plain text, as in token shards."""
    texts = [one.text for one in documents]
    ids = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    return [np.array([begin, *one], np.int64) for one in ids]


def measure(
    model: Any, encoded: Sequence[Any], documents: Sequence[Prose], window: int, share: tuple[int, int] = (0, 1)
) -> dict[str, Any]:
    """The rates of all documents together and, under ``sources``, of each source.

    ``encoded`` is ``encode``'s; ``window`` is in tokens. With ``share`` (rank, processes) each process takes its part, and all
    get the whole.
    """
    import torch

    nats = np.zeros(len(encoded))
    rank, processes = share
    windows = sorted(_windows(encoded, window), key=lambda one: one.start - one.stop)[rank::processes]
    rows = max(1, _LOGITS // (window * int(model.config.vocab_size)))
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    with torch.no_grad():
        for at in range(0, len(windows), rows):
            _add(model, encoded, windows[at : at + rows], device, nats)
    model.train(training)
    if processes > 1:
        summed = torch.from_numpy(nats).to(device)
        torch.distributed.all_reduce(summed)
        nats = summed.cpu().numpy()
    sources: dict[str, list[int]] = {}
    for place, one in enumerate(documents):
        sources.setdefault(one.source, []).append(place)
    whole = _summed(nats, encoded, documents, range(len(documents))).rates()
    by_source = {name: _summed(nats, encoded, documents, places).rates() for name, places in sorted(sources.items())}
    return whole | {"sources": by_source}


def _windows(encoded: Sequence[Any], size: int) -> Iterator[_Window]:
    for document, ids in enumerate(encoded):
        start, first = 0, 1
        while first < len(ids):
            stop = min(start + size, len(ids))
            yield _Window(document, start, stop, first)
            start, first = stop - size // 2, stop


def _add(model: Any, encoded: Sequence[Any], windows: Sequence[_Window], device: Any, nats: Any) -> None:
    """Add the nats of these windows' tokens to their documents'. Padding is at the end, where causal attention never looks."""
    import torch

    width = max(one.stop - one.start for one in windows)
    ids = np.zeros((len(windows), width), np.int64)
    wanted = np.zeros((len(windows), width - 1), bool)
    for row, one in enumerate(windows):
        ids[row, : one.stop - one.start] = encoded[one.document][one.start : one.stop]
        wanted[row, one.first - one.start - 1 : one.stop - one.start - 1] = True
    given = torch.from_numpy(ids).to(device)
    logits = model(input_ids=given[:, :-1], use_cache=False).logits.float()
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), given[:, 1:], reduction="none")
    sums = (losses.double() * torch.from_numpy(wanted).to(device)).sum(1).cpu().numpy()
    for one, value in zip(windows, sums, strict=True):
        nats[one.document] += value


def _summed(nats: Any, encoded: Sequence[Any], documents: Sequence[Prose], places: Sequence[int]) -> Measured:
    return Measured(
        float(sum(nats[place] for place in places)),
        sum(len(encoded[place]) - 1 for place in places),
        sum(len(documents[place].text.encode()) for place in places),
        len(places),
    )
