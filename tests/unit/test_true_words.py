"""Messages say what happened: whose file is gone, whose commit came between, why a job really ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.errors import AnalysisException

from prox_spark.cleanup import afterwards
from prox_spark.cli import main
from prox_spark.cli.options import opened
from prox_spark.errors import LeaseError, StoreError, is_passing_conflict, store_damage
from prox_spark.tables import commits, leases
from prox_spark.tables.commits import Commit, Purpose
from prox_spark.tables.delta_log import Entry
from prox_spark.tables.leases import Lease, Standing
from prox_spark.tables.purpose import session_settings
from prox_spark.tables.store import Store, find_store

APPENDED = (
    "An error occurred while calling o99.save.\n: io.delta.exceptions.ConcurrentAppendException: "
    "[DELTA_CONCURRENT_APPEND.WITHOUT_HINT] Files were added to the root of the table by a concurrent update."
)
OWN = "[DELTA_CONCURRENT_TRANSACTION] This error occurs when multiple streaming queries are using the same checkpoint"
GONE = "[FAILED_READ_FILE.FILE_NOT_EXIST] Encountered error while reading file {}. File does not exist."


def fails_with(error: Exception) -> Any:
    """A verb's function that raises this once it knows its store."""

    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[Exception], str]:
    """What the command line says where a verb on the store ``/data/store`` ends with an error."""

    def say(error: Exception, store: str = "/data/store") -> str:
        monkeypatch.setattr("prox_spark.cli.options.start", lambda _: None)
        monkeypatch.setattr("prox_spark.history", fails_with(error))
        assert main(["history", "--store", store]) == 1
        line: str = capsys.readouterr().err
        assert line.count("\n") == 1
        return line

    return say


@pytest.mark.parametrize(
    ("store", "file", "table"),
    [
        ("/data/store", "file:/data/store/refined/part-00000-a.snappy.parquet", "refined"),
        ("/data/store", "file:///data/store/documents/part-1", "documents"),
        ("s3a://bucket/store", "s3a://bucket/store/programs/part-1", "programs"),
        ("hdfs://host:8020/store/", "hdfs://host:8020/store/programs/part-1", "programs"),
        ("/user/me/store", "hdfs://host:8020/user/me/store/programs/part-1", "programs"),
        ("lake.corpus", "s3://warehouse/corpus.db/refined/part-1", "refined"),
    ],
)
def test_a_file_of_the_store_that_is_gone_is_said_to_be_of_the_store(store: str, file: str, table: str) -> None:
    told = store_damage(OSError(GONE.format(file)), store)
    assert str(told).startswith(f"files of {table} needed by this version were deleted, as VACUUM does.")


@pytest.mark.parametrize(
    "file",
    ["file:/corpora/documents/part-1", "s3a://bucket/input/part-00000.parquet", "/data/store-2/refined/part-1"],
)
def test_a_file_of_the_input_that_is_gone_is_not_blamed_on_vacuum(file: str, said: Callable[[Exception], str]) -> None:
    assert store_damage(OSError(GONE.format(file)), "/data/store") is None
    told = said(OSError(GONE.format(file)))
    assert "VACUUM" not in told
    assert file in told


def test_a_path_of_the_input_that_is_missing_does_not_make_the_store_incomplete() -> None:
    missing = AnalysisException("[PATH_NOT_FOUND] Path does not exist: file:/corpora/a. SQLSTATE: 42K03")
    assert store_damage(missing, "/data/store") is None
    own = AnalysisException("[DELTA_PATH_DOES_NOT_EXIST] /data/store/pins doesn't exist")
    assert "the store is incomplete" in str(store_damage(own, "/data/store"))


def test_a_version_that_is_gone_names_no_file() -> None:
    error = AnalysisException("[DELTA_VERSION_NOT_FOUND] Cannot time travel Delta table to version 3.")
    assert "files needed by this version were deleted" in str(store_damage(error, "/data/store"))


@pytest.mark.parametrize(
    "message", [APPENDED, OWN, "io.delta.exceptions.ConcurrentDeleteReadException: a file was deleted"]
)
def test_a_conflict_that_ends_a_verb_is_no_class_of_java(message: str, said: Callable[[Exception], str]) -> None:
    told = said(RuntimeError(message))
    assert told.startswith("prox-spark: another job or program wrote to the same table at the same time")
    assert "Exception" not in told
    assert "DELTA_" not in told


