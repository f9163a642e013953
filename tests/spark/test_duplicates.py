"""Duplicates in a store: found among the documents of a run and with those of earlier runs, kept by a rule, told in programs.

Slow: connected components take hundreds of small Spark jobs.
"""

import hashlib
import json
import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from claims import check_conservation, check_once, rows, versions

from prox_spark.config import Config, load_config
from prox_spark.errors import ConfigError
from prox_spark.generation.components import components
from prox_spark.ingestion.ingest import ingest
from prox_spark.pipeline import generate
from prox_spark.programs import parse
from prox_spark.refinement.dry_run import dry_run
from prox_spark.refinement.execute import execute
from prox_spark.tables.store import open_store
from prox_spark.versions.forget import forget
from prox_spark.versions.questions import question
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

WORDS = [f"{first}{last}" for first in ("ba", "do", "ki", "lu", "me", "no", "ra", "ti") for last in "abcdefghijklmnop"]
GROUPS = 30


def prose(seed: int, count: int = 150) -> list[str]:
    return random.Random(seed).choices(WORDS, k=count)


def near(words: list[str], seed: int) -> str:
    """The words with one of them changed and a longer tail: 90% of the shingles are shared."""
    changed = list(words)
    changed[random.Random(seed).randrange(len(words))] = f"new{seed}"
    return " ".join([*changed, f"tail{seed}", "of", "words"])


def first_night() -> list[dict[str, Any]]:
    """Of each group a page, a copy in capitals, and one that is nearly the same and longer; then pages like no other."""
    found = []
    for group in range(GROUPS):
        words = prose(group)
        found += [
            {"id": f"{group}-page", "text": " ".join(words), "quality": 0.5},
            {"id": f"{group}-copy", "text": " ".join(words).upper() + "!", "quality": "0.9"},
            {"id": f"{group}-near", "text": near(words, group), "quality": None},
        ]
    found += [{"id": f"alone-{n}", "text": " ".join(prose(1000 + n))} for n in range(GROUPS)]
    return [*found, {"id": "short", "text": "Not found"}, {"id": "short-2", "text": "not found."}]


def write(folder: Path, name: str, records: list[dict[str, Any]]) -> None:
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))


def digest(doc_id: str) -> str:
    return hashlib.sha256(doc_id.encode()).hexdigest()


def programs(spark: Any, config: Config, refiner: str) -> dict[str, Any]:
    return {row["doc_id"]: row for row in rows(spark, config, "programs") if row["refiner"] == refiner}


def told(row: Any) -> dict[str, str]:
    """What a program's comment says."""
    _, _, comment = row["output"].partition("\n# ")
    found: dict[str, str] = json.loads(comment) if comment else {}
    return found


def kept(found: dict[str, Any]) -> set[str]:
    return {doc_id for doc_id, row in found.items() if row["keep_score"] == 1.0}


@pytest.fixture
def configured(empty_store: Path, tmp_path: Path) -> Callable[..., Config]:
    import shutil

    shutil.copytree(empty_store, tmp_path / "store")
    (tmp_path / "corpus").mkdir()
    write(tmp_path / "corpus", "a.json", first_night())

    def make(*overrides: str) -> Config:
        keys = [f"store={tmp_path / 'store'}", "refinement=first", "chunk=null", "document.engine.kind=duplicates"]
        keys += [f"input.path={tmp_path / 'corpus'}/*.json", "input.format=json"]
        return load_config(None, [*keys, *overrides])

    return make


