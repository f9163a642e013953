"""Others who compact, clean up and analyse the tables between this package's commits are no rivals, and keep their work.

Slow: the three steps of a refinement, with a command of another session after each commit.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from claims import PROSE, check_conservation, check_once, check_rederivation, run

from prox_spark.config import Config
from prox_spark.errors import LeaseError
from prox_spark.refinement import execute as executing
from prox_spark.refinement.execute import execute
from prox_spark.tables import commits
from prox_spark.tables.commits import Commit, changes
from prox_spark.tables.store import Store, get_properties, open_store
from prox_spark.versions.forget import forget
from prox_spark.versions.rollback import rollback
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

RESULTS = ("refined", "dropped_lines", "dropped_documents")
UNITS = ("ingest.unit_bytes=300", "execute.batch_bytes=1", "document=null")
SCRIPTED = ("chunk.engine={kind: scripted, default: 'remove_lines(start=0, end=0)', error_on: Poison}",)

Hand = Callable[[Store, str], None]


def optimize(store: Store, table: str) -> None:
    store.spark.newSession().sql(f"OPTIMIZE {store.table(table)}")


def analyze(store: Store, table: str) -> None:
    """``COMPUTE STATS``, for which open-source Delta has no SQL."""
    delta, session = store.spark._jvm.org.apache.spark.sql.delta, store.spark.newSession()._jsparkSession
    statistics, log = delta.stats.StatisticsCollection, delta.DeltaLog.forTable(session, f"{store.location}/{table}")
    rest = [getattr(statistics, f"recompute$default${n}")() for n in (4, 5)]
    statistics.recompute(session, log, store.spark._jvm.scala.Option.empty(), *rest)


def vacuum(store: Store, table: str) -> None:
    """Without any retention: of older versions nothing is left."""
    other = store.spark.newSession()
    other.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    other.sql(f"VACUUM {store.table(table)} RETAIN 0 HOURS")


def rewrite(store: Store, table: str) -> None:
    """A compaction by hand: the same rows in one file, as a write that says that it changes no data."""
    path = f"{store.location}/{table}"
    rows = store.spark.newSession().read.format("delta").load(path).coalesce(1)
    rows.write.format("delta").mode("overwrite").option("dataChange", "false").save(path)


def append(store: Store, table: str) -> None:
    """One of the table's rows once more."""
    path = f"{store.location}/{table}"
    store.spark.newSession().read.format("delta").load(path).limit(1).write.format("delta").mode("append").save(path)


@contextmanager
def after_each_commit(*hands: Hand) -> Iterator[list[str]]:
    """A block in which others have their hands on a table after each commit to it; the tables, in order."""
    committed, tables = commits._committed, []

    def and_others(store: Store, lease: Any, table: str, *about: Any) -> Commit:
        done = committed(store, lease, table, *about)
        for hand in hands:
            hand(store, table)
        tables.append(table)
        return done

    with patch.object(commits, "_committed", and_others):
        yield tables


