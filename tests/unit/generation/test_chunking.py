"""Cutting documents into chunks: what always holds, and the cases that are easy to get wrong."""

from hypothesis import given
from hypothesis import strategies as st

from prox_spark.generation.chunking import Chunk, cut, cut_by_count

COSTS = st.lists(st.one_of(st.none(), st.integers(1, 12)), max_size=60)


def lines(costs: list[int | None]) -> list[str]:
    return ["x"] * len(costs)


@given(COSTS, st.integers(1, 20))
def test_every_line_that_fits_is_in_one_chunk_and_no_chunk_is_over_the_window(
    costs: list[int | None], window: int
) -> None:
    chunks = cut(lines(costs), costs, [], window)
    covered = [number for chunk in chunks for number in range(chunk.line_start, chunk.line_end + 1)]
    assert covered == [number for number, cost in enumerate(costs) if cost is not None and cost <= window]
    for chunk in chunks:
        assert sum(cost or 0 for cost in costs[chunk.line_start : chunk.line_end + 1]) <= window


@given(st.lists(st.integers(1, 12), max_size=60), st.lists(st.integers(1, 3), min_size=61, max_size=61))
def test_labels_that_count_from_the_chunk_are_counted_in_the_window(costs: list[int], labels: list[int]) -> None:
    window = 20
    for chunk in cut(lines(list(costs)), costs, labels, window):
        own = costs[chunk.line_start : chunk.line_end + 1]
        assert sum(own) + sum(labels[: len(own)]) <= window


def test_an_over_long_line_passes_untouched_between_two_chunks() -> None:
    assert cut(lines([1, 1, 99, 1]), [1, 1, 99, 1], [], 10) == [Chunk(0, 1), Chunk(3, 3)]


def test_blank_lines_alone_are_no_chunk() -> None:
    assert cut(["", " ", "long", ""], [1, 1, None, 1], [], 10) == []
    assert cut(["", "text"], [1, 2], [], 10) == [Chunk(0, 1)]


def test_chunks_by_number_of_lines() -> None:
    assert cut_by_count(5, 2) == [Chunk(0, 1), Chunk(2, 3), Chunk(4, 4)]
    assert cut_by_count(5, None) == [Chunk(0, 4)]


def test_no_chunk_has_more_lines_than_labels() -> None:
    chunks = cut(["a"] * 7, [1] * 7, [1, 1, 1], 100)
    assert [(chunk.line_start, chunk.line_end) for chunk in chunks] == [(0, 2), (3, 5), (6, 6)]
