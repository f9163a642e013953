"""Charts of an SQL result: its first column names the bars, and every numeric column gets a chart."""

import math
from typing import Any

from prox_spark.browsing.queries import Answer
from prox_spark.reporting.drawing import Picture, Series, bars, drawing
from prox_spark.reporting.text import clean, shortened

_BARS = 30
"""Maximum rows of a result that are drawn."""

_PICTURES = 4
_NAME = 60


def charts(answer: Answer) -> tuple[Picture, ...]:
    """At most four charts of the first rows; none if no column after the first is numeric, or if there is only one row."""
    shown = answer.rows[:_BARS]
    if len(shown) < 2:
        return ()
    numbers = [place for place in range(1, len(answer.columns)) if _is_numbers([row[place] for row in shown])]
    names = ["" if row[0] is None else clean(str(row[0]).replace("\n", " ")) for row in shown]
    note = f"The first {len(shown)} rows." if answer.more or len(shown) < len(answer.rows) else ""
    with drawing():
        return tuple(_chart(answer, place, names, note) for place in numbers[:_PICTURES])


def _chart(answer: Answer, place: int, names: list[str], note: str) -> Picture:
    column = shortened(clean(answer.columns[place]), _NAME)
    by = shortened(clean(answer.columns[0]), _NAME)
    drawn = [(name, float(row[place])) for name, row in zip(names, answer.rows, strict=False) if row[place] is not None]
    labels, values = [name for name, _ in drawn], [value for _, value in drawn]
    svg = bars([Series(column, "one")], labels, [values], f"chart-{place}", f"{column} by {by}")
    rows = tuple((shortened(name, _NAME), f"{value:,.6g}") for name, value in drawn)
    return Picture(f"{column} by {by}", note, svg, (by, column), rows)


def _is_numbers(values: list[Any]) -> bool:
    """Whether these are finite numbers and nulls, not all of them null."""
    known = [value for value in values if value is not None]
    return bool(known) and all(not isinstance(one, bool | str) and math.isfinite(one) for one in known)
