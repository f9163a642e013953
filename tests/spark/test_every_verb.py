"""Every verb that needs no model, once, on a store at a path and on one in a catalog: what each version of Spark must pass.

The verbs follow each other in one store, so a failure may be that of an earlier one. Slow where that is in a catalog: all of
them again.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from annotator import about, sensible
from claims import check_conservation, check_once
from endpoint import serving
from every_verb import VERBS, Place, write_pages

from prox_spark.cli import main
from prox_spark.config import load_config
from prox_spark.errors import LeaseError
from prox_spark.schemas import TABLES
from prox_spark.supported import PROTOCOL
from prox_spark.tables.commits import commit, fence
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.store import open_store

SCHEMA = "spark_catalog.prox_every_verb"


@pytest.fixture(scope="module", params=["path", pytest.param("catalog", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("verbs")
    write_pages(folder)
    tables = folder / "store"
    if request.param == "catalog":
        spark.sql(f"CREATE SCHEMA {SCHEMA} LOCATION '{tables}'")
    with serving(about, sensible) as server:
        yield Place(SCHEMA if request.param == "catalog" else str(tables), tables, folder, server.url)
    if request.param == "catalog":
        spark.sql(f"DROP SCHEMA {SCHEMA} CASCADE")


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


def test_every_table_can_be_read_and_written_by_the_oldest_delta(place: Place) -> None:
    found = {}
    for entry in sorted(place.tables.glob("*/_delta_log/*.json")):
        for action in map(json.loads, entry.read_text().splitlines()):
            if "protocol" in action:
                found[entry.parent.parent.name, entry.stem] = action["protocol"]
    assert {table for table, _ in found} >= set(TABLES)
    # Protocols from 3 (readers) and 7 (writers) on list features; not every Delta knows each of them.
    assert {where: protocol for where, protocol in found.items() if protocol != PROTOCOL} == {}


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
