"""The numbers of a report, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prox_spark.costs.compute import Stage

BINS = 100
"""Number of bins for scores from 0 to 1: two-digit thresholds are bin edges."""


@dataclass(frozen=True)
class Source:
    """Characters of a source: ``characters`` before, ``kept`` after; quarantined documents are not counted."""

    name: str
    documents: int
    characters: int
    kept: int


@dataclass(frozen=True)
class Operation:
    """Lines of kept documents that an operation removed or changed, and their characters."""

    name: str
    lines: int
    characters: int


@dataclass(frozen=True)
class Drop:
    """Documents dropped for the same reason."""

    stage: str
    reason: str
    documents: int
    characters: int


@dataclass(frozen=True)
class Scores:
    """Histograms of the stored programs' scores in ``BINS`` bins; all 0 if there are no such scores.

    ``documents``: keep_score; ``lines``: P(keep) of scored lines; ``calls``: confidence of calls.
    """

    documents: tuple[int, ...] = (0,) * BINS
    lines: tuple[int, ...] = (0,) * BINS
    calls: tuple[int, ...] = (0,) * BINS


@dataclass(frozen=True)
class VersionFacts:
    """One refinement version. ``counts`` has the names of ``schemas.COUNTS``, ``execution`` the configuration's keys."""

    refinement: str
    version: int
    created_at: str
    package_version: str
    counts: dict[str, int]
    execution: dict[str, Any]
    refiners: dict[str, str]
    sources: tuple[Source, ...] = ()
    operations: tuple[Operation, ...] = ()
    drops: tuple[Drop, ...] = ()
    scores: Scores = Scores()
    stages: tuple[Stage, ...] = ()

    @property
    def name(self) -> str:
        """The name as written in ``sql`` and ``--from``."""
        return f"{self.refinement}:{self.version}"


@dataclass(frozen=True)
class Model:
    """A pretrained model as measured by ``evaluate``: a row of its compute table, and the points of its chart (FLOPs of
    training and of the charged refining, bits per byte)."""

    name: str
    row: Mapping[str, Any]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Facts:
    """The contents of a report except documents: versions, the newer last, the settings in which two differ, and models that were
    trained on their results."""

    store: str
    versions: tuple[VersionFacts, ...]
    differences: tuple[tuple[str, str, str], ...]
    models: tuple[Model, ...] = ()


def share(part: int, whole: int) -> float | None:
    """A share, or None if the total is 0."""
    return part / whole if whole else None


def rebinned(counts: Sequence[int], bins: int) -> tuple[int, ...]:
    """The same counts in fewer bins.

    >>> rebinned((1, 2, 3, 4), 2)
    (3, 7)
    """
    width = len(counts) // bins
    return tuple(sum(counts[start : start + width]) for start in range(0, len(counts), width))


def below(counts: Sequence[int]) -> tuple[float, ...]:
    """The share of all scores below each bin edge, 0 and 1 included: the share that a threshold there would remove.

    >>> below((1, 1, 2))
    (0.0, 0.25, 0.5, 1.0)
    """
    total, under, shares = sum(counts), 0, [0.0]
    for count in counts:
        under += count
        shares.append(under / total if total else 0.0)
    return tuple(shares)
