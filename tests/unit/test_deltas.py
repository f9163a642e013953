"""The checker of stores finds nothing in those that earlier packages left, and finds what is lost, doubled or not forgotten."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from deltas import contents, differences, files, head, newest_refinement, places_of, read, store_faults

STORES = sorted(Path(__file__).parents[1].glob("stores/*.tar.gz"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return unpacked(STORES[-1], tmp_path)


def unpacked(packed: Path, folder: Path) -> Path:
    with tarfile.open(packed) as opened:
        opened.extractall(folder / "store", filter="data")
    return folder / "store"


def commit(table: Path, *actions: dict[str, object]) -> None:
    """Another version of a table."""
    path = table / "_delta_log" / f"{head(table) + 1:020d}.json"
    path.write_text("".join(json.dumps(action) + "\n" for action in actions))


@pytest.mark.parametrize("packed", STORES, ids=lambda path: path.name)
def test_nothing_is_wrong_with_the_stores_of_earlier_packages(tmp_path: Path, packed: Path) -> None:
    store = unpacked(packed, tmp_path)
    assert read(store / "refined")
    assert store_faults(store) == []


def test_a_row_that_is_there_twice_is_found(store: Path) -> None:
    calm = contents(store)
    name = sorted(files(store / "documents"))[0]
    shutil.copy(store / "documents" / name, store / "documents" / "again.parquet")
    commit(store / "documents", {"add": {"path": "again.parquet"}})

    assert "is there 2 times" in store_faults(store)[0]
    assert [line.split(":")[0] for line in differences(calm, contents(store))] == ["documents"]


def test_a_row_that_is_lost_is_found(store: Path) -> None:
    calm = contents(store)
    newest = newest_refinement(store)
    assert newest is not None
    version = newest["refined_version"]
    name = next(name for name in sorted(files(store / "refined", version)))
    entry = store / "refined" / "_delta_log" / f"{version:020d}.json"
    entry.write_text(entry.read_text() + json.dumps({"remove": {"path": name}}) + "\n")

    assert any("lost" in fault for fault in store_faults(store))
    assert {line.split(":")[0] for line in differences(calm, contents(store))} == {"refined", "refined, as named"}


def test_a_head_that_no_refinement_names_is_found(store: Path) -> None:
    commit(store / "dropped_lines", *({"remove": {"path": name}} for name in files(store / "dropped_lines")))

    assert store_faults(store) == ["dropped_lines: its head is not what the newest refinement names"]
    assert store_faults(store, at_rest=False) == []


def test_a_document_is_found_in_the_files_of_older_versions(store: Path) -> None:
    doc_id = read(store / "documents")[0]["doc_id"]
    assert any(place.startswith("documents/") for place in places_of(store, [doc_id]))
    for table in (path.parent for path in list(store.glob("*/_delta_log"))):
        commit(table, *({"remove": {"path": name}} for name in files(table)))

    assert places_of(store, [doc_id]) == []
    assert any(place.startswith("documents/") for place in places_of(store, [doc_id], history=True))
