"""Pages of ``browse`` without a store: rows as the queries give them, some of whose text attacks the page."""

import datetime
from collections.abc import Mapping
from typing import Any

import report_values as values
from pyspark.sql import Row

from prox_spark.browsing import pages
from prox_spark.browsing.pages import Shown
from prox_spark.browsing.paging import Page, Place
from prox_spark.browsing.queries import Answer
from prox_spark.browsing.server import Request, Response

HOSTILE = (
    " ".join([*values.HOSTILE, "{{ 7 * 7 }}", "' onfocus=window.hacked=9 autofocus='"])
    .encode(errors="replace")
    .decode()
)
"""Attacks as Spark can hand them over: it has no half characters."""

ONE = Shown("/data/stores/web", ("careful:0", "web-lines:0"), "careful:0")
TWO = Shown("/data/stores/web", ONE.names, "careful:0", "web-lines:0")


def versions() -> str:
    """The list of two versions."""
    when = datetime.datetime(2026, 11, 26, 1, 30)
    rows = [
        {"refinement": one.refinement, "version": 0, "verb": "execute", "created_at": when, "counts": one.counts}
        for one in reversed(values.two().versions)
    ]
    return pages.versions(ONE, rows)


def documents(text: str = "", given: Mapping[str, str] | None = None) -> str:
    """A page of documents; ``text`` is in their ids, sources and URLs."""
    outcomes = ("edited", "untouched", "dropped", "quarantined")
    rows = [
        Row(
            doc_id=f"page-{number:04}{text}",
            unit=number // 20,
            source=f"{('c4', 'dclm', 'fineweb')[number % 3]}{text}",
            url=f"https://www.example.org/{('c4', 'dclm')[number % 2]}/{number}.html{text}",
            outcome=outcomes[number % 7 % 4],
            reason="keep_score" if number % 7 % 4 == 2 else None,
            n_lines_removed=number * 7 % 23,
            n_lines_rewritten=number % 2,
            characters=7000 + number * 311,
            kept=6000 + number * 97,
        )
        for number in range(50)
    ]
    asked = given or {"text": text}
    return pages.documents(ONE, asked, Page(tuple(rows), Place(2, "page-0049"), 0, 3), 400)


def lines(text: str = "") -> str:
    """A page of lines; ``text`` is in each, before and after."""
    said = [
        "Home | About | Contact | Log in",
        "Share this: Facebook, Twitter",
        "© 2026 All rights reserved",
        "Read more",
    ]
    rows = [
        Row(
            doc_id=f"page-{number // 4:04}{text}",
            unit=0,
            line_number=number * 3,
            operation="normalize" if number % 5 == 4 else "remove_lines",
            stage="chunk",
            score=None if number % 3 == 0 else 0.02 * number,
            replacement=f"The tide came in.{text}" if number % 5 == 4 else None,
            text=f"The tide came in. Read more{text}" if number % 5 == 4 else said[number % 4] + text,
        )
        for number in range(40)
    ]
    return pages.lines(ONE, {"text": text}, Page(tuple(rows), Place(13), 0, 13), 400)


def document(hostile: bool = False) -> str:
    """A document in two versions."""
    one = values.hostile(2)[0] if hostile else values.pages(1, 3000)[0]
    return pages.document(TWO, {"unit": "0", "id": one.doc_id}, one)


def sql(text: str = "") -> str:
    """A query with its answer; ``text`` is in its query, its columns and its cells."""
    names = ("remove_lines", "normalize", "add_line", "remove_all")
    rows = tuple((f"{name}{text}", 90000 // (place + 1), 0.31 * place) for place, name in enumerate(names))
    answer = Answer((f"operation{text}", "lines", "share"), (*rows, (None, None, None)), False)
    query = f"SELECT operation, count(*) AS lines, 0.1 AS share\nFROM dropped_lines{text}\nGROUP BY operation"
    questions = [("most-dropped-lines", "Which removed lines occur in the most documents?")]
    return pages.sql(ONE, questions, query, answer)


def site(text: str = "") -> Any:
    """A site of these pages; ``text`` is in everything that comes from a store."""
    made = {
        "": lambda: versions(),
        "version": lambda: pages.version(TWO, values.two(), detailed=True),
        "documents": lambda: documents(text),
        "lines": lambda: lines(text),
        "document": lambda: document(bool(text)),
        "sql": lambda: sql(text),
        "failure": lambda: pages.failure(ONE, "This does not fit", f"{text} is not the place of a row"),
    }

    def answer(request: Request) -> Response:
        if request.path in pages.FILES:
            kind, body = pages.file(request.path)
            return Response(200, body, kind)
        return Response(200, made[request.path]().encode()) if request.path in made else Response(404, b"")

    return answer
