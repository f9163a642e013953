"""Each question of the library gives the rows that a small store is made for.

Slow: three refinements, two of them with both stages, for a query each.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, PROSE, run

from prox_spark.config import load_config
from prox_spark.refinement.execute import execute
from prox_spark.versions.questions import QUESTIONS, question
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

MENU, LONG = "Home | Blog", f"{PROSE} {PROSE} {PROSE}"

Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def store(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """``strict``, ``keeps`` and at last ``loose`` of five pages.

    One is below all thresholds, one between them, one keeps its menu; ``keeps`` removes no line.
    """
    folder = tmp_path_factory.mktemp("questions")
    pages = {
        "a": f"{MENU}\nAlpha\n{PAGE}",
        "b": f"{MENU}\n{LONG}\n{PAGE}",
        "keeper": f"{MENU}\n{PAGE}",
        "near": f"Near\n{PAGE}",
        "spam": "Spam",
    }
    rows = [
        {"id": name, "text": text, "url": f"https://{name}.example/x", "source": "web"} for name, text in pages.items()
    ]
    (folder / "pages.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = {
        "Alpha": 'remove_lines(start=0, end=0)\nreplace_str(1, "Alpha", "Al")',
        PROSE + " " + PROSE: "remove_lines(start=0, end=1)",
        "Near": "remove_lines(start=1, end=1)",
    }
    keys = [
        f"store={folder / 'store'}",
        f"input.path={folder / 'pages.json'}",
        "input.format=json",
        "input.source=web",
        "document.engine.kind=scripted",
        'document.engine.answers={"Spam": 0.1, "Near": 0.55}',
        "chunk.engine.kind=scripted",
        f"chunk.engine.answers={json.dumps(answers)}",
        "chunk.min_keep_score=0.5",
    ]
    run(spark, load_config(None, [*keys, "refinement=strict", "execution.drop_document_below=0.6"]))
    keeps = ["chunk.engine.answers={}", "refinement=keeps", "execution.drop_document_below=0.6"]
    run(spark, load_config(None, [*keys, *keeps]))
    execute(spark, load_config(None, [*keys, "refinement=loose", "execution.drop_document_below=0.5"]))
    return str(folder / "store")


@pytest.fixture
def ask(spark: Any, store: str) -> Ask:
    def answer(name: str, **names: str) -> list[dict[str, Any]]:
        return [row.asDict() for row in query(spark, store, question(name, names)).collect()]

    return answer


def test_the_line_removed_from_most_documents_comes_first(ask: Ask) -> None:
    first, *others = ask("most-dropped-lines")
    assert first == {"text": MENU, "documents": 2, "lines": 2, "operations": ["remove_lines"]}
    assert {row["text"] for row in others} == {LONG, "Home | About | Contact"}


def test_sites_are_counted_by_operation(ask: Ask) -> None:
    found = {(row["site"], row["operation"]): row["lines"] for row in ask("dropped-by-site")}
    assert found == {
        ("a.example", "remove_lines"): 1,
        ("a.example", "replace_str"): 1,
        ("b.example", "remove_lines"): 2,
        ("near.example", "remove_lines"): 1,
    }


def test_lines_of_one_refinement_only(ask: Ask) -> None:
    assert ask("dropped-by-one-only", A="strict", B="loose") == []
    found = [(row["doc_id"], row["line_number"]) for row in ask("dropped-by-one-only", A="loose", B="keeps")]
    assert found == [("a", 0), ("b", 0), ("b", 1)], "a line of a document that only one keeps is none of one only"


def test_documents_near_the_threshold_and_their_side(ask: Ask) -> None:
    (row,) = ask("near-the-threshold")
    assert (row["doc_id"], row["keep_score"], row["threshold"], row["passes"]) == ("near", 0.55, 0.5, True)
    assert row["begins"].startswith("Near\n")


def test_removed_prose_is_suspicious(ask: Ask) -> None:
    (row,) = ask("suspicious-drops")
    assert (row["doc_id"], row["line_number"], row["text"]) == ("b", 1, LONG)


def test_a_menu_that_stays_is_suspicious(ask: Ask) -> None:
    (row,) = ask("suspicious-keeps")
    assert row == {"text": MENU, "kept_in": 1, "removed_from": 2, "example": "keeper"}


def test_edits_have_before_and_after(ask: Ask) -> None:
    (row,) = ask("edits")
    assert (row["doc_id"], row["before"], row["after"], row["characters"]) == ("a", "Alpha", "Al", 3)


def test_the_share_of_each_source(ask: Ask) -> None:
    (row,) = ask("share-by-source")
    assert (row["source"], row["documents"], row["kept_documents"]) == ("web", 5, 4)
    assert row["kept_share"] == round(row["kept_characters"] / row["characters"], 4)
    assert 0 < row["kept_share"] < 1


def test_why_documents_went(ask: Ask) -> None:
    (row,) = ask("dropped-documents")
    assert (row["stage"], row["reason"], row["documents"], row["lines"]) == ("document", "keep_score", 1, 1)
    assert (row["lowest_score"], row["characters"]) == (0.1, 4)


def test_the_threshold_at_which_others_have_the_same_size(ask: Ask) -> None:
    found = ask("equal-size")
    # Without its removed lines the strict one is smaller than any choice of whole documents.
    assert [(row["refinement"], row["drop_document_below"]) for row in found] == [("keeps", 1.0), ("strict", None)]
    assert found[0]["characters"] == found[0]["characters_kept"] > found[1]["characters_kept"]


def test_a_store_without_a_refiner_of_duplicates_has_no_groups(ask: Ask) -> None:
    # test_duplicates.py has a store with some.
    assert ask("duplicates") == []


def test_every_question_is_tested_says_what_it_answers_and_is_documented() -> None:
    own = Path(__file__).read_text()
    page = (Path(__file__).parents[2] / "docs" / "versions.md").read_text()
    assert len(QUESTIONS.names()) >= 9
    for name in QUESTIONS.names():
        assert f'ask("{name}"' in own
        assert QUESTIONS.read(name).startswith("-- ")
        assert f"`{name}`" in page
