"""``compare``: agrees with what the tables of both versions say, document by document and line by line.

Slow: a store with four versions is made first, and each comparison asks all tables of both. The README's test runs it once.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, run, versions

from prox_spark.cli import main
from prox_spark.config import load_config
from prox_spark.refinement.execute import execute
from prox_spark.tables.store import open_store
from prox_spark.versions.compare import Comparison, compare
from prox_spark.versions.names import open_version

pytestmark = pytest.mark.slow

ENGINE = [
    "document.engine.kind=scripted",
    'document.engine.answers={"Cheap": 0.35, "Spam": 0.1, "Late": 0.9}',
    "document.engine.error_on=Poison",
    "chunk.engine.kind=scripted",
    "chunk.min_keep_score=0.3",
]


def page(number: int, *more: str) -> dict[str, str]:
    return {"id": f"d{number}", "text": "\n".join([f"Page {number}", *more, PAGE])}


@pytest.fixture(scope="module")
def store(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """``strict:0`` and ``loose:0`` of seven pages, ``loose:1`` of eight, ``other:0``: another program of the same."""
    folder = tmp_path_factory.mktemp("compare")
    pages = folder / "pages"
    pages.mkdir()
    location = str(folder / "store")
    texts = [page(0), page(1), page(2, "Cheap offers"), page(3, "Spam"), page(4, "Poison"), page(5, "Unsure"), page(6)]
    (pages / "1.json").write_text("".join(json.dumps(text) + "\n" for text in texts))
    program = json.dumps("remove_lines(start=0, end=0)\nremove_lines(start=13, end=14)")
    answers = json.dumps({"Unsure": 'remove_lines(start=0, end=1)\nnormalize(source_str=" quiet")'})
    keys = [f"store={location}", f"input.path={pages}", "input.format=json", *ENGINE]
    keys += [f"chunk.engine.answers={answers}", f"chunk.engine.default={program}"]
    strict = [*keys, "execution.drop_document_below=0.5"]
    loose = [*keys, "execution.drop_document_below=0.3"]
    run(spark, load_config(None, [*strict, "refinement=strict"]))
    execute(spark, load_config(None, [*loose, "refinement=loose"]))
    (pages / "2.json").write_text(json.dumps(page(7, "Late")) + "\n")
    run(spark, load_config(None, [*loose, "refinement=loose"]))
    other = "chunk.engine.default=remove_lines(start=0, end=1)"
    run(spark, load_config(None, [*loose, "refinement=other", other]))
    return location


def fates(spark: Any, store: str, name: str) -> dict[str, tuple[str, str | None]]:
    """Each document's fate and text, row by row."""
    version = open_version(open_store(spark, store), name)
    found = {row["doc_id"]: ("refined", row["text"]) for row in version.read("refined").collect()}
    found |= {row["doc_id"]: ("dropped", None) for row in version.read("dropped_documents").collect()}
    own = version.read("quarantine").where(f"refinement = '{version.row['refinement']}'").collect()
    return found | {row["doc_id"]: ("dropped", None) for row in own}


def logs(spark: Any, store: str, name: str) -> dict[tuple[str, int], Any]:
    rows = open_version(open_store(spark, store), name).read("dropped_lines").collect()
    return {(row["doc_id"], row["line_number"]): row for row in rows}


def changes(spark: Any, store: str, before: str, after: str) -> dict[str, str]:
    """What became of each document, computed from the rows of both versions in plain Python."""
    one, other = fates(spark, store, before), fates(spark, store, after)
    found = {}
    for doc in one.keys() | other.keys():
        if doc not in one or doc not in other:
            found[doc] = "added" if doc not in one else "removed"
            continue
        kept = (one[doc][0] == "refined", other[doc][0] == "refined")
        same = "unchanged" if one[doc] == other[doc] else "changed"
        found[doc] = {
            (True, True): same,
            (True, False): "newly_dropped",
            (False, True): "newly_kept",
            (False, False): "dropped_in_both",
        }[kept]
    return found


