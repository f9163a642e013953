"""What a store's tables hold, read from their files alone: no Spark, so that hundreds of stores can be compared."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq

from prox_spark.schemas import RESULT_TABLES, VERSIONED

Rows = Counter[str]

APART = ("leases", "metrics")
"""Tables about runs, not about documents: each run adds its own rows, and one that dies takes its measurements with it."""

_OF_A_RUN = {
    *("created_at", "forgotten_at", "pinned_at", "migrated_at", "quarantined_at", "read_at"),
    *("receipt", "rows", "timings", "configuration"),
    *(f"{table}_version" for table in VERSIONED),
}
"""Columns with clocks, random names, the store's path, and versions of tables: a run that starts again makes more of those.
A receipt's ``rows`` are what its own run deleted."""


def head(table: Path) -> int:
    """The newest version of a table."""
    return max(int(path.stem) for path in (table / "_delta_log").glob("*.json"))


def files(table: Path, version: int | None = None) -> set[str]:
    """The names of the data files of a table's version."""
    found: set[str] = set()
    for entry in sorted((table / "_delta_log").glob("*.json")):
        if version is not None and int(entry.stem) > version:
            break
        for action in map(json.loads, entry.read_text().splitlines()):
            if "add" in action:
                found.add(unquote(action["add"]["path"]))
            if "remove" in action:
                found.discard(unquote(action["remove"]["path"]))
    return found


def read(table: Path, version: int | None = None) -> list[dict[str, Any]]:
    """The rows of a table's version; columns that a file lacks are missing."""
    return [row for name in sorted(files(table, version)) for row in pq.read_table(table / name).to_pylist()]


def contents(store: Path) -> dict[str, Rows]:
    """The rows of every table, and of every table as the newest refinement names it: equal for stores that hold the same."""
    tables = [path.parent for path in store.glob("*/_delta_log")]
    found = {table.name: rows_of(table) for table in tables if table.name not in APART}
    newest = newest_refinement(store)
    if newest is not None:
        named = {table: newest[f"{table}_version"] for table in VERSIONED}
        found |= {f"{table}, as named": rows_of(store / table, version) for table, version in named.items()}
    return found


def newest_refinement(store: Path) -> dict[str, Any] | None:
    """The newest row of ``refinements``."""
    if not (store / "refinements" / "_delta_log").is_dir():
        return None
    rows = read(store / "refinements")
    return max(rows, key=lambda row: (row["created_at"], row["version"]), default=None)


def differences(expected: dict[str, Rows], found: dict[str, Rows]) -> list[str]:
    """A line for each table whose rows differ: how many are lost, how many are too many, and one of them."""
    told = []
    for table in sorted(expected.keys() | found.keys()):
        lost = expected.get(table, Counter()) - found.get(table, Counter())
        more = found.get(table, Counter()) - expected.get(table, Counter())
        if lost or more:
            told.append(f"{table}: {lost.total()} lost, {more.total()} too many: {next(iter([*lost, *more]))[:300]}")
    return told


def rows_of(table: Path, version: int | None = None) -> Rows:
    """How often each row is in a table's version, without what a clock wrote."""
    return _rows(read(table, version))


def _rows(rows: list[dict[str, Any]]) -> Rows:
    return Counter(
        json.dumps({k: v for k, v in row.items() if k not in _OF_A_RUN}, default=str, sort_keys=True) for row in rows
    )


def store_faults(store: Path, *, at_rest: bool = True) -> list[str]:
    """What is wrong with a store: rows lost or doubled, a refinement that is not what its row says.

    ``at_rest``: no job died without being run again, so that the heads of the result tables are the newest refinement's.
    """
    told = _doubled("documents", read(store / "documents"), ("doc_id",))
    told += _doubled("programs", read(store / "programs"), ("doc_id", "content_hash", "stage", "chunk", "refiner"))
    rows = read(store / "refinements")
    told += _doubled("refinements", rows, ("refinement", "version"))
    for name in {row["refinement"] for row in rows}:
        numbers = sorted(row["version"] for row in rows if row["refinement"] == name)
        if numbers != list(range(len(numbers))):
            told.append(f"refinements: {name} has versions {numbers}")
    newest = newest_refinement(store)
    if newest is None:
        return told
    told += _fates(store, newest)
    for table in RESULT_TABLES if at_rest else ():
        if rows_of(store / table) != rows_of(store / table, newest[f"{table}_version"]):
            told.append(f"{table}: its head is not what the newest refinement names")
    return told


def places_of(store: Path, ids: Iterable[str], *, history: bool = False) -> list[str]:
    """Where rows of these documents are: in the tables, and with ``history`` in any file of them."""
    told = []
    for table in (path.parent for path in store.glob("*/_delta_log")):
        names = {path.name for path in table.glob("*.parquet")} if history else files(table)
        for name in sorted(names):
            if "doc_id" in pq.read_schema(table / name).names:
                held = {*pq.read_table(table / name, columns=["doc_id"])["doc_id"].to_pylist()}
                told += [f"{table.name}/{name}: {doc_id}" for doc_id in sorted(held & {*ids})]
    return told


def _doubled(table: str, rows: list[dict[str, Any]], key: tuple[str, ...]) -> list[str]:
    counted = Counter(tuple(row[name] for name in key) for row in rows)
    return [f"{table}: {found} is there {n} times" for found, n in counted.items() if n > 1]


def _fates(store: Path, row: dict[str, Any]) -> list[str]:
    """Whether each document of a refinement has one fate, in the versions of the tables that its row names."""
    named = {table: read(store / table, row[f"{table}_version"]) for table in VERSIONED}
    covered = Counter(one["doc_id"] for one in named["documents"] if one["unit"] <= row["last_unit"])
    own = [one for one in named["quarantine"] if one["refinement"] == row["refinement"]]
    fates = Counter(one["doc_id"] for one in [*named["refined"], *named["dropped_documents"], *own])
    name = f"{row['refinement']}:{row['version']}"
    told = [] if covered == fates else [f"{name}: lost {covered - fates}, too many {fates - covered}"]
    counted = {table: len(named[table]) for table in ("refined", "dropped_documents")}
    counted |= {"documents": covered.total(), "quarantined": len(own), "lines_removed": len(named["dropped_lines"])}
    wrong = {key: (row["counts"][key], n) for key, n in counted.items() if row["counts"][key] != n}
    told += [f"{name}: counts say {said} {key}, there are {n}" for key, (said, n) in wrong.items()]
    return told