def pages(folder: Path, file: int, *texts: str) -> None:
    folder.mkdir(exist_ok=True)
    rows = [{"id": f"{file}-{n}", "text": f"Head\n{PROSE} {text}"} for n, text in enumerate(texts)]
    (folder / f"{file}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def config(configure: Callable[..., Config], tmp_path: Path) -> Config:
    for file in range(2):
        pages(tmp_path / "pages", file, f"One of {file}.", f"Another of {file}.")
    return configure(*UNITS, *SCRIPTED, path=tmp_path / "pages")


def texts(spark: Any, config: Config, name: str = "refined") -> list[tuple[str, str]]:
    return sorted(map(tuple, query(spark, config.store, f"SELECT doc_id, text FROM `{name}`").collect()))


@pytest.mark.parametrize("hands", [(optimize, analyze), (rewrite,)], ids=["commands", "a write of the same rows"])
def test_what_changes_no_row_is_no_rival_after_any_commit(
    spark: Any, config: Config, tmp_path: Path, hands: tuple[Hand, ...]
) -> None:
    with after_each_commit(*hands) as tables:
        assert run(spark, config)[2].version == 0
        pages(tmp_path / "pages", 2, "Late.", "Poison")
        done = run(spark, config)[2]
        forget(spark, config.store, ["0-0"])
    assert (done.version, done.counts["documents"]) == (1, 6)
    assert {"documents", "programs", "refinements", *RESULTS} - {"dropped_documents"} <= set(tables)
    check_once(spark, config)
    assert check_conservation(spark, config).documents == 5
    check_rederivation(spark, config)
    assert not execute(spark, config).new


def test_a_compaction_that_a_platform_lets_follow_each_commit_breaks_no_chain(
    spark: Any, config: Config, tmp_path: Path
) -> None:
    """By a session setting, which is above the property of the table."""
    settings = {"enabled": "true", "minNumFiles": "2"}
    for key, value in settings.items():
        spark.conf.set(f"spark.databricks.delta.autoCompact.{key}", value)
    try:
        run(spark, config)
        pages(tmp_path / "pages", 2, "Late.", "Poison")
        done = run(spark, config)[2]
        forget(spark, config.store, ["0-0"])
    finally:
        for key in settings:
            spark.conf.unset(f"spark.databricks.delta.autoCompact.{key}")
    store = open_store(spark, config.store)
    operations = [entry.operation for table in ("refined", "programs") for entry in store.entries(table, 100)]
    assert "OPTIMIZE" in operations
    assert (done.version, done.counts["documents"]) == (1, 6)
    assert check_conservation(spark, config).documents == 5
    check_rederivation(spark, config)


def test_tables_are_made_without_automatic_compaction(spark: Any, config: Config) -> None:
    properties = get_properties(open_store(spark, config.store), "refined")
    names = ("autoCompact", "optimizeWrite")
    assert [properties[f"delta.autoOptimize.{name}"] for name in names] == ["false", "false"]


def test_a_row_that_another_writes_between_two_commits_is_a_rival(spark: Any, config: Config) -> None:
    with (
        after_each_commit(lambda store, table: append(store, table) if table == "refined" else None),
        pytest.raises(LeaseError, match="another job wrote to refined at the same time"),
    ):
        run(spark, config)
    assert open_store(spark, config.store).read("refinements").isEmpty()
    assert run(spark, config)[2].counts["refined"] == 4
    check_conservation(spark, config)


def test_restore_keeps_the_work_of_others_and_needs_no_file_that_they_removed(
    spark: Any, config: Config, tmp_path: Path
) -> None:
    run(spark, config)
    then, store = texts(spark, config), open_store(spark, config.store)
    old = {table: store.version(table) for table in RESULTS}
    for table in RESULTS:
        optimize(store, table)
    for table in ("refined", "dropped_lines"):
        vacuum(store, table)
        assert not changes(store, table, old[table])
    # A run of another refinement dies before its commit; it has overwritten the tables.
    other = config.model_copy(update={"refinement": "other"})
    with (
        patch.object(executing, "append_refinement", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        execute(spark, other)

    pages(tmp_path / "pages", 2, "Late.")
    done = run(spark, config)[2]

    assert (done.version, done.counts["documents"]) == (1, 5)
    assert [row for row in texts(spark, config) if row[0] != "2-0"] == then
    check_conservation(spark, config)
    check_rederivation(spark, config)
    files = store.spark.sql(f"DESCRIBE DETAIL {store.table('refined')}").first()["numFiles"]
    assert files == 2, "the compacted file, and the late document's"


def test_a_rollback_goes_back_to_what_others_compacted(spark: Any, config: Config) -> None:
    run(spark, config)
    then, store = texts(spark, config), open_store(spark, config.store)
    for table in RESULTS:
        optimize(store, table)
    vacuum(store, "refined")
    other = config.model_copy(update={"refinement": "other"})
    assert execute(spark, other).version == 0

    assert rollback(spark, config.store, "first:0").new

    assert texts(spark, config) == then
    assert query(spark, config.store, "SELECT count(*) FROM `refined@other`").first()[0] == 4