def of_documents(comparison: Comparison) -> dict[str, str]:
    return {row["doc_id"]: row["change"] for row in comparison.documents.collect()}


PAIRS = [("strict", "loose:0"), ("loose:0", "other"), ("other", "strict")]


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_every_document_is_where_the_tables_say(spark: Any, store: str, before: str, after: str) -> None:
    comparison = compare(spark, store, before, after)
    expected = changes(spark, store, before, after)
    assert of_documents(comparison) == expected
    numbers = comparison.summary()["documents"]
    assert numbers == {change: list(expected.values()).count(change) for change in numbers}


def test_the_pairs_above_show_every_change(spark: Any, store: str) -> None:
    seen = {change for pair in PAIRS for change in changes(spark, store, *pair).values()}
    assert seen == {"unchanged", "changed", "newly_dropped", "newly_kept", "dropped_in_both", "added", "removed"}


def test_lines_agree_with_both_logs(spark: Any, store: str) -> None:
    one, other = logs(spark, store, "loose:1"), logs(spark, store, "other")
    comparison = compare(spark, store, "loose:1", "other")
    kept = [doc for doc, change in of_documents(comparison).items() if change in ("changed", "unchanged")]
    wanted = {}
    for key in one.keys() | other.keys():
        sides = [(side[key]["operation"], side[key]["replacement"]) if key in side else None for side in (one, other)]
        if key[0] in kept and sides[0] != sides[1]:
            wanted[key] = sides

    rows = comparison.lines.collect()

    found = {
        (r["doc_id"], r["line_number"]): [
            (r[f"operation_{side}"], r[f"replacement_{side}"]) if r[f"operation_{side}"] else None
            for side in ("before", "after")
        ]
        for r in rows
    }
    assert len(found) == len(rows)
    assert found == wanted
    removed = [{key for key, row in side.items() if row["replacement"] is None} for side in (one, other)]
    for row in rows:
        key = (row["doc_id"], row["line_number"])
        kinds = {(False, True): "newly_dropped", (True, False): "newly_kept"}
        assert row["change"] == kinds.get((key in removed[0], key in removed[1]), "rewritten")
        assert row["text"] == (one.get(key) or other[key])["text"]
    counted = comparison.summary()["lines"]["by_change"]
    assert {change: n["lines"] for change, n in counted.items()} == {
        change: sum(row["change"] == change for row in rows) for change in counted
    }
    assert sum(n["characters"] for n in counted.values()) == sum(len(row["text"]) for row in rows)


def test_lines_and_characters_by_operation_source_and_reason(spark: Any, store: str) -> None:
    found = compare(spark, store, "strict", "other").summary()["lines"]
    logged = logs(spark, store, "strict").values()
    lines, characters = Counter(), Counter()
    for row in logged:
        lines[row["operation"]] += 1
        characters[row["operation"]] += len(row["text"])
    before = {entry["operation"]: entry["from"] for entry in found["by_operation"] if entry["from"]["lines"]}
    assert before == {op: {"lines": lines[op], "characters": characters[op]} for op in lines}
    (source,) = found["by_source"]
    assert source["from"]["documents"] == sum(f[0] == "refined" for f in fates(spark, store, "strict").values())
    assert source["from"]["n_lines_removed"] + source["from"]["n_lines_rewritten"] == len(logged)
    reasons = {entry["reason"]: (entry["from"]["documents"], entry["to"]["documents"]) for entry in found["by_reason"]}
    assert reasons == {"keep_score": (2, 1)}


def test_the_configuration_shows_what_differs_and_nothing_else(spark: Any, store: str) -> None:
    found = compare(spark, store, "strict", "loose:0").summary()["configuration"]
    assert found.keys() == {"execution.drop_document_below", "refinement"}
    assert found["execution.drop_document_below"] == {"from": 0.5, "to": 0.3}
    other = compare(spark, store, "loose", "other").summary()["configuration"]
    assert other.keys() == {"chunk", "chunk.engine.default", "refinement"}


