"""The tables of a store, as Arrow schemas: the only definition of their columns.

Line numbers count from 0 in ``text.split("\\n")`` of the original document; ranges of lines include both ends.
"""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

CALL = pa.struct(
    [
        ("operation", pa.string()),
        ("line_start", pa.int64()),
        ("line_end", pa.int64()),
        ("source", pa.string()),
        ("target", pa.string()),
        ("confidence", pa.float32()),
        ("outcome", pa.string()),
    ]
)
"""One call of a program. ``outcome`` is the parser's: ok, malformed, truncated or unknown."""

FILES = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("modified_at", pa.timestamp("us", tz="UTC")),
        ("format", pa.string()),
        ("records", pa.int64()),
        ("quarantined", pa.int64()),
        ("read_at", pa.timestamp("us", tz="UTC")),
        ("documents", pa.int64()),
        ("passed", pa.map_(pa.string(), pa.int64())),
        ("left_out", pa.map_(pa.string(), pa.string())),
        ("reading", pa.string()),
    ]
)
"""A file that was read to its end: ``records`` = ``documents`` + ``quarantined``; ``passed`` counts its other records,
by reason. ``left_out``: columns that are not in the metadata, with the reason. ``reading``: the settings that it was read
with (``InputConfig.reading``). In rows of layouts up to 4 the last four are null, and ``quarantined`` counts only unreadable
records."""

DOCUMENTS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("unit", pa.int64()),
        ("content_hash", pa.string()),
        ("source", pa.string()),
        ("url", pa.string()),
        ("file", pa.string()),
        ("position", pa.int64()),
        ("metadata", pa.map_(pa.string(), pa.string())),
        ("text", pa.string()),
    ]
)

# ``output`` is what the model wrote, whose line numbers count from ``line_offset``; ``calls`` count from the document.
PROGRAMS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("content_hash", pa.string()),
        ("unit", pa.int64()),
        ("stage", pa.string()),
        ("chunk", pa.int32()),
        ("refiner", pa.string()),
        ("line_start", pa.int64()),
        ("line_end", pa.int64()),
        ("line_offset", pa.int64()),
        ("status", pa.string()),
        ("keep_score", pa.float64()),
        ("prompt_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("output", pa.string()),
        ("calls", pa.list_(CALL)),
        ("line_scores", pa.list_(pa.float32())),
        ("error", pa.string()),
    ]
)

REFINED = pa.schema(
    [
        ("doc_id", pa.string()),
        ("unit", pa.int64()),
        ("source", pa.string()),
        ("url", pa.string()),
        ("n_lines", pa.int64()),
        ("n_lines_removed", pa.int64()),
        ("n_lines_rewritten", pa.int64()),
        ("n_characters", pa.int64()),
        ("n_characters_removed", pa.int64()),
        ("guard", pa.string()),
        ("log_hash", pa.int64()),
        ("metadata", pa.map_(pa.string(), pa.string())),
        ("text", pa.string()),
    ]
)
"""``log_hash`` is over the document's ``dropped_lines`` (``execution.log_hash``): equal if two refinements' logs are equal."""

LineOrigin = Literal["document", "execution", "refinement"]
"""The origin of a column of ``dropped_lines``: the line's document, the execution of its programs, or the whole refinement."""


@dataclass(frozen=True, slots=True)
class LineColumn:
    """A column of ``dropped_lines``."""

    name: str
    type: pa.DataType
    origin: LineOrigin
    about: str


LINE_COLUMNS = (
    LineColumn("doc_id", pa.string(), "document", "the document that the line is from"),
    LineColumn("unit", pa.int64(), "document", "the document's unit"),
    LineColumn("line_number", pa.int64(), "execution", "the line's number"),
    LineColumn("operation", pa.string(), "execution", "what the call did that removed the line, or changed it last"),
    LineColumn("stage", pa.string(), "refinement", "the stage of that call"),
    LineColumn("chunk", pa.int32(), "execution", "the chunk of that call"),
    LineColumn(
        "score", pa.float32(), "execution", "the line's score if that removed it, else the call's confidence, or null"
    ),
    LineColumn("refiner", pa.string(), "refinement", "fingerprint of the refiner that wrote the call"),
    LineColumn("replacement", pa.string(), "execution", "what the line became; null where it was removed"),
    LineColumn("text", pa.string(), "execution", "the line as it was"),
)
"""The columns of ``dropped_lines``. Execution, its results and the table select their columns from these."""

