"""The notebooks run in a real kernel over a small store, show what its tables hold, and page text stays text.

Slow: two kernels start, each with a Spark session of its own, and ask thirty questions.
"""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from claims import PROSE, run
from submitting import ROOT, environment

from prox_spark.config import load_config
from prox_spark.refinement.execute import execute
from prox_spark.versions.compare import compare
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

HOSTILE = [
    "<script>alert(document.domain)</script>",
    "<img src=x onerror=alert(1)>",
    "</td></tr></table><iframe src='javascript:alert(1)'>",
    "$\\href{javascript:alert(1)}{x}$ \\(y\\)",
]
SOURCE = "<b onclick=alert(1)>web</b> $x$"
SCORES = [[0.1, 0.9, 0.9, 0.4, 0.9], [0.25, 0.9, 0.9, 0.1, 0.9], [0.45, 0.9, 0.9, 0.9, 0.9]]


@pytest.fixture(scope="module")
def store(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """``strict`` and ``gentle``, which differ in the threshold of lines alone, of pages whose menus are hostile."""
    folder = tmp_path_factory.mktemp("notebooks")
    pages = [
        {
            "id": f"<i>{n}</i>",
            "url": f"https://{n}.example/<u>",
            "text": "\n".join([HOSTILE[n % 4], PROSE, f"{PROSE} {n}.", f"Accept {n % 3}", PROSE + f" Kind {n % 3}"]),
        }
        for n in range(24)
    ]
    pages += [{"id": "spam", "url": "", "text": "Spam <script>alert(2)</script>"}]
    (folder / "pages.json").write_text("".join(json.dumps({"source": SOURCE, **page}) + "\n" for page in pages))
    answers = {f"Kind {kind}": scores for kind, scores in enumerate(SCORES)}
    keys = [
        f"store={folder / 'store'}",
        f"input.path={folder / 'pages.json'}",
        "input.format=json",
        'document.engine={"kind": "scripted", "answers": {"Spam": 0.1}}',
        f"chunk.engine={json.dumps({'kind': 'scripted', 'answers': answers})}",
        "execution.min_words=0",
    ]
    run(spark, load_config(None, [*keys, "refinement=strict", "execution.drop_line_below=0.5"]))
    execute(spark, load_config(None, [*keys, "refinement=gentle", "execution.drop_line_below=0.3"]))
    return str(folder / "store")


class Tags(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}


def executed(name: str, store: str, folder: Path) -> Any:
    """The notebook after a kernel of its own ran it, as it is; in a copy of its place, as Spark leaves a folder there."""
    nbformat, nbclient, traitlets = map(pytest.importorskip, ("nbformat", "nbclient", "traitlets.config"))
    book = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    (folder / "notebooks").mkdir()
    own = environment() | {
        "PROX_SPARK_STORE": store,
        "PROX_SPARK_FROM": "strict",
        "PROX_SPARK_TO": "gentle",
        "IPYTHONDIR": str(folder / "ipython"),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
    }
    # The kernel is reached through sockets in a folder, not through ports.
    sockets = traitlets.Config({"KernelManager": {"transport": "ipc", "ip": str(folder / "kernel")}})
    place = {"metadata": {"path": str(folder / "notebooks")}}
    client = nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources=place, config=sockets)
    client.execute(env=own)
    return book


def outputs(book: Any, kind: str) -> list[str]:
    """What the notebook shows of one MIME type, cell by cell."""
    shown = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.data[kind] for output in shown if "data" in output and kind in output.data]


def last(book: Any) -> Any:
    """The JSON that its last cell prints."""
    return json.loads("".join(output.text for output in book.cells[-1].outputs if output.name == "stdout"))


def check_inert(book: Any) -> None:
    """Tables are the only markup, and nothing in them is typeset; the hostile lines are to be read."""
    shown = outputs(book, "text/html")
    text = "".join(shown)
    found = Tags()
    found.feed(text)
    assert found.tags <= {"div", "style", "table", "thead", "tbody", "tr", "th", "td", "p"}
    assert found.attributes <= {"border", "class", "scoped", "style", "colspan", "rowspan", "valign", "halign"}
    assert all("tex2jax_ignore" in table for table in re.findall(r"<table[^>]*>", text))
    assert "&lt;script&gt;alert(document.domain)&lt;/script&gt;" in text
    assert "$\\href{javascript" in text
    kinds = {kind for cell in book.cells for output in cell.get("outputs", ()) for kind in output.get("data", ())}
    assert kinds <= {"text/plain", "text/html", "image/png"}


def test_the_comparison_shows_what_the_tables_hold(spark: Any, store: str, tmp_path: Path) -> None:
    book = executed("compare-refinements", store, tmp_path)

    assert len(outputs(book, "image/png")) == 2
    check_inert(book)
    found = last(book)
    assert found == json.loads(json.dumps(compare(spark, store, "strict", "gentle").summary(), default=str))
    logs = {name: _log(spark, store, name) for name in ("strict", "gentle")}
    assert found["lines"]["by_change"]["newly_kept"]["lines"] == len(logs["strict"] - logs["gentle"]) == 16
    assert logs["gentle"] < logs["strict"]
    assert found["documents"]["changed"] == len({doc_id for doc_id, _ in logs["strict"] - logs["gentle"]})
    assert list(found["configuration"]) == ["execution.drop_line_below", "refinement"]
    sweep = outputs(book, "text/html")[-1]
    removed = {0.02: 0, 0.2: 16, 0.35: 24, 0.5: 40}
    for threshold, lines in removed.items():
        assert re.search(rf"<th>{threshold:.2f}</th>\s*<td>24</td>\s*<td>{lines}</td>", sweep), (threshold, sweep)


def test_the_answers_about_dropped_lines_are_the_tables(spark: Any, store: str, tmp_path: Path) -> None:
    book = executed("ask-the-dropped-lines", store, tmp_path)

    assert len(outputs(book, "image/png")) == 1
    check_inert(book)
    found = last(book)
    log = query(spark, store, "SELECT * FROM `dropped_lines@strict`").collect()
    counts = {key: found[key] for key in ("documents", "refined", "dropped_documents", "dropped_lines")}
    assert counts == {"documents": 25, "refined": 24, "dropped_documents": 1, "dropped_lines": len(log)}
    by_score: dict[float, int] = {}
    for row in log:
        by_score[int(row["score"] * 50) / 50] = by_score.get(int(row["score"] * 50) / 50, 0) + 1
    assert {float(score): lines for score, lines in found["lines_by_score"].items()} == by_score
    assert "<td>Accept 0</td>" in "".join(outputs(book, "text/html"))


def _log(spark: Any, store: str, name: str) -> set[tuple[str, int]]:
    rows = query(spark, store, f"SELECT doc_id, line_number FROM `dropped_lines@{name}`").collect()
    return {(row["doc_id"], row["line_number"]) for row in rows}
