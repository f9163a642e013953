"""The pictures of a report: matplotlib figures as inline SVG, each with its numbers as a table."""

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from prox_spark.config.shapes import PAPER_SIZES
from prox_spark.costs.compute import Stage, llama_parameters, refining_flops, training_flops
from prox_spark.reporting.drawing import LABEL, Picture, Series, add_legend, axes_of, bars, drawing, legend
from prox_spark.reporting.figures import BINS, Facts, Model, Operation, VersionFacts, below, rebinned, share
from prox_spark.reporting.svg import ROLES, inline
from prox_spark.reporting.text import clean, shortened

_NAME = 60
_BARS = 20
_NEAR = 0.12


def pictures(facts: Facts) -> tuple[Picture, ...]:
    """Every chart for which these versions have numbers."""
    drawn: tuple[Callable[[Facts], Picture | None], ...] = (
        *(_sources, _operations, _documents, _lines, _sweep, _calls),
        *(_refining, _models),
    )
    with drawing():
        return tuple(picture for draw in drawn if (picture := draw(facts)) is not None)


def _colours(facts: Facts) -> list[tuple[VersionFacts, str]]:
    """The last version has the first colour."""
    return list(zip(facts.versions, ("two", "one")[-len(facts.versions) :], strict=True))


def _series(facts: Facts) -> list[Series]:
    return [Series(version.name, colour) for version, colour in _colours(facts)]


def _sources(facts: Facts) -> Picture | None:
    names = [source.name for source in facts.versions[-1].sources]
    kept = [{one.name: share(one.kept, one.characters) for one in version.sources} for version in facts.versions]
    if not names:
        return None
    shares = [[each.get(name) or 0.0 for name in names] for each in kept]
    svg = bars(_series(facts), names, shares, "sources", "Share of characters kept, by source", of_all=True)
    rows = tuple(
        (shortened(name, _NAME), *(f"{value:.1%}" for value in values), f"{source.characters:,}")
        for name, source, *values in zip(names, facts.versions[-1].sources, *shares, strict=True)
    )
    columns = ("Source", *(f"Kept, {version.name}" for version in facts.versions), "Characters")
    return Picture(
        "Kept share by source", "Share of kept characters, without quarantined documents.", svg, columns, rows
    )


def _operations(facts: Facts) -> Picture | None:
    found = [{one.name: one for one in version.operations} for version in facts.versions]
    names = list(dict.fromkeys(name for each in reversed(found) for name in each))
    if not names:
        return None
    none = Operation("", 0, 0)
    lines = [[float(each.get(name, none).lines) for name in names] for each in found]
    svg = bars(_series(facts), names, lines, "operations", "Lines removed or changed, by operation")
    columns = ("Operation", *(f"{what}, {v.name}" for v in facts.versions for what in ("Lines", "Characters")))
    rows = tuple(
        (name, *(f"{n:,}" for each in found for n in (each.get(name, none).lines, each.get(name, none).characters)))
        for name in names
    )
    return Picture("Operations", "Removed or changed lines of kept documents.", svg, columns, rows)


def _documents(facts: Facts) -> Picture | None:
    note = "keep_score of every document in the document stage. Documents below the threshold are dropped."
    return _histogram(facts, "Document scores", note, "documents", "keep_score", "drop_document_below")


def _lines(facts: Facts) -> Picture | None:
    note = "P(keep) of every line in the chunk stage. Lines below the threshold are removed."
    return _histogram(facts, "Line scores", note, "lines", "P(keep)", "drop_line_below")


def _calls(facts: Facts) -> Picture | None:
    note = "Confidence of every call, from the model's probabilities. Calls below the threshold are ignored."
    return _histogram(facts, "Confidence of calls", note, "calls", "confidence", "min_confidence")


def _histogram(facts: Facts, title: str, note: str, kind: str, label: str, threshold: str) -> Picture | None:
    counts = [rebinned(getattr(version.scores, kind), _BARS) for version in facts.versions]
    if not any(map(sum, counts)):
        return None
    # Two versions with the same scores differ only in their thresholds.
    shown = list(zip(_colours(facts), counts, strict=True))
    shown = shown[-1:] if counts[0] == counts[-1] else shown
    width = 1 / _BARS
    with axes_of(210) as (figure, axes):
        for number, ((version, colour), each) in enumerate(shown):
            part = width * 0.86 / len(shown)
            at = [(place + 0.07) * width + part * (number + 0.5) for place in range(_BARS)]
            axes.bar(at, each, part, color=ROLES[colour], label=shortened(version.name, LABEL))
        _score_axis(axes, label)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        _thresholds(axes, facts, threshold)
        if len(shown) > 1:
            legend(figure, _series(facts))
        svg = inline(figure, f"scores-{kind}", f"{title}: histogram of {label}")
    columns = (label, *(version.name for (version, _), _ in shown))
    rows = tuple(
        (f"{place * width:.2f} to {(place + 1) * width:.2f}", *(f"{each[place]:,}" for _, each in shown))
        for place in range(_BARS)
    )
    return Picture(title, note + _whose(facts, threshold), svg, columns, rows)


