"""Training to write programs: a causal model reads a chunk and writes ``remove_lines`` calls.

The loss is that of the program's tokens. From that alone, a model with random weights learns only slowly to copy line numbers:
at each line's label it also says whether the line stays, with two entries of its vocabulary that it never writes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prox_spark.adapt.rows import batches, inputs, padded
from prox_spark.adapt.scores import epoch_of, lay_out
from prox_spark.adapt.scoring import Scored, keep_f1
from prox_spark.adapt.windows import EncodedPage, Window, windows
from prox_spark.config.adapt import AdaptConfig
from prox_spark.execution.settings import SEMANTICS
from prox_spark.generation.prompts import Prompter
from prox_spark.programs import parse
from prox_spark.programs.model import Call, Program, render
from prox_spark.programs.operations import names_of

_AT_ONCE = 4
"""Tokens per generation batch, as a multiple of a step's tokens: generation keeps nothing for a backward pass."""
_SURE = 10.0
"""Log-odds to use for a decision without a probability."""
_REMOVE_LINES = names_of("lines")


def removals(keep: Iterable[float], words: Iterable[float]) -> list[tuple[int, int]]:
    """The fewest ranges of lines to remove, ends included: a line without words is removed with its neighbours."""
    found: list[tuple[int, int]] = []
    start = last = -1
    for number, (kept, count) in enumerate(zip(keep, words, strict=True)):
        if kept and count:
            if start >= 0:
                found.append((start, last))
            start = -1
        elif not kept and count:
            start, last = (number if start < 0 else start), number
    if start >= 0:
        found.append((start, last))
    return found


