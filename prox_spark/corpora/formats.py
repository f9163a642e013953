"""The corpus formats: how each is read, and which of its columns are ours.

``FORMATS`` is the only list of them: the readers, ``input.format``, ``adapt.target.format`` and ``docs/configuration.md``
use it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from prox_spark.corpora.extraction import DEFAULT, EXTRACTORS
from prox_spark.errors import InputError
from prox_spark.suggest import unknown

Container = Literal["json", "parquet", "text", "warc", "wet", "spark", "catalog"]
"""How a format is read. ``spark``: by Spark's own reader of that name, from a path. ``catalog``: a table by its name."""

CONTAINERS: dict[Container, str] = {
    "json": "JSON lines",
    "parquet": "Parquet",
    "text": "one document per file",
    "warc": "WARC",
    "wet": "WET",
    "spark": "by Spark, from a path",
    "catalog": "by Spark, by its name",
}
"""Descriptions of the containers."""

COLUMNS = ("text", "doc_id", "url", "source")
"""prox_spark columns that a corpus column can be mapped to; all other corpus columns become ``metadata``."""


@dataclass(frozen=True, slots=True)
class Format:
    """A corpus format. Each column lists its names in the corpus; the first name that a record has counts.

    A name that is not a column is looked up as a field: ``metadata.url`` is the field ``url`` of the column ``metadata``. If
    ``doc_id`` has no name, or the record has none of its names, the id is a hash. ``required`` are our columns that the
    caller mapped; ``extract`` is the extractor for HTML.
    """

    name: str
    container: Container
    about: str
    text: tuple[str, ...] = ("text",)
    doc_id: tuple[str, ...] = ()
    url: tuple[str, ...] = ("url",)
    source: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    extract: str = DEFAULT

    @property
    def read_by_spark(self) -> bool:
        """Whether Spark reads it as a table; other formats are files."""
        return self.container in ("spark", "catalog")

    @property
    def has_columns(self) -> bool:
        """Whether it has columns that can be mapped."""
        return self.read_by_spark or self.container in ("json", "parquet")

    @property
    def has_html(self) -> bool:
        """Whether its records are pages whose text is extracted."""
        return self.container == "warc"


_ALL = (
    Format("c4", "json", "C4, AllenAI's release"),
    # doc_id comes with the quality signals once both are joined.
    Format("redpajama-v2", "json", "RedPajama-Data-V2, its `documents`", text=("raw_content",), doc_id=("doc_id",)),
    Format("fineweb", "parquet", "FineWeb", doc_id=("id",)),
    Format("fineweb-edu", "parquet", "FineWeb-Edu", doc_id=("id",)),
    # The WARC headers of the page are in `metadata`.
    Format("dclm", "json", "DCLM-baseline", doc_id=("metadata.WARC-Record-ID",)),
    Format("openwebmath", "parquet", "OpenWebMath"),
    Format("dolma", "json", "Dolma", doc_id=("id",), url=("url", "metadata.url"), source=("source",)),
    Format("text", "text", "Plain text", text=(), url=()),
    Format(
        "warc",
        "warc",
        "Pages as Common Crawl stores them: text is extracted, ids are the records' own",
        text=(),
        url=(),
    ),
    Format("wet", "wet", "Text that Common Crawl extracted, ids are the records' own", text=(), url=()),
    Format("parquet", "parquet", "Any Parquet files", doc_id=("doc_id", "id"), source=("source",)),
    Format("json", "json", "Any JSON lines", doc_id=("doc_id", "id"), source=("source",)),
    Format("delta", "spark", "A Delta table", doc_id=("doc_id",), source=("source",)),
    Format("table", "catalog", "A table of the catalog", doc_id=("doc_id",), source=("source",)),
)

FORMATS: dict[str, Format] = {one.name: one for one in _ALL}
"""Every format by its name."""


def get_format(name: str, columns: Mapping[str, str] | None = None, extract: str = DEFAULT) -> Format:
    """The file format ``name``, changed by the caller's mapping ``{our column: corpus column}`` and extractor.

    Raises ``InputError`` for an unknown format, column or extractor (with the nearest known name), a format that is not read
    from files, a mapping for a format without columns, or an extractor for a format without HTML.
    """
    if name not in FORMATS:
        raise InputError(unknown("format", name, FORMATS))
    found = FORMATS[name]
    if found.read_by_spark:
        raise InputError(f"format {name!r} is read by Spark, not from files")
    check_extract(extract, name)
    found = replace(found, extract=extract)
    if not columns:
        return found
    if not found.has_columns:
        raise InputError(f"format {name!r} has no columns to map: remove input.columns")
    for ours in columns:
        if ours not in COLUMNS:
            raise InputError(f"input.columns: {unknown('column', ours, COLUMNS)}")
    mapped: dict[str, Any] = {ours: (theirs,) for ours, theirs in columns.items()}
    return replace(found, **mapped, required=frozenset(columns))


def check_extract(extract: str, format_name: str) -> None:
    """Raise ``InputError`` for an unknown extractor, or one for a format that has no HTML."""
    if extract not in EXTRACTORS:
        raise InputError(unknown("extractor", extract, EXTRACTORS))
    if extract != DEFAULT and not FORMATS[format_name].has_html:
        with_html = ", ".join(name for name, one in FORMATS.items() if one.has_html)
        raise InputError(f"format {format_name!r} has no HTML: remove input.extract, which is for {with_html}")
