"""What a URL asks for: filters as values. Whatever does not fit is a ``UsageError``."""

from collections.abc import Mapping
from dataclasses import dataclass

from prox_spark.browsing.paging import START, Place, place
from prox_spark.errors import UsageError
from prox_spark.programs.operations import names_of
from prox_spark.reporting.documents import REASONS
from prox_spark.versions.changes import CHANGES

FATES = ("kept", "untouched", "edited", "dropped", "quarantined")
"""What became of a document in one version; ``kept`` is untouched or edited."""

DROP_REASONS = tuple(sorted({*REASONS, "keep_score"}))
OPERATION_NAMES = tuple(sorted(name for edits in ("lines", "strings", "inserts") for name in names_of(edits)))
LINES = ("removed", "rewritten")


@dataclass(frozen=True)
class Documents:
    """Which documents: ``outcome`` is one of ``FATES``, of two versions one of ``CHANGES``. Empty texts ask for nothing."""

    outcome: str = ""
    reason: str = ""
    source: str = ""
    domain: str = ""
    text: str = ""
    id: str = ""
    after: Place = START


@dataclass(frozen=True)
class Lines:
    """Which rows of ``dropped_lines``: ``score`` bounds it from below and above. Empty texts ask for nothing."""

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
    """The documents that a URL asks for, of one version or of two."""
    return Documents(
        outcome=_one_of(given, "outcome", CHANGES if versions > 1 else FATES),
        reason=_one_of(given, "reason", DROP_REASONS),
        **_texts(given),
        id=given.get("id", ""),
        after=place(given.get("after", "")),
    )


def lines(given: Parameters) -> Lines:
    """The lines that a URL asks for."""
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
