"""A table's newest version and commits are the same, whether its log is asked or SQL."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.errors import AnalysisException

from prox_spark.tables import delta_log
from prox_spark.tables.delta_log import Entry, changes_rows, newest_entries, newest_version

VERSIONS = 20


@pytest.fixture(scope="module")
def table(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Its name in SQL and its path; more commits than are read one by one."""
    path = str(tmp_path_factory.mktemp("log") / "a `table`, é")
    for number in range(VERSIONS - 2):
        writer = spark.range(number).coalesce(1).write.format("delta").mode("append")
        writer.option("userMetadata", f'{{"commit": {number}}}').save(path)
    name = "delta.`" + path.replace("`", "``") + "`"
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('a.b' = 'c')")
    spark.sql(f"DELETE FROM {name} WHERE id = 3")
    return name, path


@pytest.fixture(params=["log", "sql"])
def path(request: pytest.FixtureRequest, table: tuple[str, str]) -> str | None:
    return table[1] if request.param == "log" else None


def test_the_newest_version(spark: Any, table: tuple[str, str], path: str | None) -> None:
    assert newest_version(spark, table[0], path) == VERSIONS - 1


@pytest.mark.parametrize("limit", [1, 3, 16, 17, VERSIONS, 100])
def test_entries_are_the_newest_first(spark: Any, table: tuple[str, str], path: str | None, limit: int) -> None:
    entries = list(newest_entries(spark, table[0], path, limit))
    assert [entry.version for entry in entries] == list(range(VERSIONS - 1, -1, -1))[:limit]
    own = [Entry(number, f'{{"commit": {number}}}', "WRITE", number) for number in range(VERSIONS - 3, -1, -1)]
    assert entries[2:] == own[: max(0, limit - 2)]
    assert [entry.operation for entry in entries[:2]] == ["DELETE", "SET TBLPROPERTIES"][:limit]


def test_an_entry_that_another_program_wrote_is_read_by_sql(spark: Any, tmp_path: Path) -> None:
    path = tmp_path / "foreign"
    for mode in ("append", "append"):
        spark.range(2).coalesce(1).write.format("delta").mode(mode).option("userMetadata", "told").save(str(path))
    entry = path / "_delta_log" / f"{1:020d}.json"
    first, *others = entry.read_text().splitlines()
    entry.write_text("\n".join([*others, first]) + "\n")
    (path / "_delta_log" / f".{1:020d}.json.crc").unlink()

    found = list(newest_entries(spark, f"delta.`{path}`", str(path), 2))

    assert [(one.version, one.metadata, one.rows) for one in found] == [(1, "told", 2), (0, "told", 2)]


def test_a_commit_that_only_moves_rows_to_other_files_changes_none(spark: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "moved")
    name = f"delta.`{path}`"
    for _ in range(2):
        spark.range(2).coalesce(1).write.format("delta").mode("append").save(path)
    rows = spark.read.format("delta").load(path).coalesce(1)
    rows.write.format("delta").mode("overwrite").option("dataChange", "false").save(path)
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('a.b' = 'c')")

    for location in (path, None):
        assert [changes_rows(spark, name, location, version) for version in range(4)] == [True, True, False, True]
    assert changes_rows(spark, name, path, 77), "a commit that is not there"


def test_no_table_is_an_error_of_spark(spark: Any, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(AnalysisException):
        newest_version(spark, f"delta.`{missing}`", str(missing))


def test_sql_answers_where_the_jvm_hides_delta(spark: Any, table: tuple[str, str]) -> None:
    class Hidden:
        """What PySpark gives for a class that the JVM lacks, as on Databricks: something that cannot be called."""

        def __getattr__(self, name: str) -> "Hidden":
            return self

    session: Any = SimpleNamespace(_jvm=Hidden(), _jsparkSession=None, sql=spark.sql)
    assert delta_log._Log.open(session, table[1]) is None
    assert newest_version(session, table[0], table[1]) == VERSIONS - 1
