"""The numbers of a report, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prox_spark.costs.compute import Stage

BINS = 100
"""Number of bins for scores from 0 to 1: two-digit thresholds are bin edges."""


@dataclass(frozen=True)
class Source:
    """What was kept of a source: ``characters`` before, ``kept`` after; quarantined documents are not counted."""

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
    """Documents that were dropped for one reason."""

    stage: str
    reason: str
    documents: int
    characters: int


@dataclass(frozen=True)
class Scores:
    """What the stored programs are sure of, each counted in ``BINS`` bins; all 0 where there are no such scores.

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
        """As it is written in ``sql`` and ``--from``."""
        return f"{self.refinement}:{self.version}"


@dataclass(frozen=True)
class Model:
    """A pretrained model as ``evaluate`` measured it: a row of its table of compute, and the points of its picture (FLOPs of
    training and of the refining charged, bits per byte)."""

    name: str
    row: Mapping[str, Any]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Facts:
    """What a report says beside its documents: the newer version last, the settings in which two differ, and models that were
    trained on what they made."""

    store: str
    versions: tuple[VersionFacts, ...]
    differences: tuple[tuple[str, str, str], ...]
    models: tuple[Model, ...] = ()


def share(part: int, whole: int) -> float | None:
    """A share, or None of nothing."""
    return part / whole if whole else None


def rebinned(counts: Sequence[int], bins: int) -> tuple[int, ...]:
    """The same counts in fewer bins.

    >>> rebinned((1, 2, 3, 4), 2)
    (3, 7)
    """
    width = len(counts) // bins
    return tuple(sum(counts[start : start + width]) for start in range(0, len(counts), width))


def below(counts: Sequence[int]) -> tuple[float, ...]:
    """The share of all scores under each edge between bins, 0 and 1 included: what a threshold there would remove.

    >>> below((1, 1, 2))
    (0.0, 0.25, 0.5, 1.0)
    """
    total, under, shares = sum(counts), 0, [0.0]
    for count in counts:
        under += count
        shares.append(under / total if total else 0.0)
    return tuple(shares)
