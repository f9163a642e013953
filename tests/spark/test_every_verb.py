"""Every verb that needs no model, once, on a store at a path and on one in a catalog: what each version of Spark must pass.

The verbs follow each other in one store, so a failure may be that of an earlier one.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from annotator import about, sensible
from claims import PAGE, check_conservation, check_once
from endpoint import serving

from prox_spark.cli import main
from prox_spark.config import load_config
from prox_spark.errors import LeaseError
from prox_spark.tables.commits import commit, fence
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.store import open_store

SCHEMA = "spark_catalog.prox_every_verb"


@dataclass(frozen=True)
class Place:
    """A store, as its users name it, the folder that its tables lie in, and what else the verbs are given."""

    store: str
    tables: Path
    folder: Path
    endpoint: str

    def words(self, refinement: str, *more: str) -> list[str]:
        """The configuration of a refinement by rules."""
        keys = [
            f"store={self.store}",
            f"refinement={refinement}",
            f"input.path={self.folder}/*.json",
            "input.format=json",
        ]
        return [*keys, "document.engine.kind=rules", "chunk.engine.kind=rules", *more]

    @property
    def at(self) -> list[str]:
        """The option of verbs that need no configuration."""
        return ["--store", self.store]

    @property
    def labels(self) -> str:
        """What ``annotate`` needs."""
        return (
            f"annotate={{endpoint: {{model: large, base_url: '{self.endpoint}'}}, output: '{self.folder / 'labels'}'}}"
        )


@pytest.fixture(scope="module", params=["path", "catalog"])
def place(request: pytest.FixtureRequest, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("verbs")
    pages = [{"id": f"d{number}", "text": f"Home\nPage {number}\n{PAGE}\nFooter"} for number in range(6)]
    (folder / "pages.json").write_text("".join(json.dumps(page) + "\n" for page in [*pages, {"id": "none"}]))
    tables = folder / "store"
    if request.param == "catalog":
        spark.sql(f"CREATE SCHEMA {SCHEMA} LOCATION '{tables}'")
    with serving(about, sensible) as server:
        yield Place(SCHEMA if request.param == "catalog" else str(tables), tables, folder, server.url)
    if request.param == "catalog":
        spark.sql(f"DROP SCHEMA {SCHEMA} CASCADE")


VERBS: dict[str, Callable[[Place], list[str]]] = {
    "ingest": lambda place: place.words("first"),
    "generate": lambda place: place.words("first"),
    "execute": lambda place: place.words("first"),
    "execute --dry-run": lambda place: ["--dry-run", *place.words("first")],
    "refine": lambda place: place.words("second", "execution.min_words=3"),
    "history": lambda place: place.at,
    "compare": lambda place: ["--from", "first", "--to", "second", *place.at],
    "sql": lambda place: ["--question", "most-dropped-lines", *place.at],
    "report": lambda place: ["--output-file", str(place.folder / "report.html"), *place.at],
    "estimate": lambda place: place.words("first"),
    "annotate": lambda place: place.words("first", place.labels),
    "export": lambda place: ["first", "--to", str(place.folder / "export"), "--format", "jsonl", *place.at],
    "pin": lambda place: ["first", "--copy", *place.at],
    "rollback": lambda place: ["first:0", *place.at],
    "optimize": lambda place: place.at,
    "forget": lambda place: ["d1", "--history", *place.at],
    "doctor": lambda place: place.words("first"),
}
"""The command line of each verb, in the order in which they are run."""


@pytest.mark.parametrize("verb", VERBS)
def test_verb(place: Place, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main([verb.split()[0], *VERBS[verb](place), "--output", "json"])
    answer = json.loads(capsys.readouterr().out)
    # `doctor` fails where a part of the machine that nothing here needs is missing.
    assert code == 0 or verb == "doctor"
    assert answer


def test_every_document_has_one_fate(spark: Any, place: Place) -> None:
    config = load_config(None, place.words("first"))
    assert check_conservation(spark, config).documents == 5
    check_once(spark, config)


def test_every_commit_of_rows_says_whose_it_is_and_fences_others_off(place: Place) -> None:
    seen = set()
    for entry in sorted(place.tables.glob("*/_delta_log/*.json")):
        table = entry.parent.parent.name
        actions = [json.loads(line) for line in entry.read_text().splitlines()]
        info = next(action["commitInfo"] for action in actions if "commitInfo" in action)
        changes = any(one.get("dataChange") for action in actions for one in action.values() if isinstance(one, dict))
        # RESTORE takes neither; copies of pins are tables of their own, which nobody else writes.
        if not changes or info["operation"] == "RESTORE" or table.startswith("pinned_"):
            continue
        assert any("txn" in action for action in actions), f"{table} {entry.name}: {info['operation']}"
        metadata = info.get("userMetadata")
        assert metadata, f"{table} {entry.name}: {info['operation']}"
        seen.add(info["operation"])
        if table != "leases":
            assert json.loads(metadata)["verb"], f"{table} {entry.name}"
    assert {"WRITE", "MERGE"} <= seen


def test_a_writer_that_lost_its_lease_writes_nothing(spark: Any, place: Place) -> None:
    store = open_store(spark, place.store)
    before = store.version("metrics")

    def lose() -> None:
        with hold(store, "fenced") as first:
            fence(store, Lease("fenced", first.token + 1, "elsewhere:1:1:0"), ["metrics"])
            commit(store, first, "metrics", store.read("metrics", before), Purpose("late"))

    with pytest.raises(LeaseError, match="lost lease fenced to another job"):
        lose()
    assert store.version("metrics") == before + 1, "the fence alone"
