"""Pages as HTML, made from values. Control characters in texts are made visible, and all texts are escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment
from markupsafe import Markup

from prox_spark.browsing.asked import DROP_REASONS, FATES, LINES, OPERATION_NAMES
from prox_spark.browsing.charts import charts
from prox_spark.browsing.paging import Page
from prox_spark.browsing.queries import Answer
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
from prox_spark.reporting.figures import Facts
from prox_spark.reporting.lines import compared, cut
from prox_spark.reporting.pictures import pictures
from prox_spark.reporting.text import clean, shortened
from prox_spark.tables.times import utc
from prox_spark.versions import changes

FILES = {
    "style.css": ("text/css; charset=utf-8", ("base.css", "browse.css")),
    "script.js": ("text/javascript; charset=utf-8", ("document.js", "browse.js")),
    "icon.svg": ("image/svg+xml", ("icon.svg",)),
}
"""The resources that pages load from the site itself: their type, and the files that they are made of."""

_TEXT = 2_000
_CELL = 400

OUTCOMES = {"kept": "Kept", **CHANGES}
KINDS = {"removed": "Removed", "rewritten": "Rewritten"}


@dataclass(frozen=True)
class Shown:
    """Shown on every page: the store, the names of its versions (newest first), the shown version and the one before it."""

    store: str
    names: tuple[str, ...] = ()
    version: str = ""
    before: str = ""

    @property
    def both(self) -> dict[str, str]:
        """The versions as parameters of a URL."""
        return {name: value for name, value in (("version", self.version), ("from", self.before)) if value}


def file(name: str) -> tuple[str, bytes]:
    """Type and contents of one of ``FILES``."""
    kind, parts = FILES[name]
    return kind, asset(_templates(), *parts).encode()


def versions(shown: Shown, rows: Sequence[Mapping[str, Any]]) -> str:
    """The list of versions: rows of ``refinements``, newest first."""
    listed = []
    for row in rows:
        counts = row["counts"]
        kept = f"{counts['characters_kept'] / counts['characters']:.1%}" if counts["characters"] else "\N{EN DASH}"
        when = f"{utc(row['created_at']):%Y-%m-%d %H:%M}"
        listed.append((f"{row['refinement']}:{row['version']}", row["verb"], when, counts, kept))
    return _render("versions.html", shown, rows=listed)


def version(shown: Shown, facts: Facts, *, detailed: bool) -> str:
    """The numbers of a version, or of two side by side; ``detailed`` adds numbers that have to be read from the tables."""
    return _render(
        "version.html",
        shown,
        facts=facts,
        last=facts.versions[-1],
        headline=headline(facts),
        counts=count_rows(facts),
        drops=drop_rows(facts),
        detailed=detailed,
        pictures=pictures(facts) if detailed else (),
    )


def documents(shown: Shown, given: Mapping[str, str], page: Page, last_unit: int) -> str:
    """A page of documents under the filters of ``given``."""
    outcomes = changes.CHANGES if shown.before else FATES
    return _render(
        "documents.html",
        shown,
        given=_Given(given),
        filters={name: value for name, value in given.items() if name != "after"},
        outcomes=[(name, OUTCOMES[name]) for name in outcomes],
        reasons=[(name, name) for name in DROP_REASONS],
        page=page,
        said=_read(page, last_unit, "document"),
    )


def document(shown: Shown, given: Mapping[str, str], one: ReportDocument) -> str:
    """A document with the results of one or two versions."""
    names = [name for name in (shown.before, shown.version) if name]
    return _render(
        "document.html",
        shown,
        one=one,
        given=_Given(given),
        scored=any(outcome.scores for outcome in one.outcomes),
        data=Markup(data_block({"versions": names, "document": document_data(one)})),
    )


def lines(shown: Shown, given: Mapping[str, str], page: Page, last_unit: int) -> str:
    """A page of removed and changed lines under the filters of ``given``."""
    rows = []
    for row in page.rows:
        text, after = row["text"], row["replacement"]
        pieces = (("removed", text),) if after is None else compared(text[:_TEXT], after[:_TEXT])
        rows.append((row, cut(pieces, _TEXT), len(text) > _TEXT))
    return _render(
        "lines.html",
        shown,
        given=_Given(given),
        filters={name: value for name, value in given.items() if name != "after"},
        kinds=[(name, KINDS[name]) for name in LINES],
        operations=[(name, name) for name in OPERATION_NAMES],
        page=page,
        rows=rows,
        said=_read(page, last_unit, "line"),
    )


def sql(
    shown: Shown, questions: Sequence[tuple[str, str]], text: str, answer: Answer | None = None, problem: str = ""
) -> str:
    """The form for a query, with its result or its error."""
    numbers: tuple[bool, ...] = ()
    if answer is not None:
        columns = range(len(answer.columns))
        numbers = tuple(all(not isinstance(row[place], str) for row in answer.rows) for place in columns)
    return _render(
        "sql.html",
        shown,
        questions=questions,
        text=text,
        answer=answer,
        numbers=numbers,
        problem=problem,
        pictures=charts(answer) if answer is not None else (),
    )


def failure(shown: Shown, title: str, message: str) -> str:
    """The page of an error."""
    return _render("failure.html", shown, title=title, message=message)


def address(page: str, *parts: Mapping[str, Any]) -> str:
    """A link within the site; later parameters replace earlier ones, empty ones are omitted.

    >>> address("documents", {"version": "a:0", "after": "3"}, {"after": "", "text": "x&y"})
    'documents?version=a%3A0&text=x%26y'
    """
    merged = {name: value for part in parts for name, value in part.items()}
    query = urlencode({name: value for name, value in merged.items() if value not in ("", None)})
    return f"{page}?{query}" if query else page


def _read(page: Page, last_unit: int, noun: str) -> str:
    """How many rows are shown, and which units were read."""
    many = len(page.rows)
    found = f"{many:,} {noun}{'' if many == 1 else 's'}" if many else f"No {noun} found"
    if page.next is None:
        return f"{found}, to the end of the store."
    if page.next.doc_id is not None:
        return f"{found} on this page."
    return f"{found} so far: units {page.first:,} to {page.end - 1:,} of {last_unit:,} were read."


class _Given(dict[str, str]):
    """Parameters; missing ones are empty."""

    def __missing__(self, _: str) -> str:
        return ""


def _render(name: str, shown: Shown, **values: Any) -> str:
    return _templates().get_template(name).render(shown=shown, **values)


def _said(value: Any) -> str:
    """A value of a result as shown in a cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return shortened(value, _CELL) if isinstance(value, str) else f"{value:,.6g}"


@cache
def _templates() -> Environment:
    made = environment("prox_spark.browsing", finalize=lambda value: clean(value) if type(value) is str else value)
    made.globals |= {"address": address, "names_of_changes": OUTCOMES}
    made.filters["said"] = _said
    return made
