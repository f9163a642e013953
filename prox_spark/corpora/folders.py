"""Partition columns from folder names: ``lang=en/part-0.jsonl``, as Hive, Spark and pyarrow write them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import unquote

from prox_spark.corpora.files import shown
from prox_spark.corpora.formats import Format
from prox_spark.corpora.records import Record

_NULL = "__HIVE_DEFAULT_PARTITION__"
_MAPPED = ("url", "source")
"""Our columns that a folder can provide. A folder has many records, so it cannot provide text or ids."""


def folder_columns(path: str) -> Mapping[str, str]:
    """The columns from the folders named ``key=value`` above a file, without those whose value is null.

    Only the nearest run of such folders counts, as in Spark. Keys and values are percent-decoded.

    >>> dict(folder_columns("/data/lang=en/day=2024-01-01/part-0.parquet"))
    {'day': '2024-01-01', 'lang': 'en'}
    >>> dict(folder_columns("s3://corpus/host=a%2Fb/lang=__HIVE_DEFAULT_PARTITION__/x.jsonl"))
    {'host': 'a/b'}
    """
    found: dict[str, str | None] = {}
    for folder in reversed(shown(path).split("/")[:-1]):
        key, equals, value = folder.partition("=")
        if key and equals:
            # Of two folders with the same key, the nearer one counts.
            found.setdefault(unquote(key), None if value == _NULL else unquote(value))
        elif found:
            break
    return MappingProxyType({key: value for key, value in found.items() if value is not None})


def mapped(columns: Mapping[str, str], found: Format) -> dict[str, str]:
    """Our columns that the caller mapped to a folder's key, with its value."""
    names = ((ours, getattr(found, ours)) for ours in _MAPPED if ours in found.required)
    return {ours: columns[name] for ours, (name,) in names if name in columns}


def adding_columns(columns: Mapping[str, str], found: Format) -> Callable[[Record], Record]:
    """A function that adds the folders' columns to a record: to its metadata, or as mapped. The record's columns win."""
    ours = mapped(columns, found)
    names = {one: getattr(found, one) for one in ("text", "doc_id", *_MAPPED)}

    def add(record: Record) -> Record:
        if record.text is None:
            return record
        url = ours.get("url") if record.url is None else record.url
        source = ours.get("source") if record.source is None else record.source
        # A column that became one of ours is no longer in the metadata.
        own = {"text": record.text, "doc_id": record.doc_id, "url": url, "source": source}
        taken = {name for one, value in own.items() if value is not None for name in names[one]}
        given = {key: value for key, value in columns.items() if key not in taken}
        return record._replace(url=url, source=source, metadata={**given, **(record.metadata or {})})

    return add
