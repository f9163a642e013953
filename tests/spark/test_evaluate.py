"""``evaluate`` measures what a refinement does to labelled files: by hand for a scripted refiner, twice without a model.

Slow where five refinements are made.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from prox_spark.cli import main

PAGES = [
    {"doc_id": "a", "raw_content": "Home\nThe sea is wide here.\nLog in", "gold_keep": [0, 1, 0], "source": "x"},
    {"doc_id": "b", "raw_content": "A stone house.\nShare", "gold_keep": [1, 0], "source": "y"},
    {"doc_id": "c", "raw_content": "This page breaks.\nIt is kept.", "gold_keep": [1, 1], "source": "y"},
]
DOCUMENTS = [
    {"doc_id": str(number), "text": text, "gold_keep_doc": keep}
    for number, (text, keep) in enumerate([("good text", 1), ("fair text", 1), ("bad text", 0), ("worse text", 0)])
]


def write(path: Path, records: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


@pytest.fixture
def config(tmp_path: Path) -> list[str]:
    calls = tmp_path / "calls"
    pages = {"kind": "scripted", "answers": {"Home": [0.1, 0.9, 0.4], "stone": [0.8, 0.2]}, "error_on": "breaks"}
    documents = {"kind": "scripted", "answers": {"good": 0.9, "fair": 0.3, "bad": 0.4, "worse": 0.1}}
    return [
        f"store={tmp_path / 'store'}",
        f"evaluate.output={tmp_path / 'evaluation'}",
        f"evaluate.pages=[{write(tmp_path / 'pages.jsonl', PAGES)}]",
        f"evaluate.documents=[{write(tmp_path / 'documents.jsonl', DOCUMENTS)}]",
        "evaluate.thresholds=[0.15, 0.35, 0.5]",
        f"chunk.engine={json.dumps({**pages, 'calls_file': str(calls)})}",
        f"document.engine={json.dumps({**documents, 'calls_file': str(calls)})}",
        "execution.drop_line_below=0.5",
        "execution.max_removed_share=1.0",
        "execution.min_words=0",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
def test_what_is_measured_is_what_the_refinement_did(
    config: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--output", "json", *config]) == 0

    found = json.loads(capsys.readouterr().out)
    (pages,) = found["pages"].values()
    assert (pages["pages"], pages["lines"]) == (3, 7)
    assert pages["keep"]["lines"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert pages["semantics"] == 3
    assert pages["chunks"] == {"total": 3, "by_status": {"failed": 1, "ok": 2}, "failed_share": pytest.approx(1 / 3)}
    assert [row["kept"] for row in pages["sweep"]] == [pytest.approx(n / 18) for n in (17, 16, 14)]
    assert set(pages["groups"]["source"]) == {"x", "y"}
    (documents,) = found["documents"].values()
    assert documents["scores"]["auc"] == 0.75
    assert documents["keep"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())["pages"] == found["pages"]
    assert (tmp_path / "evaluation" / "thresholds.svg").read_text().startswith("<?xml")

    asked = (tmp_path / "calls").read_text()
    assert main(["evaluate", *config]) == 0
    assert (tmp_path / "calls").read_text() == asked
    shown = capsys.readouterr().out
    assert "Lines of pages" in shown
    assert "version 3" in shown

    other = json.dumps(
        {"kind": "scripted", "answers": {"Home": [0.9, 0.9, 0.9], "stone": [0.1, 0.1], "page": [0.9, 0.1]}}
    )
    kept = [one for one in config if not one.startswith(("chunk.", "document.", "evaluate.documents"))]
    assert main(["evaluate", "--output", "json", *kept, f"chunk.engine={other}"]) == 0
    (again,) = json.loads(capsys.readouterr().out)["pages"].values()
    assert again["chunks"]["total"] == 3
    assert again["keep"]["lines"]["f1"] < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("chunk=null", "chunk is null"),
        ("evaluate=null", "evaluate is not set"),
        ("evaluate.pages=[gone.jsonl]", "gone.jsonl"),
    ],
)
@pytest.mark.usefixtures("spark")
def test_what_cannot_be_measured_is_told(
    config: list[str], change: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [one for one in config if not one.startswith(change.split("=")[0])]
    assert main(["evaluate", *kept, change]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
def test_pages_that_are_quarantined_keep_nothing(
    config: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [*config, "evaluate.documents=[]", "execution.on_failed_chunk=quarantine"]
    assert main(["evaluate", "--output", "json", *told]) == 0
    (pages,) = json.loads(capsys.readouterr().out)["pages"].values()
    assert (pages["keep"]["lines"]["precision"], pages["keep"]["lines"]["recall"]) == (1.0, 0.5)
