"""The site: a request for a page is answered from the store."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from prox_spark.browsing import asked, pages
from prox_spark.browsing.deadlines import limited
from prox_spark.browsing.pages import Shown
from prox_spark.browsing.paging import SIZE
from prox_spark.browsing.queries import ask, find_documents, find_lines
from prox_spark.browsing.server import Request, Response
from prox_spark.errors import DeadlineError, ProxSparkError, StoreError, UsageError, first_line, store_damage
from prox_spark.reporting.documents import ALONE
from prox_spark.reporting.facts import counted_facts, read_facts
from prox_spark.reporting.figures import Facts
from prox_spark.reporting.sample import read_documents
from prox_spark.tables.refinements import ORDER
from prox_spark.tables.store import Store, open_store
from prox_spark.versions.names import Version, open_version
from prox_spark.versions.questions import QUESTIONS, letters_of, question

_log = logging.getLogger(__name__)

_AT_ONCE = 4
"""Maximum requests that read at the same time; others wait."""

_SAYS_VERSIONS = ("refinements", "pins", "receipts")
"""The tables that list the versions and their locations."""


@dataclass
class _Known:
    """The versions as read; valid until the tables of ``key`` change."""

    key: tuple[int, ...] = ()
    rows: list[Row] = field(default_factory=list)
    versions: dict[str, Version] = field(default_factory=dict)
    facts: dict[tuple[str, ...], Facts] = field(default_factory=dict)


class Site:
    """Pages about one store, read with one session; ``seconds`` is the limit of a request."""

    def __init__(self, spark: SparkSession, location: str, seconds: float) -> None:
        self._spark, self._seconds = spark, seconds
        self._store: Store = open_store(spark, location)
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._lock = threading.Lock()
        self._known = _Known()
        self._pages: dict[str, Callable[[Request, Shown], str | Response]] = {
            "": self._versions,
            "version": self._version,
            "documents": self._documents,
            "document": self._document,
            "lines": self._lines,
            "sql": self._sql,
        }

    def __call__(self, request: Request) -> Response:
        """The answer to a request. Errors are pages, too."""
        if request.path in pages.FILES and not request.sent:
            kind, body = pages.file(request.path)
            return Response(200, body, kind)
        shown = Shown(self._store.location)
        if request.path not in self._pages:
            return _page(404, pages.failure(shown, "Not found", "There is no such page."))
        if request.sent and request.path != "sql":
            return _page(405, pages.failure(shown, "Not allowed", "Only queries are sent by POST."))
        try:
            with self._turns, limited(self._spark, self._seconds, request.gone):
                shown = self._shown(request.given)
                found = self._pages[request.path](request, shown)
        except ConnectionAbortedError:
            raise
        # A JVM that is gone refuses connections.
        except (ProxSparkError, PySparkException, Py4JError, ConnectionError) as error:
            return self._failed(request, shown, error)
        return found if isinstance(found, Response) else _page(200, found)

    def _failed(self, request: Request, shown: Shown, error: Exception) -> Response:
        known = error if isinstance(error, ProxSparkError) else store_damage(error, self._store.location)
        if known is None:
            known = ProxSparkError(f"{type(error).__name__}: {first_line(error)}")
            _log.warning("browse: %s", known)
        status, title = next(said for kind, said in _TITLES.items() if isinstance(known, kind))
        if request.sent:
            return _page(status, pages.sql(shown, _questions(), _query(request), problem=f"{title}: {known}"))
        return _page(status, pages.failure(shown, title, str(known)))

    def _current(self) -> _Known:
        """The versions as they are now: their rows are read again only when one was added, pinned or forgotten."""
        key = tuple(self._store.version(table) for table in _SAYS_VERSIONS)
        with self._lock:
            if key != self._known.key:
                rows = self._store.read("refinements").orderBy(*map(F.desc, ORDER)).collect()
                self._known = _Known(key, rows)
            return self._known

    def _open(self, name: str) -> Version:
        known = self._current()
        if name not in known.versions:
            known.versions[name] = open_version(self._store, name)
        return known.versions[name]

    def _shown(self, given: Mapping[str, str]) -> Shown:
        """The versions of the request: the newest if none is named, none if the store has none."""
        names = tuple(f"{row['refinement']}:{row['version']}" for row in self._current().rows)
        shown = Shown(self._store.location, names, names[0] if names else "")
        version, before = given.get("version", ""), given.get("from", "")
        if version:
            shown = Shown(shown.store, names, self._open(version).name)
        if before and (opened := self._open(before).name) != shown.version:
            shown = Shown(shown.store, names, shown.version, opened)
        return shown

    def _readings(self, shown: Shown) -> tuple[Version, ...]:
        if not shown.version:
            raise UsageError("there is no refinement yet; `prox-spark refine` creates one")
        return tuple(self._open(name) for name in (shown.before, shown.version) if name)

    def _versions(self, _: Request, shown: Shown) -> str:
        return pages.versions(shown, self._current().rows)

    def _version(self, request: Request, shown: Shown) -> str:
        readings = self._readings(shown)
        detailed = bool(request.given.get("detailed"))
        if not detailed:
            return pages.version(shown, counted_facts(readings), detailed=False)
        known, names = self._current(), tuple(reading.name for reading in readings)
        if names not in known.facts:
            known.facts[names] = read_facts(readings)
        return pages.version(shown, known.facts[names], detailed=True)

    def _documents(self, request: Request, shown: Shown) -> str | Response:
        readings = self._readings(shown)
        wanted = asked.documents(request.given, len(readings))
        one = bool(request.given.get("one"))
        page = find_documents(readings, wanted, 1 if one else SIZE)
        if one and page.rows:
            # The link to the next document of the list.
            own = {"unit": page.rows[0]["unit"], "id": page.rows[0]["doc_id"], "one": "", "after": ""}
            return Response(303, b"", location=pages.address("document", _filters(request.given), own))
        return pages.documents(shown, request.given, page, _last_unit(readings))

    def _document(self, request: Request, shown: Shown) -> str:
        doc_id, unit = request.given.get("id", ""), request.given.get("unit", "")
        if not unit.isdecimal():
            raise UsageError(f"unit={unit!r} is not a number")
        found = read_documents(self._readings(shown), [(doc_id, int(unit))], ALONE)
        if not found:
            raise UsageError(f"there is no document {doc_id!r} in unit {unit} of {shown.version}")
        return pages.document(shown, request.given, found[0])

    def _lines(self, request: Request, shown: Shown) -> str:
        readings = self._readings(shown)
        page = find_lines(readings, asked.lines(request.given), SIZE)
        return pages.lines(shown, request.given, page, _last_unit(readings))

    def _sql(self, request: Request, shown: Shown) -> str:
        text, name = _query(request), request.given.get("question", "")
        if request.sent:
            return pages.sql(shown, _questions(), text, ask(self._spark, self._store.location, text))
        if name:
            versions = (shown.before or shown.version, shown.version)
            text = question(name, dict(zip(letters_of(name), versions, strict=False)))
        return pages.sql(shown, _questions(), text)


def _query(request: Request) -> str:
    """The submitted query; forms end lines with CR LF."""
    return request.given.get("select", "").replace("\r\n", "\n")


def _questions() -> list[tuple[str, str]]:
    return [(name, QUESTIONS.about(name)) for name in QUESTIONS.names()]


_TITLES: dict[type[ProxSparkError], tuple[int, str]] = {
    UsageError: (400, "This does not fit"),
    DeadlineError: (504, "This took too long"),
    StoreError: (409, "The store"),
    ProxSparkError: (500, "Failed"),
}
"""Status and heading of an error's page; the first kind that fits."""


def _filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The filters of a list without its document's ``id`` and ``unit``."""
    return {name: value for name, value in given.items() if name not in ("id", "unit")}


def _last_unit(readings: tuple[Version, ...]) -> int:
    return max(int(reading.row["last_unit"]) for reading in readings)


def _page(status: int, text: str) -> Response:
    return Response(status, text.encode("utf-8"))