def test_every_class_of_a_passing_conflict_is_known() -> None:
    for name in (
        "ConcurrentAppend",
        "ConcurrentDeleteRead",
        "ConcurrentDeleteDelete",
        "ConcurrentWrite",
        "MetadataChanged",
    ):
        assert is_passing_conflict(RuntimeError(f"io.delta.exceptions.{name}Exception: no code"))


class Writer:
    """A writer of Delta's whose commits and answers are chosen; ``history`` has what was committed."""

    def __init__(self, history: list[str], error: Exception | None, *, commits: bool) -> None:
        self._history, self._error, self._commits = history, error, commits
        self._metadata = ""

    def option(self, key: str, value: Any) -> "Writer":
        if key == "userMetadata":
            self._metadata = value
        return self

    def save(self) -> None:
        if self._commits:
            self._history.append(self._metadata)
        if self._error is not None:
            raise self._error


@pytest.fixture
def commit_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Commit]:
    """A commit whose write ends as told."""

    def commit(error: Exception | None, *, there: bool, lease: Lease | None = None) -> Commit:
        history: list[str] = []
        writer = Writer(history, error, commits=there)
        store: Any = SimpleNamespace(save=lambda writer, _: writer.save(), location="s")
        monkeypatch.setattr(commits, "_find", lambda *of, **_: Commit(7, 3) if of[2] in history else None)
        monkeypatch.setattr(commits, "spark_schema", lambda _: [])
        writing = SimpleNamespace(format=lambda _: SimpleNamespace(mode=lambda _: writer))
        rows: Any = SimpleNamespace(select=lambda: SimpleNamespace(write=writing))
        return commits.commit(store, lease or Lease("execute", 2, "me"), "refined", rows, Purpose("execute"))

    return commit


LOST = [RuntimeError(OWN), RuntimeError("java.net.SocketException: Connection reset"), RuntimeError(APPENDED)]


@pytest.mark.parametrize("error", LOST, ids=["met its own commit", "no answer", "met its own rows"])
def test_a_commit_whose_answer_was_lost_is_known_by_the_history(
    error: Exception, commit_of: Callable[..., Commit]
) -> None:
    assert commit_of(error, there=True) == Commit(7, 3)


def test_an_outage_is_no_other_job(commit_of: Callable[..., Commit]) -> None:
    with pytest.raises(RuntimeError, match=r"^503 Slow Down"):
        commit_of(RuntimeError("503 Slow Down"), there=False)
    expired = Lease("execute", 2, "me")

    def lose(*_: Any) -> None:
        leases._lose(expired, "lease execute expired: no heartbeat could be written for 10 minutes")

    lose()
    expired_writer = Lease("execute", 2, "me", lost=expired.lost, why_lost=expired.why_lost)
    with pytest.raises(LeaseError, match="no heartbeat could be written"):
        commit_of(None, there=False, lease=expired_writer)
    with pytest.raises(LeaseError, match="lost lease execute to another job"):
        commit_of(RuntimeError(OWN), there=False)


def test_a_lease_whose_answer_was_lost_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    history: list[str] = []

    class Spark:
        def range(self, *_: Any, **__: Any) -> Any:
            writer = Writer(history, RuntimeError(OWN), commits=True)
            writing = SimpleNamespace(format=lambda _: SimpleNamespace(mode=lambda _: writer))
            return SimpleNamespace(select=lambda *_: SimpleNamespace(write=writing))

    monkeypatch.setattr(leases, "F", SimpleNamespace(lit=lambda _: Anything()))
    monkeypatch.setattr(leases, "_time", lambda *_: None)
    monkeypatch.setattr(leases, "_newest", lambda *_: None)
    monkeypatch.setattr(leases, "_last_beat", lambda *_: None)

    def entries(*_: Any) -> list[Entry]:
        return [Entry(0, mark, "WRITE", 1) for mark in history]

    store: Any = SimpleNamespace(spark=Spark(), entries=entries, save=lambda writer, _: writer.save())
    assert leases._acquire(store, "execute").token == 1
    assert len(history) == 1


