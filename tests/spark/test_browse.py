"""``browse`` over a store: what its pages say is what the tables say, a page at a time and within a limit of time.

Slow: every page asks the store several times.
"""

import _thread
import io
import json
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from claims import PAGE, PROSE, run, versions

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

from prox_spark.browsing import asked
from prox_spark.browsing.deadlines import limited
from prox_spark.browsing.paging import Page
from prox_spark.browsing.queries import ask, find_documents, find_lines
from prox_spark.browsing.server import Request
from prox_spark.browsing.site import Site
from prox_spark.cli import main
from prox_spark.config import load_config
from prox_spark.errors import DeadlineError
from prox_spark.refinement.execute import execute
from prox_spark.tables.store import open_store
from prox_spark.versions.names import Version, open_version
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

SCORES = [0.1, *[0.9] * 11, 0.4, 0.3, 0.05]
HOSTILE = f"</script><script>window.hacked = 1</script>\n{PROSE}\n{PROSE} Once more."
MANY = 70


@pytest.fixture(scope="module")
def store(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """``loose:0`` over one unit; then ``loose:1`` and ``strict:0``, with higher thresholds, over two."""
    folder = tmp_path_factory.mktemp("browse")
    location = str(folder / "store")

    def configured(name: str, line: float, document: float) -> Any:
        keys = [
            *(f"store={location}", f"refinement={name}", f"input.path={folder}/*.json"),
            *("input.format=json", "input.columns.source=source", "input.columns.url=url"),
            *("document.engine.kind=scripted", 'document.engine.answers={"Is it?": 0.1, "tides": 0.8}'),
            *(
                "chunk.engine.kind=scripted",
                "chunk.min_keep_score=0.05",
                f"chunk.engine.answers={json.dumps({'Home | About': SCORES})}",
            ),
            *(f"execution.drop_line_below={line}", f"execution.drop_document_below={document}"),
        ]
        return load_config(None, keys)

    def write(name: str, rows: list[dict[str, str]]) -> None:
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    pages = [
        {"id": f"p{n:03}", "text": f"{PAGE} {n}", "source": "web", "url": f"https://a{n % 2}.example.org/{n}"}
        for n in range(MANY)
    ]
    write("1.json", pages)
    run(spark, configured("loose", 0.2, 0.05))
    others = [
        {"id": "doubtful", "text": f"{PROSE} Is it?\n{PROSE}", "source": "forum", "url": "https://example.com/q"},
        {"id": "hostile", "text": HOSTILE, "source": "<b>bold</b>", "url": "javascript:alert(1)"},
    ]
    write("2.json", others)
    run(spark, configured("loose", 0.2, 0.05))
    execute(spark, configured("strict", 0.5, 0.5))
    return location


@pytest.fixture
def opened(spark: Any, store: str) -> Callable[[str], Version]:
    return lambda name: open_version(open_store(spark, store), name)


@pytest.fixture(scope="module")
def site(spark: Any, store: str) -> Site:
    return Site(spark, store, seconds=300)


def get(site: Site, path: str, **given: str) -> tuple[int, str]:
    answer = site(Request(path, given, False, lambda: False))
    return answer.status, answer.location or answer.body.decode()


def all_rows(find: Callable[[Any], Page], first: Any) -> list[Any]:
    """The rows of all pages."""
    found, page = [], find(first)
    found += page.rows
    while page.next is not None:
        page = find(replace(first, after=page.next))
        found += page.rows
    return found


def test_pages_of_documents_are_all_documents_of_the_version_in_order(opened: Any) -> None:
    for name, many in (("loose:0", MANY), ("loose:1", MANY + 2), ("strict", MANY + 2)):
        rows = all_rows(lambda wanted, name=name: find_documents([opened(name)], wanted, 30), asked.Documents())
        places = [(row["unit"], row["doc_id"]) for row in rows]
        assert places == sorted(set(places))
        assert len(places) == many


def test_documents_are_found_by_what_became_of_them_and_what_they_are(opened: Any) -> None:
    def ids(**wanted: Any) -> set[str]:
        return {row["doc_id"] for row in find_documents([opened("strict")], asked.Documents(**wanted), 100).rows}

    assert ids(outcome="dropped") == ids(reason="keep_score") == ids(source="forum") == {"doubtful"}
    assert ids(outcome="untouched") == {"hostile"}
    assert len(ids(outcome="edited")) == MANY
    assert len(ids(outcome="kept")) == MANY + 1
    assert len(ids(domain="example.org")) == MANY
    assert len(ids(domain="a1.example.org")) == MANY / 2
    assert ids(domain="ample.org") == ids(text="no page says this") == set()
    assert ids(text="</SCRIPT>") == ids(source="<b>bold</b>") == ids(id="hostile") == {"hostile"}
    assert ids(text="' OR 1=1 --") == set()


def test_the_numbers_of_a_document_are_its_row(spark: Any, store: str, opened: Any) -> None:
    (row,) = find_documents([opened("strict")], asked.Documents(id="p001"), 10).rows
    (kept,) = query(spark, store, "SELECT * FROM `refined@strict` WHERE doc_id = 'p001'").collect()
    assert (row["n_lines_removed"], row["kept"]) == (kept["n_lines_removed"], kept["n_characters"])
    assert row["characters"] == kept["n_characters"] + kept["n_characters_removed"] == len(f"{PAGE} 1")


def test_two_versions_differ_as_compare_says(spark: Any, store: str, opened: Any) -> None:
    from prox_spark import compare

    readings = [opened("loose"), opened("strict")]
    rows = all_rows(lambda wanted: find_documents(readings, wanted, 50), asked.Documents())
    said = {row["doc_id"]: row["change"] for row in compare(spark, store, "loose", "strict").documents.collect()}
    assert {row["doc_id"]: row["outcome"] for row in rows} == said
    (dropped,) = find_documents(readings, asked.Documents(outcome="newly_dropped"), 50).rows
    assert (dropped["doc_id"], dropped["reason"]) == ("doubtful", "keep_score")
    older = [opened("loose:0"), opened("loose:1")]
    added = find_documents(older, asked.Documents(outcome="added"), 50).rows
    assert {row["doc_id"] for row in added} == {"doubtful", "hostile"}


def test_pages_of_lines_are_the_log(spark: Any, store: str, opened: Any) -> None:
    rows = all_rows(lambda wanted: find_lines([opened("strict")], wanted, 99), asked.Lines())
    log = query(spark, store, "SELECT unit, doc_id, line_number, text FROM `dropped_lines@strict` ORDER BY 1, 2, 3")
    names = ("unit", "doc_id", "line_number", "text")
    assert [tuple(row[name] for name in names) for row in rows] == [tuple(row) for row in log.collect()]
    assert len(rows) == MANY * 4


def test_lines_are_found_by_score_text_and_source(opened: Any) -> None:
    def many(**wanted: Any) -> int:
        return len(find_lines([opened("strict")], asked.Lines(**wanted), 1000).rows)

    assert many(kind="removed", operation="remove_lines") == MANY * 4
    assert many(kind="rewritten") == many(operation="normalize") == 0
    assert many(most=0.2) == MANY * 2
    assert many(least=0.2, most=0.35) == MANY
    assert many(text="PRIVACY") == many(text="privacy", source="web") == MANY
    assert many(domain="a0.example.org") == MANY / 2 * 4
    assert many(source="forum") == 0


def test_lines_of_two_versions_are_those_that_the_first_leaves(opened: Any) -> None:
    rows = find_lines([opened("loose"), opened("strict")], asked.Lines(), 1000).rows
    assert {row["line_number"] for row in rows} == {12, 13}
    assert len(rows) == MANY * 2


def test_an_answer_has_a_bounded_number_of_rows_and_characters(spark: Any, store: str) -> None:
    answer = ask(
        spark, store, "SELECT doc_id AS a, repeat('x', 1000000) AS a, 1.5 AS n, array(1) AS l FROM documents", 5
    )
    assert answer.columns == ("a", "a", "n", "l")
    assert (len(answer.rows), answer.more) == (5, True)
    assert len(answer.rows[0][1]) == 2001
    assert (float(answer.rows[0][2]), answer.rows[0][3]) == (1.5, "[1]")


def test_a_query_that_takes_too_long_is_stopped(spark: Any) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineError, match="stopped after 1 s"), limited(spark, 1, lambda: False):
        spark.range(10**13).selectExpr("sum(id % 7)").collect()
    assert time.monotonic() - began < 120
    assert spark.range(3).count() == 3
    assert not spark.sparkContext.getJobTags()


