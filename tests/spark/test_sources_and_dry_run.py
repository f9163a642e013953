"""Spark tables as corpora, and ``execute --dry-run``: one small store for both."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prox_spark.cli import main
from prox_spark.config import Config
from prox_spark.errors import InputError
from prox_spark.ingestion.ingest import ingest
from prox_spark.pipeline import generate
from prox_spark.tables.store import open_store

PROSE = "This is a long and quiet sentence about the tides of a northern bay in winter."
PAGE = "\n".join(["Home | About", *[f"{PROSE} Number {i}." for i in range(12)], "© 2026"])


def test_a_delta_table_is_a_corpus_and_a_sweep_over_it_writes_nothing(
    spark: Any, configure: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "pages"
    rows = [("a", PAGE, 1, [1]), ("b", PAGE + " Two.", 2, []), ("c", None, 3, None), ("a", "again " + PAGE, 4, None)]
    rows += [("b", PAGE + " Two.", 2, [])] * 2
    spark.createDataFrame(rows, "key string, body string, rank long, tags array<long>").write.format("delta").save(
        str(table)
    )
    source = ["input.format=delta", f"input.path={table}", "input.columns.doc_id=key", "input.columns.text=body"]
    scripted = ["document=null", "chunk.engine.kind=scripted", "chunk.engine.default=remove_lines(start=0, end=4)"]
    config = configure(*source, *scripted)

    read = ingest(spark, config)

    assert (read.documents, read.quarantined) == (2, 4), "rows have no places: equal ones are repeats"
    store = open_store(spark, config.store)
    documents = {row["doc_id"]: row for row in store.read("documents").collect()}
    assert set(documents) == {"a", "b"}
    assert documents["b"]["metadata"]["rank"] == "2"
    assert ingest(spark, config).documents == 0
    generate(spark, config)
    before = store.version("refined"), store.version("refinements")
    arguments = [f"store={config.store}", "refinement=sweep", *scripted, "execution.max_removed_share=[0.2,0.95]"]
    capsys.readouterr()

    assert main(["execute", "--dry-run", "--output", "json", *arguments]) == 0

    swept = json.loads(capsys.readouterr().out)["runs"]
    assert [run["documents"]["refined"] for run in swept] == [0, 2]
    assert swept[0]["documents"]["dropped"] == {"removed_share": 2}
    assert swept[1]["operations"]["remove_lines"]["lines"] == 10
    assert swept[1]["lines"]["removed"] == 10
    assert swept[1]["characters"]["kept"] < swept[1]["characters"]["total"]
    assert (store.version("refined"), store.version("refinements")) == before


def test_a_table_that_is_not_there_and_a_column_that_is_not_there_are_named(
    spark: Any, configure: Callable[..., Config], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="cannot be read as table"):
        ingest(spark, configure("input.format=table", "input.path=nowhere_at_all"))
    table = tmp_path / "t"
    spark.range(1).write.format("delta").save(str(table))
    with pytest.raises(InputError, match=r"has no column 'text'; it has id"):
        ingest(spark, configure("input.format=delta", f"input.path={table}"))
