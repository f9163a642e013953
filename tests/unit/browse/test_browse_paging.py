"""Pages of rows: each row once, in order, whatever the units hold; few looks for what is frequent."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prox_spark.browsing import asked
from prox_spark.browsing.paging import START, Page, Place, place, read_page
from prox_spark.errors import UsageError

Row = tuple[int, str]
ROWS = st.lists(st.tuples(st.integers(0, 20), st.text(max_size=3)), unique=True, max_size=60)


def reader(rows: list[Row], start: Place) -> tuple[Callable[[int, int, int], list[Row]], list[tuple[int, int]]]:
    """A table of these rows, and the looks at it."""
    looks = []

    def find(first: int, last: int, limit: int) -> list[Row]:
        looks.append((first, last))
        after = [row for row in rows if start.doc_id is None or row > (start.unit, start.doc_id)]
        return sorted(row for row in after if first <= row[0] <= last)[:limit]

    return find, looks


def page_of(rows: list[Row], start: Place, size: int, clock: Callable[[], float] = lambda: 0.0) -> Page:
    find, _ = reader(rows, start)
    return read_page(find, start, 20, of=lambda row: Place(*row), size=size, clock=clock)


@given(ROWS, st.integers(1, 7))
def test_page_after_page_every_row_is_there_once_and_in_order(rows: list[Row], size: int) -> None:
    found: list[Row] = []
    start: Place | None = START
    while start is not None:
        page = page_of(rows, start, size)
        assert len(page.rows) == size or page.next is None
        found += page.rows
        start = page.next
    assert found == sorted(rows)


@given(ROWS)
def test_a_page_that_takes_long_ends_early_and_goes_on_from_there(rows: list[Row]) -> None:
    times = iter(range(0, 10_000, 6))
    found: list[Row] = []
    start: Place | None = START
    while start is not None:
        page = page_of(rows, start, 3, lambda: float(next(times)))
        found += page.rows
        start = page.next
    assert found == sorted(rows)


def test_units_are_read_in_doubling_looks_and_no_further_than_needed() -> None:
    find, looks = reader([(0, "a"), (19, "z")], START)
    assert read_page(find, START, 20, of=lambda row: Place(*row), size=1).next == Place(0, "a")
    assert looks == [(0, 0), (1, 2), (3, 6), (7, 14), (15, 20)]
    find, looks = reader([(0, name) for name in "abc"], START)
    assert read_page(find, START, 20, of=lambda row: Place(*row), size=2).next == Place(0, "b")
    assert looks == [(0, 0)]


@given(st.builds(Place, st.integers(0), st.none() | st.text(), st.integers(-1)))
def test_a_place_survives_its_url(one: Place) -> None:
    assert place(str(one)) == (one if one.doc_id is not None else Place(one.unit))


@pytest.mark.parametrize("text", ["x", "1.", "1.2", "1.x.a", ".1.a", "1 OR 1=1"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not the place of a row"):
        place(text)


@pytest.mark.parametrize(
    ("given", "versions"),
    [({"outcome": "changed"}, 1), ({"outcome": "kept"}, 2), ({"reason": "x'; DROP"}, 1), ({"after": "?"}, 1)],
)
def test_a_filter_that_does_not_exist_is_refused(given: dict[str, str], versions: int) -> None:
    with pytest.raises(UsageError):
        asked.documents(given, versions)


@pytest.mark.parametrize("given", [{"kind": "x"}, {"operation": "drop_table"}, {"least": "much"}])
def test_a_filter_of_lines_that_does_not_exist_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        asked.lines(given)


def test_a_domain_is_read_as_people_write_it() -> None:
    assert asked.lines({"domain": " *.Example.org. "}).domain == "example.org"
