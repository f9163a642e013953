"""Labelled pages as the same prompts that ``generate`` sends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from prox_spark.corpora.labels import LabelledDocument, LabelledPage
from prox_spark.generation.prompts import Asked, Encoded, Prompter


@dataclass(frozen=True, slots=True)
class EncodedPage:
    """A page's tokens by line, its labels, and the words of each line."""

    encoded: Encoded
    keep: "np.ndarray[tuple[int], np.dtype[np.float32]]"
    words: "np.ndarray[tuple[int], np.dtype[np.float32]]"


@dataclass(frozen=True, slots=True)
class Window:
    """One prompt: token ids, the positions at which its lines are scored, their labels and words.

    ``first`` is the number that a program gives the window's first line.
    """

    ids: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    ends: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    keep: "np.ndarray[tuple[int], np.dtype[np.float32]]"
    words: "np.ndarray[tuple[int], np.dtype[np.float32]]"
    first: int = 0


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
    """The prompts of a page, in windows of this many tokens."""
    asked = prompter.cut(page.encoded, window)
    for index, chunk in enumerate(asked.chunks):
        covered = slice(chunk.line_start, chunk.line_end + 1)
        yield Window(
            np.asarray(prompter.prompt(asked, index), np.int64),
            np.asarray(asked.ends[index], np.int64) + prompter.before,
            page.keep[covered],
            page.words[covered],
            prompter.first_number(chunk),
        )


@dataclass(frozen=True, slots=True)
class EncodedDocument:
    """A document's tokens and its label."""

    asked: Asked
    keep: float


def encode_documents(prompter: Prompter, documents: Sequence[LabelledDocument]) -> list[EncodedDocument]:
    """Tokenise documents once for all epochs."""
    asked = prompter.ask([document.text for document in documents])
    return [EncodedDocument(one, float(document.keep)) for one, document in zip(asked, documents, strict=True)]


def cut_document(prompter: Prompter, document: EncodedDocument) -> Iterator[Window]:
    """The prompt of a document, scored at its last token, where a causal model predicts its answer."""
    ids = np.asarray(prompter.prompt(document.asked, 0), np.int64)
    one = np.ones(1, np.float32)
    yield Window(ids, np.asarray([len(ids) - 1]), one * document.keep, one)
