"""Conversion of the user's scores in a column to ``keep_score``."""

import math


def keep_score(given: str | None, column: str, scale: tuple[float, float] | None) -> float | str:
    """A ``keep_score`` in [0, 1], or the reason why there is none.

    ``scale``: the values that map to 0 and 1; the first is the larger one if lower scores are better. Others are clipped.

    >>> keep_score("3", "edu", (0, 5)), keep_score("800", "perplexity", (1000, 0))
    (0.6, 0.2)
    >>> keep_score("3", "edu", None)
    'edu is 3, outside of [0, 1]: set engine.scale'
    """
    if given is None:
        return f"{column} is null"
    try:
        # Python accepts underscores between digits; other number formats do not.
        number = float(given.replace("_", "?"))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        return f"{column} is {given[:40]!r}, not a number"
    if scale is not None:
        low, high = scale
        return min(max((number - low) / (high - low), 0.0), 1.0)
    if not 0.0 <= number <= 1.0:
        return f"{column} is {number:g}, outside of [0, 1]: set engine.scale"
    return number
