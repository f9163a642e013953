"""What is said about a name that nobody knows."""

import pytest

from prox_spark.suggest import unknown

FORMATS = ("c4", "fineweb", "fineweb-edu", "json", "parquet")


@pytest.mark.parametrize(
    ("name", "near"),
    [("finewep", "fineweb"), ("fineweb_edu", "fineweb-edu"), ("JSON", "json"), ("jsn", "json"), ("parket", "parquet")],
)
def test_a_misspelt_name_is_answered_with_the_nearest(name: str, near: str) -> None:
    assert unknown("format", name, FORMATS) == f"unknown format {name!r} (did you mean {near!r}?)"


@pytest.mark.parametrize("name", ["csv", "x", "", "delta"])
def test_nothing_wild_is_proposed(name: str) -> None:
    assert (
        unknown("format", name, FORMATS) == f"unknown format {name!r} (known: c4, fineweb, fineweb-edu, json, parquet)"
    )


def test_a_long_list_is_cut_and_an_empty_one_is_said() -> None:
    assert unknown("task", "zzz", [f"task{i}" for i in range(40)]).endswith("task29 and 10 more)")
    assert unknown("refinement", "first", []) == "unknown refinement 'first' (known: none)"
