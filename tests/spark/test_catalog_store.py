"""A store that is a catalog's schema: every verb works on it as on a path, and plain SQL finds views.

Slow: the whole life of a store, in the session's own catalog.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, check_conservation, check_rederivation, run

from prox_spark.cli import main
from prox_spark.config import Config, load_config
from prox_spark.refinement.execute import execute
from prox_spark.schemas import RESULT_TABLES
from prox_spark.tables.refinements import last_version
from prox_spark.tables.store import open_store
from prox_spark.tables.views import publish
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

STORE = "spark_catalog.prox_catalog_test"


@pytest.fixture(scope="module")
def config(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """``loose:0``, then ``strict:0``, of the same six pages."""
    folder = tmp_path_factory.mktemp("catalog")
    # Where the schema lies is the administrator's choice; ingest would make it in the warehouse.
    spark.sql(f"CREATE SCHEMA {STORE} LOCATION '{folder / 'schema'}'")
    texts = [f"Page {number}\n{PAGE}" for number in range(5)] + ["Cheap offers, cheap!"]
    pages = [{"id": f"d{number}", "text": text} for number, text in enumerate(texts)]
    (folder / "pages.json").write_text("".join(json.dumps(page) + "\n" for page in pages))
    keys = [f"store={STORE}", f"input.path={folder / 'pages.json'}", "input.format=json"]
    keys += ["document.engine.kind=scripted", 'document.engine.answers={"Cheap": 0.4, "Page": 0.9}']
    keys += ["chunk.engine.kind=scripted", "chunk.min_keep_score=0.3"]
    keys += ['chunk.engine.default="remove_lines(start=1, end=1)"']
    run(spark, load_config(None, [*keys, "refinement=loose", "execution.drop_document_below=0.3"]))
    strict = load_config(None, [*keys, "refinement=strict", "execution.drop_document_below=0.5"])
    execute(spark, strict)
    yield strict
    spark.sql(f"DROP SCHEMA {STORE} CASCADE")


def of_views(spark: Any, table: str) -> list[Any]:
    """What plain SQL says, without this package."""
    return sorted(spark.sql(f"SELECT * FROM {STORE}.current_{table}").drop("metadata", "calls").collect())


def of_versions(spark: Any, table: str, name: str = "") -> list[Any]:
    rows = query(spark, STORE, f"SELECT * FROM `{table}{name and '@'}{name}`")
    return sorted(rows.drop("metadata", "calls").collect())


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert main([*words, "--store", STORE, "--output", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_refinements_of_a_schema_keep_the_promises(spark: Any, config: Config) -> None:
    counts = check_conservation(spark, config)
    assert (counts.documents, counts.refined, counts.dropped) == (6, 5, 1)
    assert check_rederivation(spark, config) == 5


def test_views_say_what_the_newest_refinement_says(spark: Any, config: Config) -> None:
    for table in RESULT_TABLES:
        assert of_views(spark, table) == of_versions(spark, table) == of_versions(spark, table, "strict")
    assert len(of_views(spark, "documents")) == 6


def test_views_do_not_show_what_is_not_committed(spark: Any, config: Config) -> None:
    before = of_views(spark, "refined")
    spark.sql(f"DELETE FROM {STORE}.refined WHERE doc_id = 'd0'")
    assert of_views(spark, "refined") == before


def test_a_run_with_nothing_to_do_updates_the_views_that_a_dead_one_left_behind(spark: Any, config: Config) -> None:
    store = open_store(spark, STORE)
    loose = last_version(store, "loose")
    assert loose is not None
    publish(store, loose.asDict(recursive=True))
    assert of_views(spark, "refined") != of_versions(spark, "refined")

    assert not execute(spark, config).new

    for table in RESULT_TABLES:
        assert of_views(spark, table) == of_versions(spark, table)


def test_every_verb_works_on_a_schema(
    spark: Any, config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [row["refinement"] for row in ask(capsys, "history")] == ["loose", "strict"]
    found = ask(capsys, "compare", "--from", "loose", "--to", "strict")
    assert found["documents"] == {**dict.fromkeys(found["documents"], 0), "unchanged": 5, "newly_dropped": 1}
    kept = ask(capsys, "compare", "--from", "loose", "--to", "strict", "--table", f"{STORE}.compared")
    assert kept["table"] == {"table": f"{STORE}.compared", "documents": 6, "new": True}
    assert ask(capsys, "pin", "loose", "--copy")["new"]
    assert ask(capsys, "rollback", "loose")["version"] == 1
    assert of_views(spark, "refined") == of_versions(spark, "refined", "loose:1")
    assert len(of_views(spark, "refined")) == 6
    assert ask(capsys, "optimize")["refinement"] == "loose"
    page = tmp_path / "report.html"
    ask(capsys, "report", "--from", "strict", "--to", "loose", "--output-file", str(page))
    assert "Cheap offers" in page.read_text()
    assert ask(capsys, "forget", "d1", "--history")["documents"] == 1
    assert all(row["doc_id"] != "d1" for table in RESULT_TABLES for row in of_views(spark, table))
    assert len(of_views(spark, "documents")) == 5
    assert spark.sql(f"SELECT * FROM {STORE}.documents WHERE doc_id = 'd1'").isEmpty()
