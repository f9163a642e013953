"""Reading in tests: a file's records as dictionaries."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from prox_spark.corpora.read import read_file
from prox_spark.schemas import RECORDS


def read(path: Path | str, format_name: str = "json", **options: Any) -> list[dict[str, Any]]:
    """All records of a file. Every batch is checked: schema, valid Arrow data, text or error but never both."""
    rows: list[dict[str, Any]] = []
    for batch in read_file(str(path), format_name, **options):
        assert batch.schema.equals(RECORDS)
        batch.validate(full=True)
        rows.extend(pa.Table.from_batches([batch]).to_pylist(maps_as_pydicts="strict"))
    for row in rows:
        assert (row["text"] is None) == (row["error_class"] is not None) == (row["content_hash"] is None)
        assert len(row["message"] or "") <= 300
    return rows


def texts(rows: list[dict[str, Any]]) -> list[str]:
    """The texts of the readable records."""
    return [row["text"] for row in rows if row["text"] is not None]


def errors(rows: list[dict[str, Any]]) -> list[tuple[int | None, str]]:
    """(position, error class) of the unreadable records."""
    return [(row["position"], row["error_class"]) for row in rows if row["error_class"] is not None]
