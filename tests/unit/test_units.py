"""Conditions on units: every unit asked for and no other, in few ranges."""

import re
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from prox_spark.tables.units import _RANGES, units_sql


def selected(sql: str, among: Sequence[int]) -> list[int]:
    """The units that a condition holds for."""
    ranges = [(int(a), int(b)) for a, b in re.findall(r"BETWEEN (\d+) AND (\d+)", sql)]
    listed = re.search(r" AND unit IN \(([\d, ]+)\)$", sql)
    exact = {int(one) for one in listed[1].split(", ")} if listed else set(among)
    return [unit for unit in among if unit in exact and any(a <= unit <= b for a, b in ranges)]


@given(st.sets(st.integers(0, 2000), max_size=900))
def test_a_condition_holds_for_its_units_alone(units: set[int]) -> None:
    sql = units_sql(units, "unit")
    assert selected(sql, range(2001)) == sorted(units)
    assert sql.count("BETWEEN") <= _RANGES


def test_neighbours_are_one_range_and_only_far_too_many_ranges_are_joined() -> None:
    assert units_sql([5, 3, 4, 9], "there.unit") == "(there.unit BETWEEN 3 AND 5 OR there.unit BETWEEN 9 AND 9)"
    assert units_sql([], "unit") == "false"
    assert " IN " not in units_sql(range(0, 2 * _RANGES, 2), "unit")
    assert " IN " in units_sql(range(0, 2 * _RANGES + 2, 2), "unit")
