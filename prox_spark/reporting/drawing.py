"""How pictures are drawn: matplotlib figures as inline SVG, in the colours and sizes of the pages."""

import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prox_spark.reporting.svg import ROLES, inline
from prox_spark.reporting.text import shortened

LABEL = 24
"""Characters of a name beside a bar or in a legend."""

_OWN_LABEL = re.compile(r"_(?:child|container)\d+$|_nolegend_$")
"""Labels that matplotlib gives to what has none."""

_WIDTH = 420
_POINTS = 72

_STYLE: dict[Any, Any] = {
    # Keep text as text: screen readers can read it, and it uses the page's font and colours.
    "svg.fonttype": "none",
    "svg.hashsalt": "prox_spark",
    # A source's name may hold dollar signs.
    "text.parse_math": False,
    "font.size": 12,
    "text.color": ROLES["ink"],
    "axes.edgecolor": ROLES["grid"],
    "axes.labelcolor": ROLES["muted"],
    "xtick.color": ROLES["muted"],
    "ytick.color": ROLES["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.unicode_minus": False,
}


@dataclass(frozen=True)
class Picture:
    """``svg`` is an element; ``columns`` and ``rows`` have the same numbers, ``note`` says what is counted."""

    title: str
    note: str
    svg: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Series:
    """A series in one colour: a name for the legend and a role of ``svg.ROLES``."""

    name: str
    colour: str


_drawing = threading.Lock()


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the pages' style in the block; matplotlib's settings are global to the process, so only one thread draws."""
    with _drawing, rc_context(_STYLE), warnings.catch_warnings():
        # matplotlib's font is only used to measure; the page's fonts have the missing glyphs.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        yield


@contextmanager
def axes_of(height: float) -> Iterator[tuple[Figure, Axes]]:
    figure = Figure(figsize=(_WIDTH / _POINTS, height / _POINTS), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(pad=6)
    yield figure, axes


def bars(
    series: Sequence[Series],
    names: Sequence[str],
    values: Sequence[Sequence[float]],
    name: str,
    title: str,
    *,
    of_all: bool = False,
) -> str:
    """Horizontal bars, a group for each name and a bar for each series; shares are drawn on a track of 100 %.

    ``values`` has a list for each series, with a number for each name. ``name`` begins the ids of the picture's elements.
    """
    many = len(series)
    thick = 0.62 / many
    with axes_of(44 + len(names) * (22 + 10 * many)) as (figure, axes):
        low, high = min(0.0, *map(min, values)), 1.0 if of_all else max(0.0, *map(max, values))
        span = high - low or 1.0
        for number, (one, each) in enumerate(zip(series, values, strict=True)):
            at = [place + (number - (many - 1) / 2) * (thick + 0.04) for place in range(len(names))]
            if of_all:
                axes.barh(at, [1.0] * len(at), thick, color=ROLES["track"])
            axes.barh(at, each, thick, color=ROLES[one.colour], label=shortened(one.name, LABEL))
            for place, value in zip(at, each, strict=True):
                said = f"{value:.1%}" if of_all else said_of(value)
                right = high if of_all else max(value, 0.0)
                axes.text(right + span * 0.015, place, said, va="center", color=ROLES["muted"])
        axes.set_yticks(range(len(names)), [shortened(one, LABEL) for one in names])
        axes.invert_yaxis()
        axes.set_xlim(low, high + span * (0.14 if of_all else 0.18))
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.margins(y=0.02)
        legend(figure, series)
        return inline(figure, name, title)


def said_of(value: float) -> str:
    """A number as shown beside its bar.

    >>> said_of(1234567.0), said_of(0.1234)
    ('1,234,567', '0.123')
    """
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.3g}"


def legend(figure: Figure, series: Sequence[Series]) -> None:
    """The legend, if there are several series."""
    if len(series) > 1:
        options: dict[str, Any] = {"frameon": False, "ncols": 2, "handlelength": 1, "handleheight": 1, "borderpad": 0}
        add_legend(figure, **options)


def add_legend(figure: Figure, **options: Any) -> None:
    """A legend of all artists that have a label. By itself, matplotlib leaves out labels that begin with ``_``."""
    artists: list[Any] = [artist for axes in figure.axes for artist in (*axes.containers, *axes.lines)]
    named = {label: artist for artist in artists if (label := str(artist.get_label())) and not _OWN_LABEL.match(label)}
    figure.legend([*named.values()], [*named], loc="outside upper left", **options)
