"""Line numbers and calls as single tokens: for small models that write programs.

A model of a few million parameters does not learn to spell numbers. Here a line's number is one entry of the vocabulary,
at the line's end, where all of the line has been read; a call is five tokens, two of them such numbers. No text of a page
becomes one of these entries: the byte-pair encoder has no merge that leads to them.
"""

from collections.abc import Sequence

from prox_spark.generation.tokens import PromptTokenizer

MAX_LINES = 256
"""Lines of a chunk, at most."""

_NUMBERS = tuple(f"{number:03d}" for number in range(MAX_LINES))
_OPEN, _BETWEEN, _CLOSE, _KEEP = "remove_lines(", ",", ")\u010a", "keep_chunk()"

ENTRIES = (*_NUMBERS, _OPEN, _CLOSE, _KEEP)
"""What the vocabulary has beside its text, as byte-level entries (U+010A is the line feed)."""

END = "<|end|>"
"""Ends a program."""
HINTS = ("<|remove|>", "<|keep|>")
"""What a model is taught to think of a line at its number; never written."""


class Numbers:
    """The entries of one tokenizer. Raises ``RefinerError`` where it lacks one."""

    def __init__(self, tokenizer: PromptTokenizer) -> None:
        self.labels = tokenizer.entries(_NUMBERS)
        """Each number's id."""
        self._open, self._between, self._close, self._keep = tokenizer.entries([_OPEN, _BETWEEN, _CLOSE, _KEEP])

    def program(self, spans: Sequence[tuple[int, int]]) -> list[int]:
        """Ids of a program that removes these runs of lines, both ends included."""
        ids: list[int] = []
        for start, end in spans:
            ids += [self._open, self.labels[start], self._between, self.labels[end], self._close]
        return ids or [self._keep]