def test_one_of_each_group_is_kept_and_programs_say_which(spark: Any, configured: Callable[..., Config]) -> None:
    config = configured("ingest.unit_bytes=20000")
    ingest(spark, config)
    (stage,) = generate(spark, config)
    found = programs(spark, config, stage.refiner)
    assert stage.documents == len(found) == 4 * GROUPS + 2
    assert kept(found) == {*(f"{n}-page" for n in range(GROUPS)), *(f"alone-{n}" for n in range(GROUPS)), "short"}
    for group in range(GROUPS):
        for name in ("page", "copy", "near"):
            assert told(found[f"{group}-{name}"]) == {"cluster": digest(f"{group}-page"), "by": "first"}
        assert told(found[f"alone-{group}"]) == {}
    for row in found.values():
        (call,), (read,) = row["calls"], parse(row["output"]).calls
        assert (call["operation"], call["outcome"]) == (read.operation, read.outcome)
        assert (row["status"], row["chunk"], row["line_offset"]) == ("ok", 0, 0)
    # A dry run, the refinement and its conservation are those of any refiner.
    assert dry_run(spark, config).documents["dropped"] == {"keep_score": 2 * GROUPS + 1}
    done = execute(spark, config)
    assert done.counts["refined"] == 2 * GROUPS + 1
    check_conservation(spark, config)
    check_once(spark, config)
    groups = question("duplicates")
    (largest, *_) = query(spark, config.store, groups).collect()
    assert (largest["documents"], largest["kept"][-5:]) == (3, "-page")
    # Nothing is pending now.
    before = versions(Path(config.store))
    assert generate(spark, config)[0].documents == 0
    assert versions(Path(config.store)) == before
    # Another rule reads no text: signatures are there.
    longest = configured("refinement=longest", "document.engine.keep=longest")
    (stage,) = generate(spark, longest)
    assert versions(Path(config.store))["signatures"] == before["signatures"]
    expected = {*(f"{n}-near" for n in range(GROUPS)), *(f"alone-{n}" for n in range(GROUPS)), "short-2"}
    assert kept(programs(spark, config, stage.refiner)) == expected
    scored = configured("document.engine.keep=best_score", "document.engine.score=quality")
    (stage,) = generate(spark, scored)
    assert kept(programs(spark, config, stage.refiner)) >= {f"{n}-copy" for n in range(GROUPS)}
    with pytest.raises(ConfigError, match="score: unknown column"):
        generate(spark, configured("document.engine.keep=best_score", "document.engine.score=qualty"))
    exact = configured("document.engine.buckets=0")
    (stage,) = generate(spark, exact)
    found = programs(spark, config, stage.refiner)
    assert found.keys() - kept(found) == {*(f"{n}-copy" for n in range(GROUPS)), "short-2"}


def test_a_second_night_joins_earlier_groups_and_changes_no_program(
    spark: Any, configured: Callable[..., Config], tmp_path: Path
) -> None:
    config = configured()
    ingest(spark, config)
    (stage,) = generate(spark, config)
    before = programs(spark, config, stage.refiner)
    # One more like a kept page, one like a dropped page alone, two new ones that are alike, and one that joins two groups.
    like_near = near([*prose(1)[:100], *prose(5000, 50)], 1)
    bridge = f"{' '.join(prose(3))} {' '.join(prose(4))}"
    write(
        tmp_path / "corpus",
        "b.json",
        [
            {"id": "late-0", "text": near(prose(0), 77)},
            {"id": "late-1", "text": "NOT FOUND"},
            {"id": "new-a", "text": " ".join(prose(2000))},
            {"id": "new-b", "text": near(prose(2000), 5)},
            {"id": "other", "text": like_near},
            {"id": "bridge", "text": bridge},
            {"id": "blank", "text": " \n "},
        ],
    )
    ingest(spark, config)
    (stage,) = generate(spark, config)
    assert stage.documents == 7
    after = programs(spark, config, stage.refiner)
    assert {name: after[name] for name in before} == before
    assert told(after["late-0"]) == {"cluster": digest("0-page"), "by": "earlier"}
    assert told(after["late-1"]) == {"cluster": digest("short"), "by": "earlier"}
    assert (told(after["new-a"]), told(after["new-b"])) == ({"cluster": digest("new-a"), "by": "first"},) * 2
    assert after["blank"]["status"] == "skipped"
    assert kept({name: row for name, row in after.items() if name not in before}) >= {"new-a", "other"}
    check_once(spark, config)
    execute(spark, config)
    check_conservation(spark, config)


