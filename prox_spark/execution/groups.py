"""Groups of arrays and numbers: arguments and results of the executors' kernels."""

from typing import Any, NamedTuple

from prox_spark.programs.bytes_kernels import Bytes, Floats, Integers


class Numbers(NamedTuple):
    """A list of numbers for each chunk: those of chunk ``i`` are ``values[starts[i]:ends[i]]``, NaN where null."""

    starts: Integers
    ends: Integers
    values: Floats


class Chunks(NamedTuple):
    """The chunks of all documents, for the kernels; document ``i`` has ``firsts[i]`` to ``lasts[i]`` (excluded).

    ``line_starts``, ``line_ends`` and ``offsets`` are those of ``ChunkProgram``, one per chunk.
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
    """The results of a batch. ``counts`` has the columns of ``COUNTS``; ``marks`` are codes of reason, guard, raised."""

    out: Bytes
    offsets: Integers
    counts: Integers
    marks: Integers
    n_rows: int
    log: LogColumns