DROPPED_LINES = pa.schema([(column.name, column.type) for column in LINE_COLUMNS])


def line_columns(origin: LineOrigin) -> tuple[str, ...]:
    """Names of the columns of ``dropped_lines`` from there, in the table's order."""
    return tuple(column.name for column in LINE_COLUMNS if column.origin == origin)


DROPPED_DOCUMENTS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("unit", pa.int64()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("keep_score", pa.float64()),
        ("n_lines", pa.int64()),
        ("n_characters", pa.int64()),
        ("refiner", pa.string()),
    ]
)

QUARANTINE = pa.schema(
    [
        ("doc_id", pa.string()),
        ("file", pa.string()),
        ("position", pa.int64()),
        ("stage", pa.string()),
        ("error_class", pa.string()),
        ("message", pa.string()),
        ("refinement", pa.string()),
        ("quarantined_at", pa.timestamp("us", tz="UTC")),
    ]
)

METRICS = pa.schema(
    [
        ("run", pa.string()),
        ("batch", pa.int64()),
        ("refiner", pa.string()),
        ("stage", pa.string()),
        ("documents", pa.int64()),
        ("chunks", pa.int64()),
        ("prompt_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("seconds", pa.float64()),
        ("tokens_per_second", pa.float64()),
        ("busy_share", pa.float64()),
        ("restarts", pa.int64()),
        ("retries", pa.int64()),
        ("repeated", pa.int64()),
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)

RESULT_TABLES = ("refined", "dropped_lines", "dropped_documents")
"""The tables that execution writes; their head belongs to one refinement."""

VERSIONED = ("documents", "programs", *RESULT_TABLES, "quarantine")
"""Tables whose versions a row of ``refinements`` names, each in a column ``T_version``."""

COUNTED = (
    "refined",
    "dropped_documents",
    "quarantined",
    "lines",
    "lines_removed",
    "lines_rewritten",
    "characters",
    "characters_kept",
)
"""Counts of the documents given to execution."""

PROGRAM_COUNTS = ("chunks", "failed_chunks", "prompt_tokens", "output_tokens")
"""Counts of the applied programs."""

COUNTS = ("documents", *COUNTED, *PROGRAM_COUNTS)
"""The counts in a row of ``refinements``, over all documents of that refinement version."""

# ``verb`` made the row: execute, or rollback, optimize and forget from the row of ``from_version``. It covers the documents
# of ``documents_version`` up to ``last_unit``: a later ingest may have added others to that version.
REFINEMENTS = pa.schema(
    [
        ("refinement", pa.string()),
        ("version", pa.int64()),
        ("verb", pa.string()),
        ("from_version", pa.int64()),
        ("last_unit", pa.int64()),
        ("fingerprint", pa.string()),
        ("document_refiner", pa.string()),
        ("chunk_refiner", pa.string()),
        ("identity", pa.string()),
        ("configuration", pa.string()),
        *[(f"{table}_version", pa.int64()) for table in VERSIONED],
        ("counts", pa.struct([(name, pa.int64()) for name in COUNTS])),
        ("timings", pa.map_(pa.string(), pa.float64())),
        ("package_version", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)

LEASES = pa.schema(
    [
        ("key", pa.string()),
        ("token", pa.int64()),
        ("holder", pa.string()),
        ("heartbeat_at", pa.timestamp("us", tz="UTC")),
        ("expires_at", pa.timestamp("us", tz="UTC")),
    ]
)

PINS = pa.schema(
    [
        ("refinement", pa.string()),
        ("version", pa.int64()),
        ("copy", pa.string()),
        ("pinned_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""``copy``: the tables ``pinned_COPY_T`` hold the refinement's own rows of every table T of ``VERSIONED``; null without."""

FORGOTTEN = pa.schema(
    [
        ("id_hash", pa.string()),
        ("receipt", pa.string()),
    ]
)
"""``id_hash``: hex SHA-256 of a ``doc_id`` that must not come back."""

RECEIPTS = pa.schema(
    [
        ("receipt", pa.string()),
        ("documents", pa.int64()),
        ("rows", pa.map_(pa.string(), pa.int64())),
        ("history", pa.bool_()),
        ("documents_version", pa.int64()),
        ("forgotten_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""A finished ``forget``: ``rows`` deleted from each table; versions older than ``documents_version`` still contain them."""

ANNOTATIONS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("content_hash", pa.string()),
        ("unit", pa.int64()),
        ("task", pa.string()),
        ("chunk", pa.int32()),
        ("prompt_version", pa.string()),
        ("model", pa.string()),
        ("line_start", pa.int64()),
        ("line_end", pa.int64()),
        ("status", pa.string()),
        ("edu", pa.int32()),
        ("format", pa.int32()),
        ("prompt_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("answer", pa.string()),
        ("calls", pa.list_(CALL)),
        ("error", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""An annotating model's ``answer`` as it was given, and what was read from it: scores, or calls that count lines from the
document. ``chunk`` is null for a task about the whole document. ``status``: ok, refused, malformed, failed or skipped."""

REFINERS = pa.schema(
    [
        ("refiner", pa.string()),
        ("stage", pa.string()),
        ("name", pa.string()),
        ("engine", pa.string()),
        ("numbering", pa.string()),
        ("asked", pa.string()),
        ("definition", pa.string()),
        ("package_version", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""The meaning of ``refiner``, a fingerprint: its ``definition`` (canonical JSON), and the settings that ``asked`` for it.
Execution finds the fingerprint here if the model's files are missing."""

MIGRATIONS = pa.schema(
    [
        ("from_layout", pa.int64()),
        ("to_layout", pa.int64()),
        ("package_version", pa.string()),
        ("migrated_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""A newer package's change of the store's layout, from one store number to another."""

SIGNATURES = pa.schema(
    [
        ("doc_id", pa.string()),
        ("content_hash", pa.string()),
        ("unit", pa.int64()),
        ("method", pa.string()),
        ("n_characters", pa.int64()),
        ("text_hash", pa.int64()),
        ("buckets", pa.list_(pa.int64())),
    ]
)
"""Hashes by which documents are compared: one of the normalised text, and one per bucket of the MinHash signature.
Documents that share one of them, with the same ``method``, are duplicates. ``n_characters`` is that of the original text."""

TABLES = {
    "files": FILES,
    "documents": DOCUMENTS,
    "programs": PROGRAMS,
    "refined": REFINED,
    "dropped_lines": DROPPED_LINES,
    "dropped_documents": DROPPED_DOCUMENTS,
    "quarantine": QUARANTINE,
    "metrics": METRICS,
    "leases": LEASES,
    "pins": PINS,
    "forgotten": FORGOTTEN,
    "receipts": RECEIPTS,
    "annotations": ANNOTATIONS,
    "signatures": SIGNATURES,
    "refiners": REFINERS,
    "migrations": MIGRATIONS,
    "refinements": REFINEMENTS,
}

STORE_VERSION = 6
"""Number of this layout. It rises with changes that an older package cannot read: a table, a column (``tables.migrations``),
since 4 heartbeats in properties of ``leases``, since 5 the fate of the records of ``files``, since 6
``signatures`` and the requests that were ``repeated``."""

OLDEST_STORE = 2
"""Stores from this number on can be read; they are migrated to ``STORE_VERSION`` before the first write."""

ADDED_TABLES = ("annotations", "signatures", "refiners", "migrations")
"""Tables that an older store may lack."""

RECORDS = pa.schema(
    [
        ("position", pa.int64()),
        ("doc_id", pa.string()),
        ("content_hash", pa.string()),
        ("source", pa.string()),
        ("url", pa.string()),
        ("metadata", pa.map_(pa.string(), pa.string())),
        ("text", pa.string()),
        ("error_class", pa.string()),
        ("message", pa.string()),
    ]
)
"""The rows of a corpus reader: a readable record has a text and a null ``error_class``, an unreadable one the reverse."""
