"""The groups of arrays and numbers that the executors' kernels take and give."""

from typing import Any, NamedTuple

from prox_spark.programs.bytes_kernels import Bytes, Floats, Integers


class Numbers(NamedTuple):
    """A list of numbers for each chunk: those of chunk ``i`` are ``values[starts[i]:ends[i]]``, NaN where null."""

    starts: Integers
    ends: Integers
    values: Floats


class Chunks(NamedTuple):
    """The chunks of all documents, as kernels take them; those of document ``i`` are ``firsts[i]`` to ``lasts[i]``.

    The last one is excluded. ``line_starts``, ``line_ends`` and ``offsets`` are those of ``ChunkProgram``, one a chunk.
    """

    firsts: Integers
    lasts: Integers
    line_starts: Integers
    line_ends: Integers
    offsets: Integers
    line_scores: Numbers
    confidences: Numbers


class LogColumns(NamedTuple):
    """Dropped lines, a row each, and the bytes of their texts and replacements."""

    rows: Integers
    numbers: Integers
    operations: Bytes
    chunks: Any
    scores: Floats
    text_ends: Integers
    replacement_ends: Integers
    is_rewritten: Any
    texts: Bytes
    replacements: Bytes


class BatchArrays(NamedTuple):
    """What a batch comes back as. ``counts`` has the columns of ``COUNTS``; ``marks`` are codes of reason, guard, raised."""

    out: Bytes
    offsets: Integers
    counts: Integers
    marks: Integers
    n_rows: int
    log: LogColumns
