"""Reading a representative part of a corpus: places spread over all its bytes. Writes nothing."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from prox_spark.config.models import InputConfig
from prox_spark.corpora.extraction import DEFAULT
from prox_spark.corpora.files import FileInfo
from prox_spark.corpora.read import read_start
from prox_spark.ingestion.task import Task
from prox_spark.session import cores

SAMPLED = pa.schema([("text", pa.string()), ("read", pa.float64())])
"""The text of a readable record; one further row for each file has no text, but the number of bytes read from it."""

_PLACES = 64
_ROWS = 256
_TASK_BYTES = 64 * 1024**2
"""Bytes of files for each task: small files share a task."""


@dataclass(frozen=True)
class Part:
    """The first ``size`` bytes of a file, which can be the whole file."""

    file: FileInfo
    size: int


def choose_parts(files: Sequence[FileInfo], budget: int) -> list[Part]:
    """All files if they have at most ``budget`` bytes in all; else about ``budget`` bytes, spread evenly over the corpus.

    The file at each place is read from its start, because compressed files can only be read from the start; if it is too
    short, the next files follow. From a file with several places, more is read.
    """
    ends = list(accumulate(file.size for file in files))
    total = ends[-1] if ends else 0
    if total <= budget:
        return [Part(file, file.size) for file in files]
    wanted: dict[int, int] = {}
    for place in range(_PLACES):
        index, left = bisect_right(ends, (2 * place + 1) * total // (2 * _PLACES)), max(budget // _PLACES, 1)
        while left > 0 and index < len(files):
            take = min(files[index].size - wanted.get(index, 0), left)
            wanted[index] = wanted.get(index, 0) + take
            left -= take
            index += 1
    return [Part(files[index], size) for index, size in sorted(wanted.items()) if size]


def read_parts(spark: SparkSession, parts: Sequence[Part], source: InputConfig) -> DataFrame:
    """The records of the parts, in the columns of ``SAMPLED``; those that cannot be read are left out."""
    groups = group_parts(parts, cores(spark))
    task = _task(groups, source.format, source.columns, source.extract)
    return spark.range(0, len(groups), 1, len(groups)).mapInArrow(task, from_arrow_schema(SAMPLED))


def group_parts(parts: Sequence[Part], cores: int) -> list[Sequence[Part]]:
    """The parts of each task: a task for each core, more where the parts are large."""
    tasks = max(cores, sum(part.size for part in parts) // _TASK_BYTES)
    return [parts[start::tasks] for start in range(min(len(parts), tasks))]


def _task(groups: Sequence[Sequence[Part]], format_name: str, columns: dict[str, str], extract: str) -> Task:
    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for group in batch.column(0).to_pylist():
                for part in groups[group]:
                    yield from read_part(part, format_name, columns, extract)

    return task


def read_part(
    part: Part, format_name: str, columns: dict[str, str] | None = None, extract: str = DEFAULT
) -> Iterator[pa.RecordBatch]:
    """Batches of ``SAMPLED`` from part of a file; the last row has the number of bytes read."""
    size = part.file.size
    limit = part.size / size if part.size < size else None
    texts: list[bytes | None] = []
    read = 0.0
    for record, share in read_start(part.file.path, format_name, size, columns=columns or None, extract=extract):
        # Records decoded from the same last bytes still belong to the part.
        if limit is not None and read >= limit and share > read:
            break
        read = share
        if record.text is not None:
            texts.append(record.text)
        if len(texts) == _ROWS:
            yield _batch(texts)
            texts = []
    else:
        read = 1.0
    yield _batch([*texts, None], read * size)


def _batch(texts: list[bytes | None], read: float | None = None) -> pa.RecordBatch:
    columns = [pa.array(texts, pa.string()), pa.array([*[None] * (len(texts) - 1), read], pa.float64())]
    return pa.RecordBatch.from_arrays(columns, schema=SAMPLED)
