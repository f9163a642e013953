"""``report``: what its page says of a store is what the tables say.

Slow: a store with two versions is made first, and each page asks all tables of both. The README's test runs it once.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, PROSE, run, versions

from prox_spark.cli import main
from prox_spark.config import load_config
from prox_spark.refinement.execute import execute
from prox_spark.reporting.documents import IN_REPORT
from prox_spark.reporting.facts import read_facts
from prox_spark.reporting.reading import readings
from prox_spark.tables.store import open_store
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

LINES = PAGE.count("\n") + 1
SCORES = [0.1, *[0.9] * 11, 0.4, 0.3, 0.05]
HOSTILE = f"</script><script>window.hacked = 1</script>\n{PROSE}\n{PROSE} Once more.\n{PROSE} \u202eAnd again."
TEXTS = {
    "scored": ("web", PAGE),
    "edited": (
        "web",
        f"Log in | Sign up\n{PROSE} Read more\n{PROSE} Read more.\nA last line of this page, which stays.",
    ),
    "doubtful": ("forum", f"{PROSE} Is it?\n{PROSE}"),
    "blank": ("forum", " \n\n"),
    "hostile": ("<b>bold</b>", HOSTILE),
    "long": (None, f"{'word ' * 2_000_000}\nThe end of a very long page."),
}
PROGRAM = 'remove_lines(start=0, end=0)\nnormalize(source_str=" Read more", target_str="")'
DOCUMENTS = {"Is it?": 0.1, "tides": 0.8}
CHUNKS = {"Home | About": SCORES, "Log in": PROGRAM}


@pytest.fixture(scope="module")
def store(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two refinements by the same refiners: ``strict:0`` has higher thresholds than ``loose:0``."""
    folder = tmp_path_factory.mktemp("report")
    rows = [{"id": name, "text": text, "source": source} for name, (source, text) in TEXTS.items()]
    (folder / "pages.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, line, document in (("loose", 0.2, 0.05), ("strict", 0.5, 0.5)):
        keys = [
            *(f"store={folder / 'store'}", f"refinement={name}", f"input.path={folder / 'pages.json'}"),
            *("input.format=json", "input.columns.source=source"),
            *("document.engine.kind=scripted", f"document.engine.answers={json.dumps(DOCUMENTS)}"),
            *("chunk.engine.kind=scripted", "chunk.min_keep_score=0.05"),
            f"chunk.engine.answers={json.dumps(CHUNKS)}",
            *(f"execution.drop_line_below={line}", f"execution.drop_document_below={document}"),
        ]
        config = load_config(None, keys)
        # The programs of the first are those of the second.
        run(spark, config) if name == "loose" else execute(spark, config)
    return str(folder / "store")


def data(page: Path) -> dict[str, Any]:
    """What the page's script reads."""
    text = page.read_text(encoding="utf-8")
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, flags=re.DOTALL)
    return json.loads(block)


