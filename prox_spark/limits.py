"""Maximum size of a document. The memory of a step grows with both bytes and lines."""

from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from prox_spark.section import Section


class DocumentLimits(Section):
    """The largest document that is refined, so that no document takes down a worker. ``ingest`` quarantines larger ones as
    TooLarge. Where a store has one from before, ``generate`` writes a failed row with the reason. Changes no other document."""

    max_bytes: Annotated[int, Field(gt=0)] = 32 * 1024**2
    """Bytes of text (UTF-8). A task needs up to ten times as much memory."""
    max_lines: Annotated[int, Field(gt=0)] = 1_000_000
    """Lines of text. A task needs up to 500 bytes of memory for each."""


DEFAULT = DocumentLimits()


def too_large(texts: pa.Array, limits: DocumentLimits) -> pa.Array:
    """For each text the reason why it is too large; null if it is not, or is null."""
    sizes = pc.binary_length(texts)
    reasons: list[str | None] = [None] * len(texts)
    # No text has more line ends than bytes.
    if (pc.max(sizes).as_py() or 0) >= min(limits.max_bytes, limits.max_lines):
        lines = pc.add(pc.count_substring(texts, "\n"), 1)
        for name, counts, most in (("lines", lines, limits.max_lines), ("bytes", sizes, limits.max_bytes)):
            for row in pc.indices_nonzero(pc.greater(counts, most)).to_pylist():
                reasons[row] = f"{counts[row].as_py():,} {name}, more than limits.max_{name} ({most:,})"
    return pa.array(reasons, pa.string())
