"""Cutting a document at line ends into chunks that a refiner's window holds."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """A range of a document's lines, both ends included, in ``text.split("\\n")``.

    ``context`` lines before it are shown too; they belong to the chunk before.
    """

    line_start: int
    line_end: int
    context: int = 0


def cut(lines: Sequence[str], costs: Sequence[int | None], labels: Sequence[int], window: int) -> list[Chunk]:
    """Cut lines into contiguous chunks of at most ``window`` tokens, as few as a single pass gives.

    ``costs[i]`` is what line ``i`` costs in tokens, its line end counted, and its label where labels count through the
    document; ``None`` stands for more than any window. ``labels[k]`` is the cost of a chunk's k-th label where they
    count from the chunk's first line, and no chunk has more lines than labels; empty where labels are in ``costs``.
    A line that costs more than the window is in no chunk and ends the one before it. A chunk of blank lines alone has
    nothing to ask about and is left out. Linear in the number of lines.
    """
    chunks: list[Chunk] = []
    start, used, blank = -1, 0, True

    def close(end: int) -> None:
        if start >= 0 and not blank:
            chunks.append(Chunk(start, end))

    for number, cost in enumerate(costs):
        first_label = labels[0] if labels else 0
        if cost is None or cost + first_label > window:
            close(number - 1)
            start, used, blank = -1, 0, True
            continue
        if labels and start >= 0 and number - start == len(labels):
            close(number - 1)
            start = -1
        label = labels[number - start] if labels and start >= 0 else first_label
        if start >= 0 and used + cost + label > window:
            close(number - 1)
            start = -1
        if start < 0:
            start, used, blank, label = number, 0, True, first_label
        used += cost + label
        blank = blank and not lines[number].strip()
    close(len(costs) - 1)
    return chunks


def cut_overlapping(lines: Sequence[str], costs: Sequence[int | None], window: int, share: float) -> list[Chunk]:
    """Cut lines into windows of at most ``window`` tokens that overlap: each shows the last lines of the one before again, as
    many as fit into ``share`` of its tokens, and owns the lines after them (UltraX, arXiv 2607.08646, inference code).

    A line that costs more than the window is in no chunk, and nothing before it is shown after it. A chunk whose own lines are
    all blank is left out. Linear in the number of lines.
    """
    chunks: list[Chunk] = []
    shown = own = 0
    while own < len(costs):
        used, end = 0, shown
        while end < len(costs) and (cost := costs[end]) is not None and used + cost <= window:
            used += cost
            end += 1
        if end <= own:
            # The next line does not fit beside what is shown again, or into no window at all.
            own += shown == own
            shown = own
            continue
        if any(lines[line].strip() for line in range(own, end)):
            chunks.append(Chunk(own, end - 1, own - shown))
        first, again = shown, 0
        shown = own = end
        while shown > first and again + (costs[shown - 1] or 0) <= share * used:
            shown -= 1
            again += costs[shown] or 0
        if shown == first:
            shown = own
    return chunks


def cut_by_count(lines: int, lines_per_chunk: int | None) -> list[Chunk]:
    """Chunks for engines that count no tokens: of so many lines, or one of all lines."""
    step = lines_per_chunk or max(lines, 1)
    return [Chunk(start, min(start + step, lines) - 1) for start in range(0, lines, step)]
