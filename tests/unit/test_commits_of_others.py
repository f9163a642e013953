"""Which commits of another program count as rivals, over tables that delta-rs writes, compacts and cleans up."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from prox_spark.errors import LeaseError
from prox_spark.tables import commits, refinements
from prox_spark.tables.commits import changes
from prox_spark.tables.delta_log import Entry, _changes_rows
from prox_spark.tables.leases import Lease
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.refinements import check_chain, settle

TABLE = "refined"
LEASE = Lease("execute", 1, "me")


class Logged:
    """What is asked of a store about its commits, from the files of a table's log."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TABLE

    def _actions(self, version: int) -> list[dict[str, Any]]:
        entry = self._path / "_delta_log" / f"{version:020d}.json"
        return [json.loads(line) for line in entry.read_text().splitlines()]

    def version(self, table: str) -> int:
        return DeltaTable(self._path).version()

    def entries(self, table: str, limit: int) -> Iterator[Entry]:
        for version in range(self.version(table), max(-1, self.version(table) - limit), -1):
            info = next(action["commitInfo"] for action in self._actions(version) if "commitInfo" in action)
            yield Entry(version, info.get("userMetadata"), info["operation"], 0)

    def changes_rows(self, table: str, version: int) -> bool:
        return any(map(_changes_rows, self._actions(version)))

    def append(self, purpose: Purpose | None = None) -> int:
        """Append a row, as a commit of this package where it has a purpose; the version."""
        own = {} if purpose is None else {"userMetadata": purpose.metadata()}
        rows = pa.table({"doc_id": ["a"]})
        write_deltalake(self._path, rows, mode="append", commit_properties=CommitProperties(custom_metadata=own))
        return self.version(TABLE)

    def compact(self) -> int:
        table = DeltaTable(self._path)
        assert table.optimize.compact()["numFilesRemoved"]
        return self.version(TABLE)

    def clean(self) -> int:
        assert DeltaTable(self._path).vacuum(0, dry_run=False, enforce_retention_duration=False)
        return self.version(TABLE)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    found = Logged(tmp_path)
    for _ in range(2):
        found.append(Purpose("execute", "first", 0))
    return found


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The versions that a table was restored to."""
    found: list[int] = []

    def restore(store: Any, lease: Lease, table: str, version: int) -> int:
        found.append(version)
        return store.version(table) + 1

    monkeypatch.setattr(refinements, "restore", restore)
    return found


def test_compaction_and_vacuum_between_two_commits_are_no_rivals(store: Any, restored: list[int]) -> None:
    before = store.version(TABLE)
    assert store.compact() == before + 1
    assert store.clean() > before + 1
    assert changes(store, TABLE, before) == []
    assert settle(store, LEASE, TABLE, before) == store.version(TABLE)
    assert restored == []
    after = store.append(Purpose("execute", "first", 1))
    check_chain(store, {TABLE: before}, {TABLE: after})


@pytest.mark.parametrize("first", [True, False], ids=["before the own commit", "after it"])
def test_rows_of_another_program_are_a_rival(store: Any, first: bool) -> None:
    before = store.version(TABLE)
    for purpose in (None, Purpose("execute", "first", 1))[:: 1 if first else -1]:
        store.append(purpose)
    with pytest.raises(LeaseError, match=f"another job wrote to {TABLE} at the same time"):
        check_chain(store, {TABLE: before}, {TABLE: store.version(TABLE)})


def test_a_job_that_changes_no_rows_allows_no_commit_of_rows(store: Any) -> None:
    before = store.version(TABLE)
    store.compact()
    check_chain(store, {TABLE: before}, {TABLE: store.version(TABLE)}, {TABLE: 0})
    store.append(None)
    with pytest.raises(LeaseError, match=f"another job wrote to {TABLE} at the same time"):
        check_chain(store, {TABLE: before}, {TABLE: store.version(TABLE)}, {TABLE: 0})


def test_a_table_is_restored_to_the_last_version_with_the_same_rows(store: Any, restored: list[int]) -> None:
    before = store.version(TABLE)
    store.compact()
    same = store.clean()
    store.append(Purpose("execute", "other", 0))
    settle(store, LEASE, TABLE, before)
    assert restored == [same]


@pytest.mark.parametrize(
    ("actions", "changed"),
    [
        ([{"add": {"dataChange": False}}, {"remove": {"dataChange": False}}], False),
        ([{"add": {"dataChange": False}}, {"remove": {"dataChange": True}}], True),
        ([{"add": {}}], True),
        ([{"metaData": {}}], True),
        ([{"txn": {}}, {"domainMetadata": {}}], False),
    ],
)
def test_a_commit_changes_rows_where_its_actions_say_so(actions: list[dict[str, Any]], changed: bool) -> None:
    assert any(map(_changes_rows, actions)) == changed


class Told(Logged):
    """A table whose history is given, newest first."""

    def __init__(self, *history: Entry) -> None:
        self._history = history

    def version(self, table: str) -> int:
        return self._history[0].version

    def entries(self, table: str, limit: int) -> Iterator[Entry]:
        return iter(self._history[:limit])

    def changes_rows(self, table: str, version: int) -> bool:
        """As where the actions cannot be read."""
        return True


@pytest.mark.parametrize(("verb", "counts"), [("forget", True), ("fence", False)])
def test_an_empty_commit_of_this_package_counts_unless_it_is_a_fence(verb: str, counts: bool) -> None:
    """By one, `forget` tells `execute` that it has run."""
    told: Any = Told(Entry(2, Purpose(verb).metadata(), "WRITE", 0))
    assert [one.verb for one in changes(told, TABLE, 1)] == [verb] * counts


def test_a_commit_whose_entry_is_gone_may_have_changed_rows(restored: list[int]) -> None:
    own = [Entry(version, Purpose("execute", "first", 0).metadata(), "WRITE", 1) for version in (5, 3, 1)]
    told: Any = Told(own[0], Entry(4, None, "OPTIMIZE", 0), own[1], own[2])
    assert [one.version for one in changes(told, TABLE, 1)] == [5, 3, 2]
    assert [one.version for one in changes(told, TABLE, 1, 4)] == [3, 2]
    settle(told, LEASE, TABLE, 1)
    assert restored == [1]


def test_a_compaction_that_says_what_its_commit_says_is_not_taken_for_it() -> None:
    metadata = Purpose("execute", "first", 0).metadata()
    followed: Any = Told(Entry(2, metadata, "OPTIMIZE", 9), Entry(1, metadata, "WRITE", 3))
    assert commits._find(followed, TABLE, metadata) == commits.Commit(1, 3)
