"""Charts of the measurements of ``evaluate``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prox_spark.errors import InstallationError


def check_drawing() -> None:
    """Raise ``InstallationError`` if drawing is impossible; called before hours of measurement."""
    _figure()


def draw_thresholds(found: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """F1 of keeping over thresholds, a line for each file."""
    drawn: Sequence[tuple[str, Any]] = [(name, one["sweep"]) for name, one in found.items() if "sweep" in one]
    if not drawn:
        return
    figure, axes = _figure()
    for name, rows in drawn:
        axes.plot([row["threshold"] for row in rows], [row["f1"] for row in rows], marker="o", markersize=3, label=name)
    axes.set_xlabel("threshold (lower scores are dropped)")
    axes.set_ylabel("F1 of kept text (pages: by words)")
    _save(figure, axes, file)


def draw_compute(curves: Mapping[str, Sequence[tuple[float, float]]], file: Path) -> None:
    """Quality over compute, a line for each model: (FLOPs of training and of the refining it needed, bits per byte)."""
    drawn = {name: points for name, points in curves.items() if points}
    if not drawn:
        return
    figure, axes = _figure()
    for name, points in drawn.items():
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=3, label=name)
    axes.axhline(next(iter(drawn.values()))[-1][1], color="grey", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlabel("FLOPs of training plus refining")
    axes.set_ylabel("bits per byte of held-out text")
    _save(figure, axes, file)


def _figure() -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise InstallationError(
            f"evaluate's picture needs {error.name}, which is not installed: pip install 'prox-spark[report]'"
        ) from None
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    return figure, figure.add_subplot()


def _save(figure: Any, axes: Any, file: Path) -> None:
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file, format="svg", metadata={"Date": None})
