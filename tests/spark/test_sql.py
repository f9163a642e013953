"""``sql``: the store's tables by plain names, result tables as of any refinement, and nothing but questions."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, PROSE, run

from prox_spark.cli import main
from prox_spark.config import load_config
from prox_spark.errors import UsageError
from prox_spark.ingestion.ingest import ingest
from prox_spark.schemas import RESULT_TABLES, TABLES
from prox_spark.tables.store import open_store
from prox_spark.versions.sql import query

HEAD = PAGE.split("\n")[0]

Ask = Callable[[str], list[Any]]


@pytest.fixture(scope="module")
def store(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three versions: ``removes:0`` of one page, ``keeps:0`` of it, ``removes:1`` of two."""
    folder = tmp_path_factory.mktemp("sql")
    location = str(folder / "store")
    pages = folder / "pages"
    pages.mkdir()

    def refine(name: str, program: str) -> None:
        keys = [f"store={location}", f"refinement={name}", f"input.path={pages}", "input.format=json"]
        config = load_config(None, [*keys, "chunk.engine.kind=scripted", f"chunk.engine.default={program}"])
        run(spark, config)

    (pages / "1.json").write_text(json.dumps({"id": "a", "text": PAGE}))
    refine("removes", "remove_lines(start=0, end=0)")
    refine("keeps", "keep_chunk()")
    (pages / "2.json").write_text(json.dumps({"id": "b", "text": PAGE}))
    refine("removes", "remove_lines(start=0, end=0)")
    return location


@pytest.fixture
def ask(spark: Any, store: str) -> Ask:
    return lambda text: [tuple(row) for row in query(spark, store, text).collect()]


def test_plain_names_read_the_newest_refinement(ask: Ask) -> None:
    assert ask("SELECT doc_id, text LIKE 'Home%' FROM refined ORDER BY doc_id") == [("a", False), ("b", False)]
    assert ask("SELECT count(*) FROM dropped_lines") == [(2,)]
    assert ask("SELECT refinement, version FROM refinements ORDER BY created_at") == [
        ("removes", 0),
        ("keeps", 0),
        ("removes", 1),
    ]


def test_other_readers_read_every_table(store: str, ask: Ask) -> None:
    """delta-rs, which Polars and many others read through, and DuckDB over it: each table and each committed version."""
    readers = pytest.importorskip("deltalake")
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    for table in TABLES:
        connection.register("t", readers.DeltaTable(f"{store}/{table}").to_pyarrow_dataset())
        (found,) = connection.sql("SELECT count(*) FROM t").fetchall()
        # A question to `sql` reads result tables as committed; here the head is that version.
        assert [found] == ask(f"SELECT count(*) FROM {table}"), table
    asked = ", ".join(f"{table}_version" for table in RESULT_TABLES)
    for name, version, *versions in ask(f"SELECT refinement, version, {asked} FROM refinements"):
        for table, at in zip(RESULT_TABLES, versions, strict=True):
            connection.register("t", readers.DeltaTable(f"{store}/{table}", version=at).to_pyarrow_dataset())
            rows = connection.sql("SELECT doc_id, unit FROM t ORDER BY doc_id").fetchall()
            assert rows == ask(f"SELECT doc_id, unit FROM `{table}@{name}:{version}` ORDER BY doc_id")


def test_a_refinement_is_read_by_its_name_and_by_name_and_version(ask: Ask) -> None:
    assert ask("SELECT count(*) FROM `refined@removes`") == [(2,)]
    assert ask("SELECT count(*) FROM `refined@removes:0`") == [(1,)]
    assert ask("SELECT text FROM `refined@keeps`") == [(PAGE,)]
    assert ask("SELECT text FROM `dropped_lines@removes:0`") == [(HEAD,)]
    assert ask("SELECT count(*) FROM `dropped_lines@keeps`") == [(0,)]
    assert ask("SELECT count(*) FROM `documents@keeps`") == [(1,)]


def test_refinements_join_with_each_other_and_with_tables(ask: Ask) -> None:
    assert ask(
        """
        SELECT new.doc_id, length(old.text) - length(new.text), p.stage
        FROM `refined@removes` AS new JOIN `refined@keeps` old USING (doc_id)
        JOIN programs p ON p.doc_id = new.doc_id AND p.refiner IN
            (SELECT chunk_refiner FROM refinements WHERE refinement = 'removes')
        """
    ) == [("a", len(HEAD) + 1, "chunk")]
    assert ask("SELECT `refined@keeps`.doc_id FROM `refined@keeps`") == [("a",)]
    assert ask("SELECT refined.doc_id FROM refined WHERE doc_id = 'b'") == [("b",)]


