"""One self-contained file: the page's policy only allows its own style sheet and script, identified by their hashes."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from prox_spark.atomic import whole_file
from prox_spark.errors import UsageError
from prox_spark.reporting.components import (
    CHANGES,
    asset,
    count_rows,
    data_block,
    document_data,
    drop_rows,
    environment,
    headline,
)
from prox_spark.reporting.documents import ReportDocument
from prox_spark.reporting.drawing import Picture
from prox_spark.reporting.figures import Facts


def render(facts: Facts, drawn: Sequence[Picture], documents: Sequence[ReportDocument], seed: int) -> str:
    """The page. The same values give the same page, byte for byte."""
    templates = environment()
    style, script = asset(templates, "base.css", "report.css"), asset(templates, "document.js", "report.js")
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
        headline=headline(facts),
        counts=count_rows(facts),
        drops=drop_rows(facts),
        pictures=drawn,
        n_documents=len(documents),
        scored=any(outcome.scores for one in documents for outcome in one.outcomes),
        seed=seed,
        data=Markup(data_block(page_data(facts, documents))),
    )


def page_data(facts: Facts, documents: Sequence[ReportDocument]) -> dict[str, object]:
    """The data that ``templates/report.js`` reads."""
    return {
        "versions": [version.name for version in facts.versions],
        "changes": CHANGES,
        "documents": [document_data(one) for one in documents],
    }


def write(page: str, path: Path) -> None:
    """Write the file atomically. Raises ``UsageError`` if it cannot be written."""
    try:
        with whole_file(path) as partial:
            partial.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