def test_a_group_whose_kept_document_was_forgotten_keeps_the_next_one(
    spark: Any, configured: Callable[..., Config], tmp_path: Path
) -> None:
    config = configured()
    ingest(spark, config)
    generate(spark, config)
    execute(spark, config)
    done = forget(spark, config.store, ["0-page"])
    assert done.rows["signatures"] == 1
    for table in ("signatures", "programs"):
        assert all(row["doc_id"] != "0-page" for row in rows(spark, config, table))
    write(tmp_path / "corpus", "b.json", [{"id": f"late-{n}", "text": near(prose(n), 77)} for n in (0, 1)])
    ingest(spark, config)
    (stage,) = generate(spark, config)
    found = programs(spark, config, stage.refiner)
    assert (found["late-0"]["keep_score"], found["late-1"]["keep_score"]) == (1.0, 0.0)


def test_a_run_that_died_between_signatures_and_programs_is_completed(
    spark: Any, configured: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured("limits.max_bytes=605")
    loose = configured()
    ingest(spark, loose)

    def dies(*_: Any) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr("prox_spark.generation.duplicates.decide", dies)
    with pytest.raises(RuntimeError, match="killed"):
        generate(spark, config)
    monkeypatch.undo()
    assert rows(spark, config, "programs") == []
    signed = {row["doc_id"] for row in rows(spark, config, "signatures")}
    before = versions(Path(config.store))["signatures"]
    (stage,) = generate(spark, config)
    assert versions(Path(config.store))["signatures"] - before <= 1, "at most a fence"
    # Those that are too large are failed rows, and are compared when they are asked again.
    found = programs(spark, config, stage.refiner)
    failed = {name for name, row in found.items() if row["status"] == "failed"}
    assert failed == found.keys() - signed
    assert all("limits.max_bytes" in found[name]["error"] for name in failed)
    (stage,) = generate(spark, loose, retry_failed=True)
    again = programs(spark, config, stage.refiner)
    assert {row["status"] for row in again.values()} == {"ok"}
    assert len(kept(again)) == 2 * GROUPS + 1
    check_once(spark, config)


def test_components_are_those_of_a_union_of_sets(spark: Any) -> None:
    # Given a long chain, a star, a cycle and random edges,
    chance = random.Random(4)
    chain = [(f"c{n:03}", f"c{n + 1:03}") for n in range(150)]
    star = [("s000", f"s{n:03}") for n in range(1, 80)]
    cycle = [(f"r{n:02}", f"r{(n + 1) % 20:02}") for n in range(20)]
    loose = [(f"x{chance.randrange(150):03}", f"x{chance.randrange(150):03}") for _ in range(100)]
    edges = [(a, b) if chance.random() < 0.5 else (b, a) for a, b in (*chain, *star, *cycle, *loose) if a != b]
    # when they are connected,
    with ExitStack() as stack:
        found = components(spark.createDataFrame(edges, "node string, other string"), stack)
        roots = {row["node"]: row["root"] for row in found.collect()}
    # then each node has the smallest of all that it can be reached from.
    expected = {node: node for edge in edges for node in edge}
    changed = True
    while changed:
        changed = False
        for a, b in edges:
            least = min(expected[a], expected[b])
            if (expected[a], expected[b]) != (least, least):
                expected[a] = expected[b] = least
                changed = True
    assert roots == {node: root for node, root in expected.items() if node != root}


def test_without_documents_there_is_nothing_to_compare(spark: Any, configured: Callable[..., Config]) -> None:
    config = configured()
    assert generate(spark, config)[0].documents == 0
    assert open_store(spark, config.store).read("signatures").isEmpty()
