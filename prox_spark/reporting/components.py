"""Shared parts of ``report`` and ``browse``: templates, numbers as rows of text, documents as data for the script."""

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from prox_spark.reporting.documents import Outcome, ReportDocument
from prox_spark.reporting.figures import Facts, share

CHANGES = {
    "unchanged": "Unchanged",
    "changed": "Changed",
    "newly_dropped": "Newly dropped",
    "newly_kept": "Newly kept",
    "dropped_in_both": "Dropped in both",
    "added": "Added",
    "removed": "Removed",
    "untouched": "Kept, untouched",
    "edited": "Kept, edited",
    "dropped": "Dropped",
    "quarantined": "In quarantine",
    "absent": "Not in this version",
}
"""Change classes with their labels, in the order shown."""

_COUNTS = (
    ("documents", "Documents"),
    ("refined", "Kept"),
    ("dropped_documents", "Dropped"),
    ("quarantined", "In quarantine"),
    ("lines", "Lines"),
    ("lines_removed", "Lines removed"),
    ("lines_rewritten", "Lines rewritten"),
    ("characters", "Characters"),
    ("characters_kept", "Characters kept"),
    ("chunks", "Chunks"),
    ("failed_chunks", "Failed chunks"),
    ("prompt_tokens", "Prompt tokens"),
    ("output_tokens", "Output tokens"),
)

_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def environment(*packages: str, **options: Any) -> Environment:
    """Templates of these packages, then of the report. Values are escaped; an undefined name is an error."""
    loaders = [PackageLoader(package) for package in (*packages, "prox_spark.reporting")]
    return Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )


def asset(templates: Environment, *names: str) -> str:
    """The text of these files, one after the other."""
    assert templates.loader is not None
    return "".join(templates.loader.get_source(templates, name)[0] for name in names)


def data_block(value: Any) -> str:
    """A value as JSON without characters that could close the element around it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def document_data(document: ReportDocument) -> dict[str, Any]:
    """A document as ``templates/document.js`` reads it."""
    return {
        "id": document.doc_id,
        "source": document.source,
        "url": document.url,
        "change": document.change,
        "operations": document.operations,
        "hidden": document.hidden,
        "lines": [line.text if not line.more else [line.text, line.more] for line in document.lines],
        "outcomes": [_outcome(outcome) for outcome in document.outcomes],
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "fate": outcome.fate,
        "why": outcome.why,
        "calls": outcome.calls,
        "scores": outcome.scores,
        "marks": {
            mark.line: {"operation": mark.operation, "call": mark.call, "score": mark.score, "pieces": mark.pieces}
            for mark in outcome.marks
        },
    }


def headline(facts: Facts) -> list[tuple[str, str, str]]:
    """Label, value, and the value in the older version (or nothing)."""
    rows = []
    for label, part, whole in (
        ("Characters kept", "characters_kept", "characters"),
        ("Documents kept", "refined", "documents"),
        ("Lines removed", "lines_removed", "lines"),
        ("Lines rewritten", "lines_rewritten", "lines"),
    ):
        shares = [share(version.counts[part], version.counts[whole]) for version in facts.versions]
        said = ["\N{EN DASH}" if value is None else f"{value:.1%}" for value in shares]
        rows.append((label, said[-1], said[0] if len(said) > 1 else ""))
    return rows


def count_rows(facts: Facts) -> list[tuple[str, list[str], str]]:
    """Label, count in each version and their difference."""
    found = []
    for name, label in _COUNTS:
        counts = [version.counts[name] for version in facts.versions]
        found.append((label, [f"{count:,}" for count in counts], _signed(counts[-1] - counts[0])))
    return found


def drop_rows(facts: Facts) -> list[tuple[str, str, list[str], str]]:
    """Stage, reason, documents in each version and their difference."""
    found = [{(drop.stage, drop.reason): drop.documents for drop in version.drops} for version in facts.versions]
    keys = dict.fromkeys(key for each in reversed(found) for key in each)
    rows = []
    for stage, reason in keys:
        counts: Sequence[int] = [each.get((stage, reason), 0) for each in found]
        rows.append((stage, reason, [f"{count:,}" for count in counts], _signed(counts[-1] - counts[0])))
    return rows


def _signed(difference: int) -> str:
    return f"{difference:+,}".replace("-", "\N{MINUS SIGN}") if difference else "0"
