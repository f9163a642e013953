"""Labelled pages as the very prompts that ``generate`` sends: what a model learns from is what it will be asked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from prox_spark.adapt.pages import LabelledPage
from prox_spark.generation.prompts import Encoded, Prompter


@dataclass(frozen=True, slots=True)
class EncodedPage:
    """A page's tokens by line, its labels, and the words of each line."""

    encoded: Encoded
    keep: "np.ndarray[tuple[int], np.dtype[np.float32]]"
    words: "np.ndarray[tuple[int], np.dtype[np.float32]]"


@dataclass(frozen=True, slots=True)
class Window:
    """One prompt: token ids, where its lines' scores are read, their labels and words."""

    ids: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    ends: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    keep: "np.ndarray[tuple[int], np.dtype[np.float32]]"
    words: "np.ndarray[tuple[int], np.dtype[np.float32]]"


def encode_pages(prompter: Prompter, pages: Sequence[LabelledPage]) -> list[EncodedPage]:
    """Tokenise pages once for all epochs."""
    encoded = prompter.encode([page.text for page in pages])
    return [
        EncodedPage(
            one,
            np.asarray(page.keep, np.float32),
            np.asarray([len(line.split()) for line in one.lines], np.float32),
        )
        for one, page in zip(encoded, pages, strict=True)
    ]


def windows(prompter: Prompter, page: EncodedPage, window: int) -> Iterator[Window]:
    """The prompts of a page with windows of so many tokens."""
    asked = prompter.cut(page.encoded, window)
    for chunk, ids, ends in zip(asked.chunks, asked.ids, asked.ends, strict=True):
        covered = slice(chunk.line_start, chunk.line_end + 1)
        yield Window(np.asarray(ids, np.int64), np.asarray(ends, np.int64), page.keep[covered], page.words[covered])


def batches(chosen: Sequence[Window], tokens: int) -> Iterator[list[Window]]:
    """Windows in their order, as many together as fit into so many tokens with padding; at least one."""
    batch: list[Window] = []
    longest = 0
    for window in chosen:
        longer = max(longest, len(window.ids))
        if batch and longer * (len(batch) + 1) > tokens:
            yield batch
            batch, longer = [], len(window.ids)
        batch.append(window)
        longest = longer
    if batch:
        yield batch