def test_the_same_seed_draws_the_same_lines_and_the_largest_movers_come_first(spark: Any, store: str) -> None:
    comparison = compare(spark, store, "loose", "other")
    one, again, another = (comparison.summary(limit=5, seed=seed) for seed in (1, 1, 2))
    assert one["sample"] == again["sample"] != another["sample"]
    assert len(one["sample"]) == 5
    sizes = [abs(mover["difference"]) for mover in one["movers"]]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0


def test_a_version_against_itself_differs_in_nothing_and_a_number_of_refined_names_it(spark: Any, store: str) -> None:
    row = open_store(spark, store).read("refinements").where("refinement = 'loose' AND version = 1").first()
    before = versions(Path(store))
    found = compare(spark, store, f"@{row['refined_version']}", "loose").summary()
    assert (found["from"]["refinement"], found["from"]["version"]) == ("loose", 1)
    assert found["documents"] == {
        **dict.fromkeys(found["documents"], 0),
        "unchanged": row["counts"]["refined"],
        "dropped_in_both": row["counts"]["dropped_documents"] + row["counts"]["quarantined"],
    }
    assert (found["configuration"], found["movers"], found["sample"]) == ({}, [], [])
    assert versions(Path(store)) == before


def test_the_command_prints_one_document_or_tables(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "--store", store, "--from", "strict", "--to", "other"]
    capsys.readouterr()
    assert main([*words, "--output", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"from", "to", "documents", "lines", "configuration", "movers", "sample"} <= found.keys()
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "newly_kept" in out
    assert "execution.drop_document_below" in out
    assert "strict:0 -> other:0" in out


def test_a_table_keeps_a_comparison_once_beside_others(
    spark: Any, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "compared")

    def kept(before: str, after: str) -> dict[str, Any]:
        capsys.readouterr()
        words = ["compare", "--store", store, "--from", before, "--to", after, "--table", path, "--output", "json"]
        assert main(words) == 0
        return json.loads(capsys.readouterr().out)["table"]

    expected = {pair: changes(spark, store, *pair) for pair in [("loose:1", "other:0"), ("strict:0", "loose:0")]}
    assert kept("loose", "other:0") == {"table": path, "documents": len(expected["loose:1", "other:0"]), "new": True}
    assert kept("strict", "loose:0")["new"]
    assert not kept("loose:1", "other")["new"]
    rows = spark.read.format("delta").load(path).collect()
    for (before, after), wanted in expected.items():
        own = [row for row in rows if (row["store"], row["from"], row["to"]) == (store, before, after)]
        assert {row["doc_id"]: row["change"] for row in own} == wanted
        lines = compare(spark, store, before, after).lines.orderBy("line_number").drop("unit").collect()
        by_document = {doc: [r for r in lines if r["doc_id"] == doc] for doc in wanted}
        assert {row["doc_id"]: [r["line_number"] for r in row["lines"]] for row in own} == {
            doc: [r["line_number"] for r in lines] for doc, lines in by_document.items()
        }
        assert [r["text"] for row in own for r in row["lines"]] == [
            r["text"] for row in own for r in by_document[row["doc_id"]]
        ]
    assert len(rows) == sum(map(len, expected.values()))


def test_a_table_of_something_else_is_left_alone(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "--store", store, "--from", "strict", "--to", "other", "--table", f"{store}/documents"]
    capsys.readouterr()
    assert main(words) == 2
    assert "not a table of compare" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("strikt", "did you mean 'strict'?"),
        ("loose:7", "did you mean 'loose:"),
        ("@99", "unknown refinement '@99'"),
        ("@x", "after '@'"),
    ],
)
def test_an_unknown_version_is_refused_with_the_nearest_names(
    store: str, name: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["compare", "--store", store, "--from", "strict", "--to", name]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert reason in said.err
