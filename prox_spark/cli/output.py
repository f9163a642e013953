"""Output of verbs: one JSON document, or tables for people. Page text is untrusted, so it is escaped for the terminal."""

import datetime
import decimal
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from prox_spark.logs import safe as safe
from prox_spark.tables.times import utc


def write_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(json.dumps(value, default=_encode, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Print a table with all rows; long cells are folded, never cut."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(Text(safe(column)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(safe(_show(value))) for value in row))
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)


def write_line(text: str) -> None:
    """Print one line on standard output."""
    sys.stdout.write(safe(text) + "\n")
    sys.stdout.flush()


def write_facts(facts: Mapping[str, Any], indent: str = "") -> None:
    """Print names and values, one per line."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        write_line(f"{indent}{name:<{width}}  {_show(value)}")


def _show(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, dict | list):
        return json.dumps(value, default=_encode, ensure_ascii=False)
    return str(utc(value) if isinstance(value, datetime.datetime) else value)


def _encode(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return utc(value).isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return str(value)
