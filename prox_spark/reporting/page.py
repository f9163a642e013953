"""One self-contained file: the page's policy forbids everything but its own style sheet and script, known by their hashes."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from prox_spark.atomic import whole_file
from prox_spark.errors import UsageError
from prox_spark.reporting.documents import Outcome, ReportDocument
from prox_spark.reporting.figures import Facts, share
from prox_spark.reporting.pictures import Picture

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
"""Change classes, in the order and words in which they are offered."""

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


def render(facts: Facts, drawn: Sequence[Picture], documents: Sequence[ReportDocument], seed: int) -> str:
    """The page. The same values give the same page, byte for byte."""
    templates = Environment(
        loader=PackageLoader("prox_spark.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (_asset(templates, name) for name in ("report.css", "report.js"))
    policy = {
        "default-src": "'none'",
        "style-src": f"'sha256-{_hash(style)}'",
        "script-src": f"'sha256-{_hash(script)}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return templates.get_template("report.html").render(
        policy="; ".join(f"{key} {value}" for key, value in policy.items()),
        style=Markup(style),
        script=Markup(script),
        facts=facts,
        last=facts.versions[-1],
        headline=_headline(facts),
        counts=[_count_row(facts, name, label) for name, label in _COUNTS],
        drops=_drops(facts),
        # Drawn by this package from numbers; the names in it are escaped by the XML writer.
        pictures=[(picture, Markup(picture.svg)) for picture in drawn],
        n_documents=len(documents),
        scored=any(outcome.scores for one in documents for outcome in one.outcomes),
        seed=seed,
        data=Markup(data_block(facts, documents)),
    )


def data_block(facts: Facts, documents: Sequence[ReportDocument]) -> str:
    """The documents as JSON without a character that could end the element it stands in.

    Keys are those that ``templates/report.js`` reads.
    """
    value = {
        "versions": [version.name for version in facts.versions],
        "changes": CHANGES,
        "documents": [_document(one) for one in documents],
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def write(page: str, path: Path) -> None:
    """Write the file atomically. Raises ``UsageError`` if it cannot be written."""
    try:
        with whole_file(path) as partial:
            partial.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None


def _asset(templates: Environment, name: str) -> str:
    assert templates.loader is not None
    return templates.loader.get_source(templates, name)[0]


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _document(document: ReportDocument) -> dict[str, Any]:
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


def _headline(facts: Facts) -> list[tuple[str, str, str]]:
    """Label, value and what it was in the older version (or nothing)."""
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


def _count_row(facts: Facts, name: str, label: str) -> tuple[str, list[str], str]:
    counts = [version.counts[name] for version in facts.versions]
    return label, [f"{count:,}" for count in counts], _signed(counts[-1] - counts[0])


def _drops(facts: Facts) -> list[tuple[str, str, list[str], str]]:
    """Stage, reason, documents in each version and their difference."""
    found = [{(drop.stage, drop.reason): drop.documents for drop in version.drops} for version in facts.versions]
    keys = dict.fromkeys(key for each in reversed(found) for key in each)
    rows = []
    for stage, reason in keys:
        counts = [each.get((stage, reason), 0) for each in found]
        rows.append((stage, reason, [f"{count:,}" for count in counts], _signed(counts[-1] - counts[0])))
    return rows


def _signed(difference: int) -> str:
    return f"{difference:+,}".replace("-", "\N{MINUS SIGN}") if difference else "0"
