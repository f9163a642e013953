"""Looking after a store: pins, rollback, optimize and forget, over copies of one store with three refinement versions.

Slow: each of these verbs takes several leases and writes to every table, and VACUUM lists all files: minutes together.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
from claims import PAGE, check_conservation, check_once, check_rederivation, run, verbs, versions

from prox_spark.cli import main
from prox_spark.config import Config, load_config
from prox_spark.errors import LeaseError, StoreError, UsageError
from prox_spark.ingestion.ingest import ingest
from prox_spark.refinement.execute import execute
from prox_spark.tables.commits import Commit, commit, compact, vacuum
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.store import Store, open_store
from prox_spark.versions.forget import forget
from prox_spark.versions.optimize import optimize
from prox_spark.versions.pin import pin
from prox_spark.versions.rollback import rollback
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

RESULTS = ("refined", "dropped_lines", "dropped_documents")
MARK = "Q7xk93vTzzp0"
"""Stands in the texts of three documents: in lines that stay, that go, and that are rewritten."""


@dataclass(frozen=True)
class Made:
    """A store of its own with ``first:0`` of five documents, ``second:0`` of them, ``first:1`` of seven."""

    folder: Path
    store: str

    def config(self, name: str = "first") -> Config:
        on_failed = {"first": "quarantine", "second": "keep"}[name]
        edit = 'remove_lines(start=0, end=1)\nnormalize(source_str=" an edit")'
        answers = json.dumps({"stands here": edit, "Cheap": "drop_doc()", "Spam": "drop_doc()"})
        return load_config(
            None,
            [
                f"store={self.store}",
                f"refinement={name}",
                f"input.path={self.folder / 'pages'}",
                "input.format=json",
                "chunk.engine.kind=scripted",
                f"chunk.engine.answers={answers}",
                "chunk.engine.default=remove_lines(start=0, end=0)",
                "chunk.engine.error_on=Poison",
                f"execution.on_failed_chunk={on_failed}",
            ],
        )


def write(folder: Path, file: str, pages: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    rows = [{"id": name, "text": f"Head of {name}\n{text}\n{PAGE}"} for name, text in pages.items()]
    (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def base(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("keeping")
    made = Made(folder, str(folder / "store"))
    marked = f"{MARK} stands here.\nAnd an edit {MARK}-edit of it."
    write(
        folder / "pages",
        "1.json",
        {"kept": "Kept.", "marked": marked, "cheap": f"Cheap {MARK}", "spam": "Spam", "poison": f"Poison {MARK}"},
    )
    run(spark, made.config())
    execute(spark, made.config("second"))
    write(folder / "pages", "2.json", {"late": "Late.", "poison-2": "Poison again"})
    run(spark, made.config())
    return made


@contextmanager
def dying(name: str) -> Iterator[None]:
    """A block in which one function dies when it is called."""
    with patch(name, side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        yield


@pytest.fixture
def made(base: Made, tmp_path: Path) -> Made:
    shutil.copytree(base.folder, tmp_path, dirs_exist_ok=True)
    return Made(tmp_path, str(tmp_path / "store"))


def contents(spark: Any, store: str, name: str) -> dict[str, list[str]]:
    """The rows of a refinement version's tables; of ``quarantine`` its own, without their time."""
    own = f"SELECT doc_id, stage, error_class FROM `quarantine@{name}` WHERE refinement = '{name.partition(':')[0]}'"
    questions = {table: f"SELECT * FROM `{table}@{name}`" for table in RESULTS} | {"quarantine": own}
    return {table: sorted(map(str, query(spark, store, text).collect())) for table, text in questions.items()}


def newest(spark: Any, made: Made) -> Any:
    return open_store(spark, made.store).read("refinements").orderBy("created_at").collect()[-1]