class Anything:
    """A column, as far as is asked."""

    def alias(self, _: str) -> "Anything":
        return self

    def cast(self, _: str) -> "Anything":
        return self


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A lease whose release fails, as where the store is out of reach."""
    monkeypatch.setattr(leases, "_acquire", lambda _, key: Lease(key, 1, "me", contested=False))
    monkeypatch.setattr(leases, "_renew", fails_with(OSError("503 Slow Down")))
    store: Any = None
    return lambda: leases._held(store, "execute")


def test_a_release_that_fails_does_not_hide_the_reason(held: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StoreError, match=r"^the disk is full$"), held():
        raise StoreError("the disk is full")
    assert "could not give back lease execute (token 1); it expires in 10 minutes at most: 503 Slow Down" in caplog.text


def test_a_release_that_fails_does_not_make_a_finished_job_fail(held: Any, caplog: pytest.LogCaptureFixture) -> None:
    with held():
        pass
    assert "could not give back lease execute" in caplog.text


def test_what_is_done_afterwards_does_not_hide_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(StoreError, match="the reason"), afterwards(fails_with(OSError("gone"))):
        raise StoreError("the reason")
    assert "could not tidy up after an error: OSError: gone" in caplog.text
    with pytest.raises(OSError, match="gone"), afterwards(fails_with(OSError("gone"))):
        pass
    spark: Any = SimpleNamespace(conf=SimpleNamespace(set=lambda *_: None, unset=fails_with(OSError("no session"))))
    with pytest.raises(StoreError, match="the reason"), session_settings(spark, {"a": "b"}):
        raise StoreError("the reason")


@contextmanager
def hadoop(monkeypatch: pytest.MonkeyPatch, folder: str | None) -> Iterator[None]:
    for variable in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(variable, raising=False)
    if folder is not None:
        monkeypatch.setenv("HADOOP_CONF_DIR", folder)
    yield


@pytest.mark.parametrize(
    ("settings", "folder", "asked"),
    [
        ({"spark.master": "local[2]"}, None, False),
        ({"spark.master": "yarn"}, None, True),
        ({"spark.master": "local[2]"}, "/etc/hadoop/conf", True),
        ({"spark.master": "local[2]", "spark.hadoop.fs.defaultFS": "hdfs://host"}, None, True),
        ({}, None, True),
    ],
)
def test_a_path_without_a_scheme_may_be_on_hdfs(
    settings: dict[str, str], folder: str | None, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark is asked for the table there: this machine's disk tells nothing."""
    rows = [{"key": "prox_spark.store_version", "value": str(Store.number)}]
    spark: Any = SimpleNamespace(
        conf=SimpleNamespace(get=lambda key, default: settings.get(key, default)),
        sql=lambda _: SimpleNamespace(collect=lambda: rows),
    )
    with hadoop(monkeypatch, folder):
        assert (find_store(spark, "/user/nobody/store") is not None) == asked


def test_the_store_of_one_verb_is_not_that_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    opened.set("/data/store")
    assert main(["--version"]) == 0
    assert opened.get() is None


def test_a_holder_is_named_until_when(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    monkeypatch.setattr(leases, "_last_beat", lambda *_: None)
    monkeypatch.setattr(leases, "_newest", lambda *_: Standing(3, "elsewhere:boot:1:2:3:4", now, now + leases.EXPIRY))
    store: Any = None
    with pytest.raises(LeaseError, match=r"another job holds the lease execute \(elsewhere:boot:1:2:3:4, until "):
        leases._acquire(store, "execute")


def test_no_heartbeat_takes_back_a_lease_that_was_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that meets another commit is tried again, and by then its job may have given the lease back."""
    now, beats, written = datetime.now(UTC), [], []
    lease = Lease("execute", 1, "me")

    def set_properties(*_: Any) -> None:
        written.append(len(beats))
        beats.append((1, now, now))
        raise RuntimeError(
            "[DELTA_METADATA_CHANGED] The metadata of the Delta table has been changed by a concurrent update"
        )

    monkeypatch.setattr(leases.time, "sleep", lambda _: None)
    monkeypatch.setattr(leases, "_last_beat", lambda *_: beats[-1] if beats else None)
    monkeypatch.setattr(leases, "set_properties", set_properties)
    store: Any = None
    assert not leases._renew(store, lease)
    assert written == [0]