def _sweep(facts: Facts) -> Picture | None:
    curves = [
        (version, colour, version.scores.lines) for version, colour in _colours(facts) if any(version.scores.lines)
    ]
    if not curves:
        return None
    curves = curves[-1:] if curves[0][2] == curves[-1][2] else curves
    edges = [edge / BINS for edge in range(BINS + 1)]
    with axes_of(210) as (figure, axes):
        for version, colour, counts in curves:
            axes.plot(edges, below(counts), color=ROLES[colour], linewidth=2, label=shortened(version.name, LABEL))
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        _score_axis(axes, "drop_line_below")
        _thresholds(axes, facts, "drop_line_below")
        if len(curves) > 1:
            legend(figure, _series(facts))
        svg = inline(figure, "sweep", "Share of scored lines that each threshold would remove")
    note = "Share of scored lines that each threshold would remove, from stored scores, before guards."
    columns = ("drop_line_below", *(version.name for version, _, _ in curves))
    rows = tuple(
        (f"{edge / BINS:.2f}", *(f"{below(counts)[edge]:.1%}" for _, _, counts in curves))
        for edge in range(0, BINS + 1, BINS // _BARS)
    )
    return Picture("Threshold sweep", note + _whose(facts, "drop_line_below"), svg, columns, rows)


def _refining(facts: Facts) -> Picture | None:
    """The cost of refining, as the number of training tokens of equal cost for models of the paper's sizes."""
    costs = {version.name: refining_flops(version.stages) for version in facts.versions}
    if not any(costs.values()):
        return None
    unknown = [name for name, cost in costs.items() if cost is None]
    known = replace(facts, versions=tuple(version for version in facts.versions if version.name not in unknown))
    sizes = {name: llama_parameters(**shape) for name, shape in PAPER_SIZES.items()}
    names = [f"{name} ({parameters / 1e9:.2g}B)" for name, parameters in sizes.items()]
    tokens = [[(costs[one.name] or 0.0) / training_flops(size, 1) for size in sizes.values()] for one in known.versions]
    title = "Training tokens that cost as much as refining"
    svg = bars(_series(known), names, tokens, "refining", title)
    rows = tuple(_stage_row(version, stage) for version in facts.versions for stage in version.stages)
    columns = ("Stage", "Refiner", "Parameters", "Tokens read and written", "FLOPs")
    note = (
        "Training tokens with the same FLOPs as the refining, for models of the paper's sizes: refining must save at least these "
        "(6 FLOPs per parameter and training token, 2 per parameter and token that a refiner read or wrote)."
        + (f" Unknown for {', '.join(unknown)}: the weights of a refiner are missing." if unknown else "")
    )
    return Picture("Break-even of refining", note, svg, columns, rows)


def _stage_row(version: VersionFacts, stage: Stage) -> tuple[str, ...]:
    parameters = "not known" if stage.parameters is None else f"{stage.parameters:,}"
    flops = "not known" if stage.flops is None else f"{stage.flops:.3g}"
    tokens = f"{stage.prompt_tokens + stage.output_tokens:,}"
    return f"{stage.stage}, {version.name}", clean(stage.refiner), parameters, tokens, flops


_LOOKS = [(role, line) for line in ("-", "--", ":") for role in ("one", "two", "ink", "muted")]
"""Colours and line styles of models, in order; further models reuse them."""


def _models(facts: Facts) -> Picture | None:
    shown = [(model, look) for model, look in zip(facts.models, cycle(_LOOKS)) if model.points]
    if not shown:
        return None
    with axes_of(230) as (figure, axes):
        for model, (role, line) in shown:
            label = shortened(model.name, LABEL)
            axes.plot(*zip(*model.points, strict=True), line, color=ROLES[role], marker="o", markersize=3, label=label)
        axes.set_xscale("log")
        axes.set_xlabel("FLOPs of training and of the refining it needed")
        axes.grid(axis="y", color=ROLES["grid"], linewidth=0.8)
        add_legend(figure, frameon=False, ncols=2, handlelength=2, borderpad=0)
        svg = inline(figure, "models", "Bits per byte of held-out text over compute, by model")
    rows = tuple(_model_row(model) for model in facts.models)
    columns = (
        *("Model", "Trained tokens", "Training FLOPs", "Refining FLOPs charged", "Break-even tokens", "FLOPs saved"),
        "Bits per byte at the end",
    )
    note = "Bits per byte of held-out text during training; lower is better. From evaluate."
    return Picture("Quality by compute", note, svg, columns, rows)


def _model_row(model: Model) -> tuple[str, ...]:
    keys = ("training_flops", "charged_refining_flops", "break_even_tokens", "saved_flops")
    figures = [model.row.get(key) for key in keys]
    end = f"{model.points[-1][1]:.4f}" if model.points else ""
    said = ("" if value is None else f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.3g}" for value in figures)
    return model.name, f"{model.row['tokens']:,}", *said, end


def _score_axis(axes: Axes, label: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel(label)
    axes.grid(axis="y", color=ROLES["grid"], linewidth=0.8)
    axes.set_axisbelow(True)


def _thresholds(axes: Axes, facts: Facts, key: str) -> None:
    """A line at each version's threshold; its label is lower if another one is near."""
    values = sorted({float(version.execution[key]) for version in facts.versions if 0 < version.execution[key] <= 1})
    for number, value in enumerate(values):
        axes.axvline(value, color=ROLES["ink"], linewidth=1.2, linestyle=(0, (3, 3)))
        right = value < 0.85
        axes.annotate(
            f"{value:g}",
            (value, 1.0 - (0.12 if number and value - values[0] < _NEAR else 0.0)),
            xycoords=("data", "axes fraction"),
            xytext=(5 if right else -5, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="top",
        )


def _whose(facts: Facts, key: str) -> str:
    """A sentence that names each version's threshold, if there are two."""
    values = [version.execution[key] for version in facts.versions]
    if len(set(values)) < 2:
        return ""
    named = (f"{value:g} in {version.name}" for version, value in zip(facts.versions, values, strict=True))
    return f" Dashed: {', '.join(named)}."