def test_a_rollback_is_a_new_version_with_the_rows_of_then_and_the_second_is_none(spark: Any, made: Made) -> None:
    then, later = contents(spark, made.store, "first:0"), contents(spark, made.store, "first:1")
    assert then != later

    done = rollback(spark, made.store, "first:0")

    assert (done.refinement, done.version, done.from_version, done.new) == ("first", 2, 0, True)
    assert contents(spark, made.store, "first") == then
    assert contents(spark, made.store, "first:1") == later
    assert query(spark, made.store, "SELECT doc_id FROM quarantine WHERE refinement = 'first'").collect() == [
        ("poison",)
    ]
    before = versions(Path(made.store))
    for name in ("first:0", "first", "first:2"):
        again = rollback(spark, made.store, name)
        assert (again.version, again.new) == (2, False)
    assert versions(Path(made.store)) == before

    # From here on as after the version that was rolled back to.
    done = execute(spark, made.config())
    assert (done.version, done.new) == (3, True)
    assert contents(spark, made.store, "first") == later
    check_conservation(spark, made.config())
    check_rederivation(spark, made.config())


def test_a_rollback_to_another_name_makes_that_the_newest(spark: Any, made: Made) -> None:
    then = contents(spark, made.store, "second")
    row = open_store(spark, made.store).read("refinements").where("refinement = 'second'").first()
    done = rollback(spark, made.store, f"@{row['refined_version']}")
    assert (done.refinement, done.version) == ("second", 1)
    assert contents(spark, made.store, "second") == then
    assert query(spark, made.store, "SELECT count(*) FROM refined").collect() == [(row["counts"]["refined"],)]
    assert execute(spark, made.config("second")).counts["documents"] == 7
    check_conservation(spark, made.config("second"))


def test_a_rollback_while_another_job_executes_is_refused(spark: Any, made: Made) -> None:
    before = contents(spark, made.store, "first")
    with (
        hold(open_store(spark, made.store), "execute"),
        pytest.raises(LeaseError, match="another job holds the lease execute"),
    ):
        rollback(spark, made.store, "second")
    assert contents(spark, made.store, "first") == before


def test_optimize_compacts_changes_no_row_and_finds_nothing_the_second_time(spark: Any, made: Made) -> None:
    names = ("first:0", "first:1", "second:0")
    before = {name: contents(spark, made.store, name) for name in names}
    documents = sorted(map(str, query(spark, made.store, "SELECT * FROM documents").collect()))

    done = optimize(spark, made.store)

    assert (done.refinement, done.version, done.busy) == ("first", 2, [])
    assert {"documents", "programs", "refined"} <= done.files.keys()
    assert all(n["after"] < n["before"] for n in done.files.values())
    assert contents(spark, made.store, "first:2") == before["first:1"]
    assert {name: contents(spark, made.store, name) for name in names} == before
    assert sorted(map(str, query(spark, made.store, "SELECT * FROM documents").collect())) == documents
    assert not execute(spark, made.config()).new
    check_once(spark, made.config())
    check_rederivation(spark, made.config())

    with hold(open_store(spark, made.store), "ingest"):
        held = versions(Path(made.store))
    again = optimize(spark, made.store)
    assert (again.version, set(again.files) - {"leases"}) == (2, set())
    assert {table: n for table, n in versions(Path(made.store)).items() if table != "leases"} == {
        table: n for table, n in held.items() if table != "leases"
    }

    # New documents are added to the compacted tables, and nothing is put back.
    write(made.folder / "pages", "3.json", {"later": "Later."})
    done = run(spark, made.config())[2]
    assert (done.version, done.counts["documents"]) == (3, 8)
    assert verbs(Path(made.store), "refined")[-2:] == ["optimize", "execute"]
    check_conservation(spark, made.config())


def test_optimize_commits_what_a_run_compacted_that_died_before_its_row(spark: Any, made: Made) -> None:
    store = open_store(spark, made.store)
    before = contents(spark, made.store, "first:1")
    compacted = {table: compact(store, table, "unit") for table in RESULTS}

    done = optimize(spark, made.store)

    assert (done.refinement, done.version) == ("first", 2)
    row = newest(spark, made)
    assert {table: row[f"{table}_version"] for table in RESULTS} == compacted
    assert contents(spark, made.store, "first:2") == before
    assert optimize(spark, made.store).version == 2


def test_what_another_job_may_replace_is_left_alone(spark: Any, made: Made) -> None:
    with hold(open_store(spark, made.store), "execute"):
        done = optimize(spark, made.store)
    assert "refined" in done.busy
    assert not {"refined", "dropped_lines"} & done.files.keys()
    assert "documents" in done.files
    assert newest(spark, made)["version"] == 1


