"""Examples as the rows of a matrix: one per padded row, or several per row with separate attention."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prox_spark.errors import TrainingError

Integers = npt.NDArray[np.int64]

_CLOSE = 1e-3
"""Largest difference of log-odds in single precision that rounding explains."""


@dataclass(frozen=True, slots=True)
class Rows:
    """``ids`` (rows, width), padded with zeros. Example i begins at ``start[i]`` of row ``row[i]``.

    ``segments`` (rows, width) numbers the examples of a row, 0 is padding; None if each example has a separate row.
    """

    ids: Integers
    row: Integers
    start: Integers
    lengths: Integers
    segments: Integers | None = None

    def places(self, within: Sequence[Integers]) -> tuple[Integers, Integers]:
        """Row and column of positions that are given relative to each example's start, in order."""
        counts = [len(places) for places in within]
        return np.repeat(self.row, counts), np.concatenate(within) + np.repeat(self.start, counts)


def padded(examples: Sequence[Integers]) -> Rows:
    """One example per row."""
    lengths = np.asarray([len(one) for one in examples], np.int64)
    ids = np.zeros((len(examples), _width(examples)), np.int64)
    for number, one in enumerate(examples):
        ids[number, : len(one)] = one
    return Rows(ids, np.arange(len(examples)), np.zeros(len(examples), np.int64), lengths)


def packed(examples: Sequence[Integers]) -> Rows:
    """Several examples per row. The width, at most four times the longest example, leaves the fewest positions empty."""
    lengths = np.asarray([len(one) for one in examples], np.int64)
    longest = _width(examples)
    widths = (-(-longest * quarters // 32) * 8 for quarters in range(4, 17))
    placed = [(width, *_first_fit(lengths.tolist(), width)) for width in widths]
    width, count, row, start = min(placed, key=lambda one: (one[0] * one[1], one[0]))
    ids, segments = (np.zeros((count, width), np.int64) for _ in range(2))
    for number, one in enumerate(examples):
        here = (row[number], slice(start[number], start[number] + len(one)))
        ids[here], segments[here] = one, number + 1
    return Rows(ids, row, start, lengths, segments)


def _first_fit(lengths: Sequence[int], width: int) -> tuple[int, Integers, Integers]:
    """Number of rows, and each example's row and start: longest first, each into the first row with enough space."""
    room: list[int] = []
    row, start = (np.zeros(len(lengths), np.int64) for _ in range(2))
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        place = next((index for index, left in enumerate(room) if left >= lengths[number]), len(room))
        if place == len(room):
            room.append(width)
        row[number], start[number] = place, width - room[place]
        room[place] -= lengths[number]
    return len(room), row, start


def _width(examples: Sequence[Integers]) -> int:
    """A multiple of 8, for a GPU's matrix units."""
    return -(-max(map(len, examples)) // 8) * 8


def batches(chosen: Sequence[Any], tokens: int, *, packing: bool = False) -> Iterator[list[Any]]:
    """Batches of examples in order: as many as fit into this many tokens, including padding, and at least one."""
    batch: list[Any] = []
    longest = held = 0
    for example in chosen:
        length = len(example.ids)
        if batch and (held + length if packing else max(longest, length) * (len(batch) + 1)) > tokens:
            yield batch
            batch, longest, held = [], 0, 0
        batch.append(example)
        longest, held = max(longest, length), held + length
    if batch:
        yield batch


def inputs(model: Any, rows: Rows) -> dict[str, Any]:
    """The model's inputs, on its device: ids and mask, and positions that restart with each example."""
    import torch

    device = next(model.parameters()).device
    ids = torch.from_numpy(rows.ids).to(device)
    if rows.segments is None:
        filled = np.arange(rows.ids.shape[1]) < rows.lengths[:, None]
        return {"input_ids": ids, "attention_mask": torch.from_numpy(filled.astype(np.int64)).to(device)}
    positions = np.zeros_like(rows.ids)
    for row, start, length in zip(rows.row, rows.start, rows.lengths, strict=True):
        positions[row, start : start + length] = np.arange(length)
    segments = torch.from_numpy(rows.segments).to(device)
    together = segments[:, None, :, None] == segments[:, None, None, :]
    ahead = torch.arange(rows.ids.shape[1], device=device)
    distance = ahead[:, None] - ahead
    causal = _is_causal(model)
    full = together & (distance >= 0) if causal else together
    mask: Any = full
    if "sliding_attention" in (getattr(model.config, "layer_types", None) or ()):
        window = model.config.sliding_window
        near = distance < window if causal else distance.abs() <= window
        mask = {"full_attention": full, "sliding_attention": full & near}
    return {"input_ids": ids, "position_ids": torch.from_numpy(positions).to(device), "attention_mask": mask}


def _is_causal(model: Any) -> bool:
    return any(getattr(module, "is_causal", False) for module in model.modules())


def check_packing(model: Any, examples: Sequence[Integers]) -> None:
    """Raise ``TrainingError`` unless packed examples get the same log-odds as in separate rows.

    Not every architecture supports a mask that separates examples, or positions that restart.
    """
    import torch

    training = model.training
    model.eval()
    whole = [np.arange(len(one)) for one in examples]
    found = []
    try:
        with torch.inference_mode():
            for rows in (padded(examples), packed(examples)):
                row, column = rows.places(whole)
                found.append(model(**inputs(model, rows)).logits[row, column].float())
    except (TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(f"adapt.packing: {_refusal(model)} ({str(error).splitlines()[0]})") from error
    finally:
        model.train(training)
    if not torch.allclose(*found, rtol=_CLOSE, atol=_CLOSE):
        raise TrainingError(f"adapt.packing: {_refusal(model)}")


def _refusal(model: Any) -> str:
    return f"a {model.config.model_type} does not separate the examples of a row; set adapt.packing to false"
