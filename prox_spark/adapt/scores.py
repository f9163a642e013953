"""Training to score: a token classifier gives P(keep) at the last token of each line, or at a document's first token.

The loss weighs a line by the square root of its words. Equal weights for lines would favour menus; equal weights for
words would favour long paragraphs.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from prox_spark.adapt.rows import Rows, batches, inputs, packed, padded
from prox_spark.adapt.scoring import Scored, best_threshold
from prox_spark.adapt.windows import Window
from prox_spark.config.adapt import AdaptConfig

_POOL = 400
"""Number of windows sorted by length at a time, so that a step pads little and the order stays random."""
_LEAST = 1e-9
"""Probabilities of 0 and 1 have no logits."""
_HIDDEN = 0
"""Replaces a masked token: the padding token, which the model otherwise never reads."""


class ScoreTask:
    """See ``prox_spark.adapt.training.Task``."""

    def __init__(
        self,
        cut: Callable[[Any, int], Iterable[Window]],
        pages: Sequence[Any],
        validation: Mapping[str, Sequence[Any]],
        settings: AdaptConfig,
        columns: tuple[int, int] = (0, 1),
    ) -> None:
        """``cut`` makes windows of a page, with a maximum number of tokens; ``columns`` of the logits are remove and keep."""
        self._cut = cut
        self._columns = columns
        self._pages = pages
        self._settings = settings
        self._validation = {
            name: sorted(
                (window for page in chosen for window in cut(page, settings.window)),
                key=lambda window: len(window.ids),
            )
            for name, chosen in validation.items()
        }

    def epoch(self, number: int) -> list[list[Window]]:
        """Every epoch cuts the pages into windows of different sizes, so that lines get different neighbours."""
        return epoch_of(self._pages, self._cut, _hide, self._settings, number)

    def tokens(self, batch: Sequence[Window]) -> int:
        """See ``Task``."""
        return sum(len(window.ids) for window in batch)

    def loss(self, model: Any, batch: Sequence[Window]) -> Any:
        """Binary cross-entropy of all lines of the batch."""
        import torch

        logits = self._logits(model, batch, lay_out(batch, self._settings))
        keep, words = (
            torch.from_numpy(np.concatenate([getattr(window, name) for window in batch])).to(logits.device)
            for name in ("keep", "words")
        )
        weight = words.sqrt() + 0.5
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, keep, weight=weight, reduction="sum")
        return loss / weight.sum()

    def score(self, model: Any) -> dict[str, Scored]:
        """Logits of all lines of each validation file, in windows as ``generate`` cuts them."""
        import torch

        found = {}
        for name, chosen in self._validation.items():
            with torch.inference_mode():
                logits = [
                    self._logits(model, batch, padded([window.ids for window in batch])).double().cpu().numpy()
                    for batch in batches(chosen, 2 * self._settings.batch_tokens)
                ]
            found[name] = _scored(np.concatenate(logits), chosen)
        return found

    def score_with(self, probabilities: Callable[[Any, Any], Sequence[float]]) -> dict[str, Scored]:
        """``score`` with another engine: a function from a window's ids and line ends to P(keep) at these ends."""
        found = {}
        for name, chosen in self._validation.items():
            asked = [np.asarray(probabilities(window.ids, window.ends), np.float64) for window in chosen]
            p = np.clip(np.concatenate(asked), _LEAST, 1 - _LEAST)
            found[name] = _scored(np.log(p) - np.log1p(-p), chosen)
        return found

    def evaluate(self, model: Any) -> dict[str, float]:
        """See ``Task``: F1 at the best threshold."""
        threshold, f1 = best_threshold(list(self.score(model).values()))
        return {"threshold": threshold, "f1": f1}

    def _logits(self, model: Any, batch: Sequence[Window], rows: Rows) -> Any:
        """The log-odds of keep at all scored positions of the batch, in order."""
        row, column = rows.places([window.ends for window in batch])
        logits = model(**inputs(model, rows)).logits[row, column].float()
        remove, keep = self._columns
        return logits[:, keep] - logits[:, remove]


def _scored(logits: "np.ndarray[Any, np.dtype[np.float64]]", chosen: Sequence[Window]) -> Scored:
    keep, words = (np.concatenate([getattr(window, name) for window in chosen]) for name in ("keep", "words"))
    return Scored(logits, keep, words)


def lay_out(batch: Sequence[Any], settings: AdaptConfig) -> Rows:
    """A batch's examples as training rows."""
    return (packed if settings.packing else padded)([example.ids for example in batch])


def epoch_of(
    pages: Sequence[Any],
    cut: Callable[[Any, int], Iterable[Any]],
    hide: Callable[[Any, float, np.random.Generator], Any],
    settings: AdaptConfig,
    number: int,
) -> list[list[Any]]:
    """The batches of an epoch: pages cut at random sizes, in random order, with a share of their tokens masked."""
    shuffled = random.Random(f"{settings.seed}/{number}")
    chosen: list[Any] = []
    for page in pages:
        chosen.extend(cut(page, shuffled.randint(settings.window // 2, settings.window)))
    made = _batched(chosen, settings, shuffled)
    if settings.noise:
        generator = np.random.default_rng([settings.seed, number])
        made = [[hide(example, settings.noise, generator) for example in batch] for batch in made]
    return made


def _batched(chosen: list[Any], settings: AdaptConfig, shuffled: random.Random) -> list[list[Any]]:
    """Examples in random order; unless they are packed, in batches of similar length."""
    shuffled.shuffle(chosen)
    if settings.packing:
        return list(batches(chosen, settings.batch_tokens, packing=True))
    made: list[list[Any]] = []
    for start in range(0, len(chosen), _POOL):
        pool = sorted(chosen[start : start + _POOL], key=lambda example: len(example.ids))
        made.extend(batches(pool, settings.batch_tokens))
    shuffled.shuffle(made)
    return made


def _hide(window: Window, share: float, generator: np.random.Generator) -> Window:
    ids = np.where(generator.random(len(window.ids)) < share, _HIDDEN, window.ids)
    return Window(ids, window.ends, window.keep, window.words)