@pytest.fixture(scope="module")
def page(spark: Any, store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on both versions, of all documents."""
    file = tmp_path_factory.mktemp("page") / "report.html"
    before = versions(Path(store))
    words = ["report", "--store", store, "--from", "loose", "--to", "strict", "--output-file", str(file)]
    assert main(words) == 0
    assert versions(Path(store)) == before, "a reading verb writes no table version"
    return file


def test_every_mark_of_the_page_is_a_row_of_the_log_and_every_row_has_its_mark(
    spark: Any, store: str, page: Path
) -> None:
    shown = data(page)
    assert shown["versions"] == ["loose:0", "strict:0"]
    for place, name in enumerate(("loose", "strict")):
        log = query(
            spark, store, f"SELECT doc_id, line_number, operation, replacement IS NULL FROM `dropped_lines@{name}`"
        )
        assert {tuple(row) for row in log.collect()} == {
            (one["id"], int(number), mark["operation"], mark["pieces"] is None)
            for one in shown["documents"]
            for number, mark in one["outcomes"][place]["marks"].items()
        }


def test_each_document_has_its_change_class_and_its_reason(page: Path) -> None:
    shown = {one["id"]: one for one in data(page)["documents"]}
    assert {name: one["change"] for name, one in shown.items()} == {
        "scored": "changed",
        "edited": "unchanged",
        "doubtful": "newly_dropped",
        "blank": "dropped_in_both",
        "hostile": "unchanged",
        "long": "unchanged",
    }
    assert shown["doubtful"]["outcomes"][0]["why"] == "Kept, nothing changed. Its keep_score is 0.10."
    assert shown["doubtful"]["outcomes"][1]["why"] == (
        "Dropped in the document stage: its keep_score 0.10 is below 0.5."
    )
    assert shown["blank"]["outcomes"][1]["why"] == "Dropped in the document stage: it is blank."


def test_the_call_and_its_score_stand_beside_each_line(page: Path) -> None:
    shown = {one["id"]: one for one in data(page)["documents"]}
    loose, strict = (outcome["marks"] for outcome in shown["scored"]["outcomes"])
    assert {number: mark["score"] for number, mark in loose.items()} == {
        "0": "P(keep) 0.10 < 0.2",
        "14": "P(keep) 0.05 < 0.2",
    }
    assert strict.keys() == {"0", "12", "13", "14"}
    assert shown["scored"]["outcomes"][1]["scores"] == pytest.approx(SCORES, abs=0.001)
    edits = shown["edited"]["outcomes"][1]["marks"]
    assert edits["0"]["call"] == "remove_lines(0, 0)"
    assert edits["1"]["call"] == 'normalize(" Read more", "")'
    assert edits["1"]["pieces"] == [["same", PROSE], ["removed", " Read more"]]
    assert shown["edited"]["operations"] == ["normalize", "remove_lines"]


def test_page_text_is_shown_and_a_long_line_is_cut_and_said_to_be(page: Path) -> None:
    shown = {one["id"]: one for one in data(page)["documents"]}
    assert shown["hostile"]["lines"] == HOSTILE.replace("\u202e", "[U+202E]").split("\n")
    assert shown["hostile"]["source"] == "<b>bold</b>"
    (line,) = shown["long"]["lines"]
    assert line[1] == "… the line continues"
    assert f"{IN_REPORT.characters:,} of {len(TEXTS['long'][1]):,} characters" in shown["long"]["hidden"]
    text = page.read_text(encoding="utf-8")
    assert "window.hacked = 1</script>" not in text
    assert len(text) < 300_000


def test_the_numbers_are_those_of_the_tables(spark: Any, store: str) -> None:
    facts = read_facts(readings(open_store(spark, store), "loose", "strict"))
    loose, strict = facts.versions
    for version in facts.versions:
        name = f"{version.refinement}:{version.version}"
        (row,) = query(
            spark,
            store,
            f"""SELECT (SELECT count(*) FROM `dropped_lines@{name}`) AS lines,
                       (SELECT count(*) FROM `dropped_documents@{name}`) AS dropped,
                       (SELECT sum(n_characters) FROM `refined@{name}`) AS kept""",
        ).collect()
        assert sum(operation.lines for operation in version.operations) == row["lines"]
        assert sum(drop.documents for drop in version.drops) == row["dropped"]
        assert sum(source.kept for source in version.sources) == row["kept"] == version.counts["characters_kept"]
        assert sum(source.characters for source in version.sources) == version.counts["characters"]
    assert {source.name: source.documents for source in strict.sources} == {
        "json": 1,
        "web": 2,
        "forum": 2,
        "<b>bold</b>": 1,
    }
    assert sum(strict.scores.lines) == LINES
    # A stored 0.9 is a little less, as it is where it is compared with a threshold.
    assert (strict.scores.lines[5], strict.scores.lines[10], strict.scores.lines[89]) == (1, 1, 11)
    assert {key for key, _, _ in facts.differences} == {"execution.drop_document_below", "execution.drop_line_below"}
    assert loose.scores == strict.scores


def test_a_sample_is_the_same_for_the_same_seed_and_nothing_else_is_in_the_file(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    files = [tmp_path / name for name in ("1.html", "2.html")]
    for file in files:
        words = ["--to", "loose:0", "--sample", "2", "--seed", "7", "--output-file", str(file), "--output", "json"]
        assert main(["report", "--store", store, *words]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["documents"] for one in said] == [2, 2]
    assert said[0]["versions"] == ["loose:0"]
    assert said[0]["bytes"] == files[0].stat().st_size
    assert files[0].read_bytes() == files[1].read_bytes()
    drawn = {one["id"] for one in data(files[0])["documents"]}
    text = files[0].read_text(encoding="utf-8")
    assert ("Log in | Sign up" in text) == ("edited" in drawn)
    assert ("Home | About" in text) == ("scored" in drawn)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--to", "strikt"], "unknown refinement 'strikt' (did you mean 'strict"),
        (["--from", "strict"], "--from and --to both name strict:0"),
        (["--output-file", "nowhere/report.html"], "the folder nowhere does not exist"),
    ],
)
def test_what_cannot_be_reported_is_one_line_and_leaves_no_file(
    store: str, tmp_path: Path, words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    file = tmp_path / "report.html"
    assert main(["report", "--store", store, "--output-file", str(file), *words]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