def removed(text: str, first: int, lines: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Which of a chunk's lines a program removes; its numbers count from ``first``, the chunk's first line."""
    gone = np.zeros(lines, np.bool_)
    for call in parse(text, SEMANTICS).calls:
        if call.outcome == "ok" and call.operation in _REMOVE_LINES:
            start = 0 if call.line_start is None else call.line_start - first
            end = lines - 1 if call.line_end is None else call.line_end - first
            gone[max(start, 0) : max(end + 1, 0)] = True
    return gone


class Writer:
    """Converts programs to token ids and back, with one refiner's vocabulary."""

    def __init__(self, prompter: Prompter, end: int, hints: tuple[int, int] | None) -> None:
        self.prompter = prompter
        self.end = end
        self.hints = hints
        """Entries for (remove, keep) at each line's label; none if the vocabulary lacks them."""

    def ids(self, spans: Sequence[tuple[int, int]]) -> list[int]:
        """A program's tokens, including the end token."""
        if self.prompter.numbers:
            return [*self.prompter.numbers.program(spans), self.end]
        calls = tuple(Call("remove_lines", start, end) for start, end in spans) or (Call("keep_chunk"),)
        return [*self.prompter.tokenizer.pieces([render(Program(calls))])[0], self.end]

    def text(self, ids: Sequence[int]) -> str:
        """The program's text up to the end token."""
        ids = list(ids)
        return self.prompter.tokenizer.decode(ids[: ids.index(self.end)] if self.end in ids else ids)


@dataclass(frozen=True, slots=True)
class Example:
    """A chunk's prompt and program. ``first`` is the place of the program's first token in ``ids``."""

    ids: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    first: int
    window: Window


class ProgramTask:
    """See ``prox_spark.adapt.training.Task``."""

    def __init__(
        self,
        writer: Writer,
        pages: Sequence[EncodedPage],
        validation: Mapping[str, Sequence[EncodedPage]],
        settings: AdaptConfig,
        max_tokens: int,
    ) -> None:
        self._writer = writer
        self._pages = pages
        self._settings = settings
        self._max_tokens = max_tokens
        self._validation = {
            name: sorted(
                (example for page in chosen for example in self._examples(page, settings.window)),
                key=lambda example: len(example.ids),
            )
            for name, chosen in validation.items()
        }

    def epoch(self, number: int) -> list[list[Example]]:
        """As for scores: each epoch uses windows of another size."""
        return epoch_of(self._pages, self._taught, _hide, self._settings, number)

    def _taught(self, page: EncodedPage, size: int) -> list[Example]:
        """A program that the token limit cuts off is not trained on; validation still counts its page."""
        return [one for one in self._examples(page, size) if len(one.ids) - one.first <= self._max_tokens]

    def tokens(self, batch: Sequence[Example]) -> int:
        """See ``Task``."""
        return sum(len(example.ids) for example in batch)

    def loss(self, model: Any, batch: Sequence[Example]) -> Any:
        """Cross-entropy of the programs' tokens plus, with equal weight, that of the hints."""
        import torch

        device = next(model.parameters()).device
        rows = lay_out(batch, self._settings)
        given = inputs(model, rows)
        if rows.segments is None:
            # Padding comes last, and a causal model's tokens do not see what comes after them.
            del given["attention_mask"]
        hidden = model.base_model(**given).last_hidden_state
        head = model.get_output_embeddings()

        def entropy(places: Sequence[Any], targets: Any, weight: Any) -> Any:
            row, column = rows.places(places)
            logits = head(hidden[row, column]).float()
            loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets).to(device), reduction="none")
            weights = torch.from_numpy(weight).to(device)
            return (loss * weights).sum() / weights.sum()

        written = [np.arange(example.first - 1, len(example.ids) - 1) for example in batch]
        targets = np.concatenate([example.ids[example.first :] for example in batch])
        loss = entropy(written, targets, np.ones(len(targets), np.float32))
        if self._writer.hints is not None:
            keep, words = (
                np.concatenate([getattr(example.window, name) for example in batch]) for name in ("keep", "words")
            )
            hints = np.asarray(self._writer.hints, np.int64)[keep.astype(np.int64)]
            loss = loss + entropy([example.window.ends for example in batch], hints, np.sqrt(words) + 0.5)
        return loss

    def score(self, model: Any) -> dict[str, Scored]:
        """The effect of greedily decoded programs on each validation file."""
        found = {}
        for name, chosen in self._validation.items():
            together = batches(chosen, _AT_ONCE * self._settings.batch_tokens)
            gone = [lines for batch in together for lines in self._write(model, batch)]
            found[name] = Scored(
                np.where(np.concatenate(gone), -_SURE, _SURE),
                np.concatenate([example.window.keep for example in chosen]),
                np.concatenate([example.window.words for example in chosen]),
            )
        return found

    def evaluate(self, model: Any) -> dict[str, float]:
        """See ``Task``: the mean F1 of the files."""
        return {"f1": float(np.mean([keep_f1(one, 0.5) for one in self.score(model).values()]))}

    def _write(self, model: Any, batch: Sequence[Example]) -> list["np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
        import torch

        device = next(model.parameters()).device
        # Padded on the left, so that every prompt ends where the program begins.
        given = inputs(model, padded([example.ids[: example.first][::-1] for example in batch]))
        prompts, masks = (given[name].flip(1) for name in ("input_ids", "attention_mask"))
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"),
        ):
            output = model.generate(
                input_ids=prompts,
                attention_mask=masks,
                max_new_tokens=self._max_tokens,
                do_sample=False,
                pad_token_id=0,
                eos_token_id=self._writer.end,
            )
        return [
            removed(self._writer.text(row), example.window.first, len(example.window.ends))
            for row, example in zip(output[:, prompts.shape[1] :].tolist(), batch, strict=True)
        ]

    def _examples(self, page: EncodedPage, size: int) -> list[Example]:
        found = []
        for window in windows(self._writer.prompter, page, size):
            spans = [(start + window.first, end + window.first) for start, end in removals(window.keep, window.words)]
            ids = np.concatenate([window.ids, np.asarray(self._writer.ids(spans), np.int64)])
            found.append(Example(ids, len(window.ids), window))
        return found


def _hide(example: Example, share: float, generator: np.random.Generator) -> Example:
    hidden = generator.random(len(example.ids)) < share
    hidden[example.first - 1 :] = False
    hidden[example.window.ends] = False
    return Example(np.where(hidden, 0, example.ids), example.first, example.window)