def test_a_pin_is_recorded_once_and_a_copy_outlives_vacuum(
    spark: Any, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    then = contents(spark, made.store, "first:0")
    assert pin(spark, made.store, "first:0").new
    assert not pin(spark, made.store, "first:0").new
    pinned = pin(spark, made.store, "first:0", copy=True)
    assert (pinned.version, pinned.new, pinned.copy is not None) == (0, True, True)
    before = versions(Path(made.store))
    assert not pin(spark, made.store, "first:0", copy=True).new
    assert versions(Path(made.store)) == before

    store = open_store(spark, made.store)
    with hold(store, "execute") as lease:
        vacuum(store, lease, RESULTS)

    assert contents(spark, made.store, "first:0") == then
    assert query(spark, made.store, "SELECT count(*) FROM `documents@first:0`").collect() == [(5,)]
    assert query(spark, made.store, "SELECT count(*) FROM `programs@first:0`").collect() == [(5,)]
    capsys.readouterr()
    # Of a version without a copy the files are gone: that is what is said, in one line.
    for words in (["sql", "SELECT text FROM `refined@second`"], ["rollback", "second"]):
        assert main([*words, "--store", made.store]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        *_, reason = said.err.splitlines()
        assert reason.startswith("prox-spark: ")
        assert "VACUUM" in reason
        assert "refined" in reason


def test_forgotten_documents_leave_every_table_and_do_not_come_back(
    spark: Any, made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    before = newest(spark, made)["counts"]
    capsys.readouterr()
    words = ["forget", "--store", made.store, "kept", "poison", "nowhere", "--where", "text LIKE '%Cheap%'"]
    assert main([*words, "--output", "json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["documents"], done["unknown"], done["rows"]["documents"]) == (3, 1, 3)

    after = newest(spark, made)
    assert (after["refinement"], after["version"], after["verb"], after["from_version"]) == ("first", 2, "forget", 1)
    assert after["counts"]["documents"] == before["documents"] - 3
    for table in ("documents", "programs", *RESULTS, "quarantine"):
        assert query(spark, made.store, f"SELECT * FROM {table} WHERE doc_id IN ('kept', 'poison', 'cheap')").isEmpty()
    check_conservation(spark, made.config())
    check_rederivation(spark, made.config())
    (receipt,) = query(spark, made.store, "SELECT * FROM receipts").collect()
    assert (receipt["documents"], receipt["history"]) == (3, False)
    assert "kept" not in str(query(spark, made.store, "SELECT * FROM forgotten").collect())

    standing = versions(Path(made.store))
    assert forget(spark, made.store, ["kept", "poison"]).receipt is None
    assert not execute(spark, made.config()).new
    assert versions(Path(made.store)) == standing
    for again in (rollback, partial(pin, copy=True)):
        with pytest.raises(StoreError, match="contains documents that were forgotten"):
            again(spark, made.store, "first:1")

    # The same records from a file that was touched, and in a new one.
    page = made.folder / "pages" / "1.json"
    write(made.folder / "pages", "1.json", {"kept": "Kept.", "spam": "Spam"})
    write(made.folder / "pages", "3.json", {"kept": "Kept.", "new": "New."})
    assert page.exists()
    read = ingest(spark, made.config())
    assert (read.documents, query(spark, made.store, "SELECT * FROM documents WHERE doc_id = 'kept'").count()) == (1, 0)
    rejected = query(spark, made.store, "SELECT doc_id, position FROM quarantine WHERE error_class = 'Forgotten'")
    assert [tuple(row) for row in rejected.collect()] == [(None, 0), (None, 0)]

    # Nor does a record of that id which cannot be read say its name; of another id it does, until that is forgotten.
    rows = [{"id": name, "text": None} for name in ("kept", "broken")]
    (made.folder / "pages" / "4.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ingest(spark, made.config())
    unread = "SELECT doc_id FROM quarantine WHERE file LIKE '%/4.json' ORDER BY position"
    assert [row["doc_id"] for row in query(spark, made.store, unread).collect()] == [None, "broken"]
    assert forget(spark, made.store, ["broken"]).unknown == 0
    assert [row["doc_id"] for row in query(spark, made.store, unread).collect()] == [None]

    # Another refinement is made again, as a version after the one that still has them.
    run(spark, made.config("second"))
    done = execute(spark, made.config("second"))
    assert (done.version, done.counts["documents"]) == (1, 5)
    check_conservation(spark, made.config("second"))


def test_forget_reaches_a_copy_that_was_cut_short(spark: Any, made: Made) -> None:
    def die_at_its_row(store: Store, lease: Lease, table: str, *about: Any, **more: Any) -> Commit:
        if table == "pins":
            raise KeyboardInterrupt
        return commit(store, lease, table, *about, **more)

    with patch("prox_spark.versions.pin.commit", die_at_its_row), pytest.raises(KeyboardInterrupt):
        pin(spark, made.store, "first:0", copy=True)
    copies = [path for path in Path(made.store).iterdir() if path.name.startswith("pinned_")]
    assert len(copies) == 6
    shutil.rmtree(next(path for path in copies if path.name.endswith("_dropped_lines")))
    forget(spark, made.store, ["kept"])
    (documents,) = (path.name for path in copies if path.name.endswith("_documents") and "dropped" not in path.name)
    left = open_store(spark, made.store).read(documents)
    assert (left.count(), left.where("doc_id = 'kept'").count()) == (4, 0)


def test_a_condition_that_is_none_and_no_documents_at_all_are_refused(spark: Any, made: Made) -> None:
    before = versions(Path(made.store))
    with pytest.raises(UsageError, match="nothing to forget"):
        forget(spark, made.store)
    with pytest.raises(UsageError, match=r"--where: .*txt"):
        forget(spark, made.store, where="txt LIKE 'a%'")
    with pytest.raises(UsageError, match=r"--where: "):
        forget(spark, made.store, where="text LIKE 'a%')")
    assert forget(spark, made.store, ["nowhere"]).unknown == 1
    assert versions(Path(made.store)) == before


def holds(folder: Path, text: str) -> list[str]:
    """Files under a folder that hold a text: as bytes, or among the values of a Parquet file, its statistics included."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (
            text.encode() in path.read_bytes()
            or (path.name.endswith(".parquet") and not path.name.startswith(".") and in_parquet(path, text))
        ):
            found.append(str(path.relative_to(folder)))
    return found


def in_parquet(path: Path, text: str) -> bool:
    return text in str(pq.ParquetFile(path).metadata.to_dict()) or text in str(pq.read_table(path).to_pylist())


def test_forget_with_history_leaves_the_text_in_no_file_of_the_store(spark: Any, made: Made) -> None:
    store = Path(made.store)
    pin(spark, made.store, "first:0", copy=True)
    held = {Path(path).parts[0] for path in holds(store, MARK)}
    assert {"documents", "refined", "dropped_lines"} <= held
    assert any(table.startswith("pinned_") for table in held)

    # A run that dies after the documents went and before the refinement is committed is completed by the next.
    with dying("prox_spark.versions.forget._renew"):
        forget(spark, made.store, where=f"text LIKE '%{MARK}%'", history=True)
    done = forget(spark, made.store, where=f"text LIKE '%{MARK}%'", history=True)

    assert done.receipt is not None
    assert holds(store, MARK) == []
    assert query(spark, made.store, "SELECT count(DISTINCT doc_id) FROM programs").collect() == [(4,)]
    (receipt,) = query(spark, made.store, "SELECT documents, history FROM receipts").collect()
    assert tuple(receipt) == (3, True)
    row = newest(spark, made)
    assert (row["verb"], row["counts"]["documents"], row["counts"]["refined"]) == ("forget", 4, 2)
    check_conservation(spark, made.config())
    check_rederivation(spark, made.config())
    for name in ("first:1", "second"):
        with pytest.raises(StoreError, match=rf"refinement {name[:5]}.* no longer exists: `forget --history` removed"):
            query(spark, made.store, f"SELECT * FROM `refined@{name}`")
    assert len(contents(spark, made.store, "first:0")["refined"]) == 1, "the pinned copy is there, without them"

    standing = versions(store)
    assert forget(spark, made.store, where=f"text LIKE '%{MARK}%'", history=True).receipt is None
    assert not execute(spark, made.config()).new
    assert versions(store) == standing
    again = execute(spark, made.config("second"))
    assert (again.version, again.counts["documents"]) == (1, 4)
    check_conservation(spark, made.config("second"))
