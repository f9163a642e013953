"""Signatures inside a Spark task: documents in, rows of ``signatures`` out."""

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prox_spark.duplicates.minhash import sign
from prox_spark.limits import DocumentLimits, too_large
from prox_spark.schemas import SIGNATURES

SIGNED = pa.schema([*SIGNATURES, ("error", pa.string())])
"""Rows of ``signatures``; if ``error`` says why a document cannot be compared, the rest of its row is null."""

_DOCUMENTS = 256
"""Number of documents whose texts are normalised at once."""


def sign_documents(
    batches: Iterator[pa.RecordBatch], method: str, limits: DocumentLimits, *, words: int, buckets: int, hashes: int
) -> Iterator[pa.RecordBatch]:
    """A row of ``SIGNED`` for each document (doc_id, content_hash, unit, text).

    A blank text has no hashes. A text without word characters gets a hash of its characters, but no buckets.
    """
    for batch in batches:
        for start in range(0, batch.num_rows, _DOCUMENTS):
            yield _sign(batch.slice(start, _DOCUMENTS), method, limits, words, buckets, hashes)


def _sign(
    batch: pa.RecordBatch, method: str, limits: DocumentLimits, words: int, buckets: int, hashes: int
) -> pa.RecordBatch:
    text = batch.column("text")
    errors = pc.if_else(text.is_null(), "text is null", too_large(text, limits))
    texts = pc.if_else(errors.is_null(), text, pa.scalar("", text.type)).to_pylist()
    text_hashes, found, counts = sign(texts, words=words, buckets=buckets, hashes=hashes)
    blank = np.array([not one or one.isspace() for one in texts], np.bool_)
    for row in np.flatnonzero((counts == 0) & ~blank):
        text_hashes[row] = _hash_of_characters(texts[row])
    lengths = np.where(counts > 0, buckets, 0)
    flat = pa.array(found[counts > 0].reshape(-1))
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    columns = {
        **{name: batch.column(name) for name in ("doc_id", "content_hash", "unit")},
        "method": pa.repeat(method, batch.num_rows),
        "n_characters": pc.if_else(errors.is_null(), pc.utf8_length(text), None),
        "text_hash": pa.array(text_hashes, mask=blank),
        "buckets": pa.ListArray.from_arrays(offsets, flat),
        "error": errors,
    }
    return pa.RecordBatch.from_arrays([columns[field.name].cast(field.type) for field in SIGNED], schema=SIGNED)


def _hash_of_characters(text: str) -> int:
    """A hash of 64 bits of a text without words."""
    return int.from_bytes(blake2b(" ".join(text.split()).encode(), digest_size=8).digest(), "little", signed=True)
