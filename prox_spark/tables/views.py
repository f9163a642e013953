"""Views of a catalog store: the tables of the newest refinement, for plain SQL.

The tables themselves may hold more than what is committed: a run that is under way, or one that died. A view reads the
versions that the newest row of ``refinements`` lists.
"""

from collections.abc import Mapping
from typing import Any

from pyspark.errors import AnalysisException

from prox_spark.failpoints import around
from prox_spark.schemas import VERSIONED
from prox_spark.tables.store import Store, quoted

PREFIX = "current_"
"""The view of table T is ``current_T``."""


def publish(store: Store, row: Mapping[str, Any]) -> None:
    """Let the views read the refinement version of this row; without effect in a path store, which has no names."""
    if not store.is_catalog:
        return
    for table in VERSIONED:
        with around("view", table):
            store.spark.sql(f"CREATE OR REPLACE VIEW {store.table(PREFIX + table)} AS {_select(store, table, row)}")


def is_published(store: Store, row: Mapping[str, Any]) -> bool:
    """Whether a catalog's views read this row's version: a job may have died between its row and its views."""
    # The view that is made last.
    table = VERSIONED[-1]
    try:
        described = store.spark.sql(f"DESCRIBE TABLE EXTENDED {store.table(PREFIX + table)}").collect()
    except AnalysisException:
        return False
    return _select(store, table, row) in [one["data_type"] for one in described if one["col_name"] == "View Text"]


def _select(store: Store, table: str, row: Mapping[str, Any]) -> str:
    source = f"SELECT * FROM {store.table(table)} VERSION AS OF {int(row[f'{table}_version'])}"
    return f"{source} WHERE {_own(table, row)}"


def _own(table: str, row: Mapping[str, Any]) -> str:
    """The condition for the rows that belong to the refinement: other refiners' programs are in the table, too."""
    covered = f"unit <= {int(row['last_unit'])}"
    if table == "documents":
        return covered
    if table == "programs":
        refiners = [row[name] for name in ("document_refiner", "chunk_refiner") if row[name] is not None]
        return f"{covered} AND refiner IN ({', '.join(map(quoted, refiners)) or 'NULL'})"
    if table == "quarantine":
        return f"refinement = {quoted(row['refinement'])}"
    return "true"
