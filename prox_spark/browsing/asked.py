"""The filters in a URL, as values. An invalid one raises ``UsageError``."""

from collections.abc import Mapping
from dataclasses import dataclass

from prox_spark.browsing.paging import START, Place, place
from prox_spark.errors import UsageError
from prox_spark.programs.operations import names_of
from prox_spark.reporting.documents import REASONS
from prox_spark.versions.changes import CHANGES

FATES = ("kept", "untouched", "edited", "dropped", "quarantined")
"""Outcomes of a document in one version; ``kept`` is untouched or edited."""

DROP_REASONS = tuple(sorted({*REASONS, "keep_score"}))
OPERATION_NAMES = tuple(sorted(name for edits in ("lines", "strings", "inserts") for name in names_of(edits)))
LINES = ("removed", "rewritten")


@dataclass(frozen=True)
class Documents:
    """Filters of documents: ``outcome`` is one of ``FATES``, or for two versions of ``CHANGES``. Empty texts do not filter."""

    outcome: str = ""
    reason: str = ""
    source: str = ""
    domain: str = ""
    text: str = ""
    id: str = ""
    after: Place = START


@dataclass(frozen=True)
class Lines:
    """Filters of ``dropped_lines``: the bounds of ``score`` are minimum and maximum. Empty texts do not filter."""

    kind: str = ""
    operation: str = ""
    least: float | None = None
    most: float | None = None
    source: str = ""
    domain: str = ""
    text: str = ""
    after: Place = START


Parameters = Mapping[str, str]


def documents(given: Parameters, versions: int) -> Documents:
    """The filters of documents in a URL, for one version or two."""
    return Documents(
        outcome=_one_of(given, "outcome", CHANGES if versions > 1 else FATES),
        reason=_one_of(given, "reason", DROP_REASONS),
        **_texts(given),
        id=given.get("id", ""),
        after=place(given.get("after", "")),
    )


def lines(given: Parameters) -> Lines:
    """The filters of lines in a URL."""
    return Lines(
        kind=_one_of(given, "kind", LINES),
        operation=_one_of(given, "operation", OPERATION_NAMES),
        least=_number(given, "least"),
        most=_number(given, "most"),
        **_texts(given),
        after=place(given.get("after", "")),
    )


def _texts(given: Parameters) -> dict[str, str]:
    domain = given.get("domain", "").strip().lower().removeprefix("*.").strip(".")
    return {"source": given.get("source", ""), "domain": domain, "text": given.get("text", "")}


def _one_of(given: Parameters, name: str, known: tuple[str, ...]) -> str:
    value = given.get(name, "")
    if value and value not in known:
        raise UsageError(f"{name}={value!r}: choose one of {', '.join(known)}")
    return value


def _number(given: Parameters, name: str) -> float | None:
    value = given.get(name, "").strip()
    try:
        return float(value) if value else None
    except ValueError:
        raise UsageError(f"{name}={value!r} is not a number") from None
