"""Stores that earlier packages wrote (``tests/stores``): read as they are, brought to today's layout by the first write."""

import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from claims import check_conservation, check_once, check_rederivation, rows, run, versions

from prox_spark import schemas
from prox_spark.config import Config, load_config
from prox_spark.errors import LeaseError, StoreError
from prox_spark.pipeline import generate
from prox_spark.refinement.execute import execute
from prox_spark.tables import migrations
from prox_spark.tables.commits import restore
from prox_spark.tables.leases import _check_alone, _held, hold
from prox_spark.tables.store import open_store, spark_schema
from prox_spark.versions.compare import compare
from prox_spark.versions.history import history
from prox_spark.versions.rollback import rollback
from prox_spark.versions.sql import query

STORES = sorted(Path(__file__).parents[1].glob("stores/*.tar.gz"), key=lambda path: int(path.name.split(".")[0]))


# The oldest has the longest way to go; the others take as long again.
@pytest.fixture(
    params=[STORES[0], *(pytest.param(path, marks=pytest.mark.slow) for path in STORES[1:])], ids=lambda path: path.name
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with tarfile.open(request.param) as packed:
        packed.extractall(tmp_path / "store", filter="data")
    return tmp_path / "store"


@pytest.fixture
def configure(store: Path, tmp_path: Path) -> Callable[..., Config]:
    """The store's refinement ``first`` over files of its own."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()

    def make(*overrides: str) -> Config:
        base = [f"store={store}", "refinement=first", f"input.path={corpus}/*.json.gz", "input.format=c4"]
        return load_config(None, [*base, "document.engine.kind=rules", "chunk.engine.kind=rules", *overrides])

    return make


def number(store: Path, spark: Any) -> int:
    return open_store(spark, str(store)).number


def test_there_is_one_of_each_number_since_the_second() -> None:
    numbers = [int(path.name.split(".")[0]) for path in STORES]
    assert numbers == list(range(schemas.OLDEST_STORE, schemas.STORE_VERSION + 1)), (
        "write the store of the new number with tests/stores/make.py"
    )


def test_it_is_read_without_a_write(spark: Any, store: Path) -> None:
    before = versions(store)
    names = {(row["refinement"], row["version"]) for row in history(spark, str(store))}
    assert {("first", 0), ("first", 1), ("scored", 0)} <= names
    summary = compare(spark, str(store), "first:0", "scored")
    assert summary.before.name == "first:0"
    assert query(spark, str(store), "SELECT count(*) FROM `refined@scored`").first()[0] == 6
    assert query(spark, str(store), "SELECT * FROM refiners").columns == spark_schema("refiners").names
    assert query(spark, str(store), "SELECT * FROM annotations").collect() == []
    assert versions(store) == before


def test_its_finished_refinement_is_finished(spark: Any, store: Path, configure: Callable[..., Config]) -> None:
    # `forget` made the newest version: executing is what is pending, and once it is done nothing is.
    config = configure()
    execute(spark, config)
    before = versions(store)
    generate(spark, config)
    assert not execute(spark, config).new
    assert versions(store) == before


def test_it_is_extended_and_executed_with_another_threshold(
    spark: Any, store: Path, configure: Callable[..., Config], tmp_path: Path
) -> None:
    import gzip
    import json

    text = "\n".join(
        ["Home | About", *[f"A quiet sentence about the tides of a bay in winter, number {i}." for i in range(9)]]
    )
    page = json.dumps({"text": text, "url": "https://new.example", "timestamp": "2026-01-01T00:00:00Z"}) + "\n"
    (tmp_path / "corpus" / "new.json.gz").write_bytes(gzip.compress(page.encode()))
    old = number(store, spark)
    config = configure()
    ingested, _, executed = run(spark, config)
    assert (ingested.documents, executed.new) == (1, True)
    assert number(store, spark) == schemas.STORE_VERSION
    moved = [(row["from_layout"], row["to_layout"]) for row in rows(spark, config, "migrations")]
    assert moved == ([(old, schemas.STORE_VERSION)] if old < schemas.STORE_VERSION else [])
    check_conservation(spark, config)
    check_once(spark, config)
    assert check_rederivation(spark, config) > 0
    other = configure("refinement=loose", "execution.max_removed_share=1.0")
    assert execute(spark, other).new
    found = compare(spark, str(store), "first", "loose")
    assert found.after.name == "loose:0"
    assert rollback(spark, str(store), "first").new


def test_a_column_that_is_added_is_null_in_old_rows_and_written_in_new_ones(
    spark: Any, store: Path, configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next layout, as a change of ``schemas`` would make it: a column in the middle, a field of a struct, a table."""
    lines, counts = schemas.DROPPED_LINES, schemas.REFINEMENTS.field("counts")
    wider = lines.insert(3, pa.field("site", pa.string()))
    more = pa.struct([*counts.type, pa.field("links", pa.int64())])
    index = schemas.REFINEMENTS.get_field_index("counts")
    monkeypatch.setitem(schemas.TABLES, "dropped_lines", wider)
    monkeypatch.setitem(schemas.TABLES, "refinements", schemas.REFINEMENTS.set(index, pa.field("counts", more)))
    for module in (schemas, migrations):
        monkeypatch.setattr(module, "STORE_VERSION", 99)
    monkeypatch.setattr("prox_spark.tables.store.STORE_VERSION", 99)
    monkeypatch.setattr("prox_spark.tables.store._NUMBER", {"prox_spark.store_version": "99"})
    opened = open_store(spark, str(store))
    old = opened.read("dropped_lines")
    assert old.columns == wider.names
    assert {row["site"] for row in old.collect()} == {None}
    assert opened.read("refinements").first()["counts"]["links"] is None
    with hold(opened, "execute"):
        pass
    now = spark.sql(f"SELECT * FROM {opened.table('dropped_lines')}")
    assert now.columns == wider.names, "a catalog's table is written by position"
    assert "links" in spark.sql(f"SELECT counts.* FROM {opened.table('refinements')}").columns
    # Versions from before still have the old columns: they are read as if they had the new ones.
    assert opened.read("dropped_lines", 1).columns == wider.names
    assert 99 in {row["to_layout"] for row in opened.read("migrations").collect()}
    # RESTORE brings back a version's columns, too.
    with hold(opened, "execute") as lease:
        restore(opened, lease, "dropped_lines", 1)
    assert spark.sql(f"SELECT * FROM {opened.table('dropped_lines')}").columns == wider.names


def test_two_jobs_at_once_bring_it_to_todays_layout_once(spark: Any, store: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    opened = open_store(spark, str(store))
    old = replace(opened)

    def job(key: str) -> None:
        with hold(old, key):
            pass

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(job, ("ingest", "execute")))
    assert len(open_store(spark, str(store)).read("migrations").collect()) == (opened.number < schemas.STORE_VERSION)


def test_columns_do_not_change_under_another_job(spark: Any, store: Path) -> None:
    opened = open_store(spark, str(store))
    if opened.number == schemas.STORE_VERSION:
        pytest.skip("today's layout")
    # A job of the older package: it takes its lease without a look at the layout.
    with _held(opened, "ingest"), pytest.raises(LeaseError, match="older layout, and another job writes to it"):
        _check_alone(opened)


def test_a_job_stops_at_a_layout_that_came_after_it_opened_the_store(spark: Any, store: Path) -> None:
    opened = open_store(spark, str(store))
    with hold(opened, "ingest"):
        pass
    spark.sql(f"ALTER TABLE {opened.table('refinements')} SET TBLPROPERTIES ('prox_spark.store_version' = '77')")
    with pytest.raises(StoreError, match="layout 77"), hold(opened, "ingest"):
        pass


def test_an_older_package_refuses_a_newer_store_and_names_the_version_that_it_needs(
    spark: Any, tmp_path: Path, empty_store: Path
) -> None:
    store = tmp_path / "newer"
    shutil.copytree(empty_store, store)
    table = open_store(spark, str(store)).table("refinements")
    spark.sql(
        f"ALTER TABLE {table} SET TBLPROPERTIES ('prox_spark.store_version' = '77', 'prox_spark.package_version' = '9.9.0')"
    )
    with pytest.raises(StoreError, match=r"layout 77.*install prox-spark 9\.9\.0 or newer"):
        open_store(spark, str(store))
