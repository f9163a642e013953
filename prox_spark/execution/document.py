"""A document while programs change it, line by line: the Python implementation for both modes."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


def byte_length(text: str) -> int:
    """Length in UTF-8; lone surrogates, which a Python string may contain, count 3 bytes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Cause:
    """The call that changed a line."""

    operation: str
    chunk: int
    score: float | None = None


@dataclass(frozen=True, slots=True)
class DroppedLine:
    """A line of a kept document that was removed (``replacement`` is ``None``) or rewritten: also to several lines.

    ``operation`` and ``chunk`` are those of the call that removed the line, or changed it last. ``score`` is the line's score
    if that removed it, else the call's confidence, if known.
    """

    line_number: int
    text: str
    replacement: str | None
    operation: str
    chunk: int
    score: float | None = None


@dataclass(slots=True)
class Lines:
    """The lines of a document, their current text, and the cause of each removal or change.

    ``alive[i]`` leads to the first line from ``i`` on that is not removed (union-find), so that a million overlapping
    ranges cost as much as one. ``joined`` are the lines whose end, the newline, was removed.
    """

    original: list[str]
    current: list[str] = field(init=False)
    removed: dict[int, Cause] = field(default_factory=dict)
    rewritten: dict[int, Cause] = field(default_factory=dict)
    joined: dict[int, Cause] = field(default_factory=dict)
    alive: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.current = list(self.original)
        self.alive = list(range(len(self.original) + 1))

    def next_alive(self, line: int) -> int:
        """The first line at or after ``line`` that is not removed; the number of lines where there is none."""
        root = line
        while self.alive[root] != root:
            root = self.alive[root]
        while self.alive[line] != root:
            self.alive[line], line = root, self.alive[line]
        return root

    def surviving(self, start: int, end: int) -> list[int]:
        """Numbers of the lines of a range (both ends included) that are not removed."""
        return [line for line in range(start, end + 1) if line not in self.removed]

    def remove(self, start: int, end: int, cause: Cause) -> None:
        """Remove a range of existing lines (or an empty one); a line that is removed already keeps its first cause."""
        line = self.next_alive(start) if start <= end else start
        while line <= end:
            self.removed[line] = cause
            self.alive[line] = line + 1
            line = self.next_alive(line + 1)

    def replace(self, line: int, source: str, target: str, cause: Cause) -> None:
        """Replace every occurrence of a string in a line."""
        self.current[line] = self.current[line].replace(source, target)
        self.rewritten[line] = cause

    def replace_end(self, line: int, source: str, target: str, cause: Cause) -> None:
        """Replace the end of a line."""
        self.current[line] = self.current[line][: len(self.current[line]) - len(source)] + target
        self.rewritten[line] = cause

    def join(self, places: Sequence[int]) -> None:
        """Give each line without its end the text of the next one that is left, which is removed.

        Not where a new line comes between them; ``places`` are the numbers of the lines before new ones, in order.
        """
        for line in sorted(self.joined):
            if line in self.removed:
                continue
            parts, last = [self.current[line]], line
            while last in self.joined:
                following = self.next_alive(last + 1)
                if following == len(self.original) or bisect_left(places, last) < bisect_left(places, following):
                    break
                cause = self.joined[last]
                parts.append(self.current[following])
                self.remove(following, following, cause)
                self.rewritten[line] = cause
                last = following
            self.current[line] = "".join(parts)

    def insert(self, inserted: Mapping[tuple[int, int], tuple[str, Cause]], *, with_removed: bool) -> None:
        """Insert new lines, keyed by (number of the line before them, order at that place); -1 is before the first line.

        The last change of all: the nearest line that is left, above them if there is one, is rewritten to hold them. Where none
        is left, the first line is rewritten to them. ``with_removed``: the line before them is rewritten instead (the first one
        for -1), to them alone where it is removed.
        """
        left = [line for line in range(len(self.original)) if line not in self.removed]
        beside: dict[int, list[tuple[int, str, Cause]]] = {}
        for (after, _), (text, cause) in sorted(inserted.items(), key=lambda item: item[0]):
            nearest = left[max(bisect_right(left, after) - 1, 0)] if left else 0
            beside.setdefault(max(after, 0) if with_removed else nearest, []).append((after, text, cause))
        for line, added in beside.items():
            before = [text for after, text, _ in added if after < line]
            own = [] if line in self.removed else [self.current[line]]
            behind = [text for after, text, _ in added if after >= line]
            self.current[line] = "\n".join(before + own + behind)
            self.removed.pop(line, None)
            self.rewritten[line] = added[-1][2]

    def text(self) -> str:
        """The surviving lines, joined."""
        return "\n".join(line for number, line in enumerate(self.current) if number not in self.removed)

    def log(self) -> tuple[DroppedLine, ...]:
        """One entry for each line that is removed, or that differs from its original."""
        entries = []
        for number in sorted(self.removed.keys() | self.rewritten.keys()):
            removal = self.removed.get(number)
            cause = removal or self.rewritten[number]
            if removal is None and self.current[number] == self.original[number]:
                continue
            replacement = None if removal else self.current[number]
            entries.append(
                DroppedLine(number, self.original[number], replacement, cause.operation, cause.chunk, cause.score)
            )
        return tuple(entries)