def test_a_cte_may_use_tables_and_hide_them(ask: Ask) -> None:
    assert ask(
        """
        WITH lines AS (SELECT doc_id, explode(split(text, '\\n')) AS line FROM `refined@removes:0`),
             prose AS (SELECT * FROM lines WHERE line LIKE 'This is a long%')
        SELECT count(*) FROM prose
        """
    ) == [(PAGE.count(PROSE),)]
    assert ask("WITH refined AS (SELECT 'mine' AS text) SELECT text FROM refined") == [("mine",)]
    assert ask("WITH refined AS (SELECT doc_id FROM `refined@keeps`) SELECT * FROM refined") == [("a",)]
    own = "WITH Documents AS (SELECT * FROM documents WHERE doc_id = 'b') SELECT doc_id FROM documents"
    assert ask(own) == [("b",)]
    later = (
        "WITH a AS (SELECT doc_id FROM refined), refined AS (SELECT 'mine' AS doc_id) SELECT a.doc_id FROM a, refined"
    )
    assert sorted(ask(later)) == [("a",), ("b",)]
    assert ask("SELECT doc_id FROM Refined ORDER BY 1") == [("a",), ("b",)]


def test_a_doubled_quotation_mark_is_one(ask: Ask) -> None:
    assert ask("""SELECT 'don''t', "a""b", 'it\\'s', "don't" """) == [("don't", 'a"b', "it's", "don't")]


def test_unions_and_subqueries_are_questions_too(ask: Ask) -> None:
    assert ask("SELECT count(*) FROM refined UNION ALL SELECT count(*) FROM `refined@keeps` ORDER BY 1") == [(1,), (2,)]
    assert ask("SELECT doc_id FROM documents WHERE doc_id NOT IN (SELECT doc_id FROM `refined@keeps`)") == [("b",)]
    assert ask("SELECT 1 AS one;") == [(1,)]


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("SELECT * FROM `refined@remove`", "unknown refinement 'remove' (did you mean 'removes"),
        ("SELECT * FROM `refined@removes:7`", "unknown refinement 'removes:7' (did you mean 'removes:"),
        ("SELECT * FROM `refined@removes:new`", "expected a version number after ':'"),
        ("SELECT * FROM `files@removes`", "files has no refinement versions"),
        ("SELECT * FROM refned", "refned"),
        ("SELECT txt FROM refined", "`txt`"),
        ("SELECT count(*) FRM refined", "SQL: "),
        ("SELECT (1 FROM refined", "Line 1, Col"),
        ("SELECT no_such_function(text) FROM refined", "NO_SUCH_FUNCTION"),
        ("", "one SELECT"),
        ("SELECT 1; SELECT 2", "one SELECT"),
        ("DELETE FROM refined", "this command only reads"),
        ("INSERT INTO refined SELECT * FROM refined", "this command only reads"),
        ("CREATE TABLE t AS SELECT * FROM refined", "this command only reads"),
        ("DROP TABLE refined", "this command only reads"),
        ("WITH d AS (SELECT 1) DELETE FROM refined", "this command only reads"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_place_and_no_stack(
    spark: Any, store: str, question: str, reason: str
) -> None:
    with pytest.raises(UsageError) as refused:
        query(spark, store, question)
    said = str(refused.value)
    assert reason in said
    assert "\n" not in said
    assert "prox_spark_" not in said, "the name of a view is ours, not the user's"
    assert not any(word in said for word in ("org.apache", "stacktrace", "at scala", "\x1b"))


def test_an_unknown_column_is_named_with_its_place(spark: Any, store: str) -> None:
    with pytest.raises(UsageError, match=r"(?s)txt.*doc_id.*line 1.*pos"):
        query(spark, store, "SELECT txt FROM refined")


def test_result_tables_are_empty_before_any_refinement(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "pages.json").write_text('{"id": "a", "text": "A page."}\n')
    keys = [f"store={tmp_path / 'store'}", f"input.path={tmp_path / 'pages.json'}", "input.format=json"]
    config = load_config(None, [*keys, "chunk.engine.kind=rules"])
    ingest(spark, config)
    assert query(spark, config.store, "SELECT count(*) FROM documents").collect() == [(1,)]
    for table in ("refined", "dropped_lines", "dropped_documents", "refinements"):
        assert query(spark, config.store, f"SELECT * FROM {table}").collect() == []
    with pytest.raises(UsageError, match="unknown refinement 'first'"):
        query(spark, config.store, "SELECT * FROM `refined@first`")


def test_a_question_leaves_the_store_as_it_was(spark: Any, store: str, ask: Ask) -> None:
    before = open_store(spark, store).version("refined")
    ask("SELECT count(*) FROM refined")
    assert open_store(spark, store).version("refined") == before


def test_columns_of_one_name_are_no_json(store: str, spark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    question = "SELECT a.doc_id, b.doc_id FROM `refined@removes` a JOIN `refined@keeps` b ON a.doc_id = b.doc_id"
    assert main(["sql", "--store", store, question, "--output", "json"]) == 2
    assert "doc_id, doc_id); rename them with AS" in capsys.readouterr().err


def test_times_are_told_in_utc(store: str, spark: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        words = ["sql", "--store", store, "SELECT timestamp'2026-01-02 03:04:05' AS at"]
        assert main([*words, "--output", "json"]) == 0
        assert main(words) == 0
    finally:
        monkeypatch.undo()
        time.tzset()
    said = capsys.readouterr().out
    assert '"2026-01-02T03:04:05+00:00"' in said
    assert "2026-01-02 03:04:05+00:00" in said