def test_a_query_that_nobody_waits_for_is_stopped_in_all_its_threads(spark: Any) -> None:
    from prox_spark.spark_api import tagged_pool

    gone = threading.Event()

    def work(_: int) -> Any:
        gone.set()
        return spark.range(10**13).selectExpr("sum(id % 7)").collect()

    with pytest.raises(ConnectionAbortedError), limited(spark, 600, gone.is_set), tagged_pool(spark, 2) as pool:
        list(pool.map(work, range(2)))


def test_every_page_is_answered_and_nothing_is_written(site: Site, store: str) -> None:
    before = versions(Path(store))
    both = {"version": "strict", "from": "loose"}
    for path, given, says in [
        ("", {}, "loose:1"),
        ("version", {}, "strict:0"),
        ("version", both, "execution.drop_line_below"),
        ("version", both | {"detailed": "1"}, "Kept share by source"),
        ("documents", {}, "p049"),
        ("documents", both | {"outcome": "newly_dropped"}, "doubtful"),
        ("documents", {"version": "loose:0", "text": "nothing"}, "No document found, to the end of the store."),
        ("lines", both, "Privacy policy"),
        ("document", both | {"unit": "0", "id": "p001"}, "P(keep) 0.40"),
        ("sql", {}, "most-dropped-lines"),
        ("sql", both | {"question": "dropped-by-one-only"}, "`dropped_lines@loose:1`"),
    ]:
        status, text = get(site, path, **given)
        assert status == 200, text
        assert says in text, path
    assert versions(Path(store)) == before


def test_a_hostile_document_is_data(site: Site, spark: Any, store: str) -> None:
    (unit,) = query(spark, store, "SELECT unit FROM documents WHERE doc_id = 'hostile'").first()
    for path, given in (("documents", {"text": "hacked"}), ("document", {"unit": str(unit), "id": "hostile"})):
        status, text = get(site, path, **given)
        assert status == 200
        assert "window.hacked = 1</script>" not in text
        assert "<b>bold" not in text


def test_the_next_document_of_a_list_is_one_redirect_away(site: Site) -> None:
    status, location = get(site, "documents", version="strict:0", outcome="edited", after="0.-1.p003", one="1")
    assert (status, location) == (303, "document?version=strict%3A0&outcome=edited&unit=0&id=p004")
    status, text = get(site, "documents", version="strict:0", outcome="edited", after="9", one="1")
    assert (status, "No document found" in text) == (200, True)


def send(site: Site, select: str) -> tuple[int, str]:
    answer = site(Request("sql", {"select": select}, True, lambda: False))
    return answer.status, answer.body.decode()


def test_a_query_is_answered_by_a_table_and_a_picture(site: Site) -> None:
    status, text = send(site, "SELECT source, count(*) AS n FROM documents\r\nGROUP BY ALL ORDER BY n DESC")
    assert status == 200
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "n by source" in text
    assert "<svg" in text


@pytest.mark.parametrize("select", ["DROP TABLE refined", "SELECT 1; SELECT 2", "SELEC", "SELECT * FROM nothing", ""])
def test_what_is_no_query_is_told_beside_it(site: Site, select: str) -> None:
    status, text = send(site, select)
    assert status == 400
    assert 'class="problem"' in text
    assert select in text


@pytest.mark.parametrize(
    ("path", "given", "status"),
    [
        ("nothing", {}, 404),
        ("documents", {"version": "lose"}, 400),
        ("documents", {"after": "x"}, 400),
        ("document", {"id": "p001", "unit": "x"}, 400),
        ("document", {"id": "absent", "unit": "0"}, 400),
        ("sql", {"question": "nothing"}, 400),
    ],
)
def test_what_does_not_exist_is_a_page_that_says_so(site: Site, path: str, given: dict[str, str], status: int) -> None:
    found, text = get(site, path, **given)
    assert found == status
    assert 'class="problem"' in text


def test_a_store_without_a_refinement_says_how_to_make_one(spark: Any, empty_store: Path) -> None:
    site = Site(spark, str(empty_store), seconds=300)
    assert "prox-spark refine" in get(site, "")[1]
    assert get(site, "documents")[0] == 400


def test_a_page_that_took_too_long_says_so(spark: Any, store: str) -> None:
    select = "SELECT sum(a.id % 7) FROM range(10000000) a CROSS JOIN range(10000000) b"
    status, text = send(Site(spark, store, seconds=1), select)
    assert status == 504
    assert select in text


def test_the_verb_prints_its_address_and_serves_until_ctrl_c(spark: Any, store: str) -> None:
    printed, answers = io.StringIO(), []

    def visit() -> None:
        try:
            while not printed.getvalue().endswith("\n"):
                threading.Event().wait(0.05)
            url = json.loads(printed.getvalue())["url"]
            with urlopen(url) as answer:
                answers.append(answer.read().decode())
        finally:
            _thread.interrupt_main()

    visitor = threading.Thread(target=visit)
    visitor.start()
    with redirect_stdout(printed):
        code = main(["browse", "--store", store, "--output", "json"])
    visitor.join()
    assert code == 130
    assert "strict:0" in answers[0]
