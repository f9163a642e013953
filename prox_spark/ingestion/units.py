"""Groups files into batches and tasks, and numbers their units. Pure: no Spark."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heapreplace

from prox_spark.corpora.files import FileInfo

# Bytes of text for each byte of a file: measured on the gold's files (C4 and RedPajama-V2 gzip 2.5 to 3, DCLM zstd 3,
# FineWeb Parquet 2; bzip2 and xz by compressing the same texts). Only the size of units depends on it.
_EXPANSION = {".gz": 3.0, ".zst": 3.5, ".parquet": 2.0, ".bz2": 3.5, ".xz": 3.5}


@dataclass(frozen=True)
class FilePlan:
    """A file and the numbers of the units that its documents go to, in order."""

    file: FileInfo
    first_unit: int
    units: int


def text_bytes(file: FileInfo) -> int:
    """The approximate bytes of text in the file."""
    return int(file.size * next((f for suffix, f in _EXPANSION.items() if file.path.endswith(suffix)), 1.0))


def batches(files: Iterable[FileInfo], batch_bytes: int, batch_files: int = 20_000) -> Iterator[list[FileInfo]]:
    """Runs of files of about ``batch_bytes`` bytes of text and at most ``batch_files`` files."""
    batch: list[FileInfo] = []
    total = 0
    for file in files:
        if batch and (total + text_bytes(file) > batch_bytes or len(batch) >= batch_files):
            yield batch
            batch, total = [], 0
        batch.append(file)
        total += text_bytes(file)
    if batch:
        yield batch


def plan_units(files: Iterable[FileInfo], first_unit: int, unit_bytes: int) -> list[FilePlan]:
    """Give every file its units: small files share one until it is full, a large file has several to itself."""
    plans: list[FilePlan] = []
    unit, filled = first_unit, 0
    for file in files:
        size = text_bytes(file)
        if filled and filled + size > unit_bytes:
            unit, filled = unit + 1, 0
        units = max(1, -(-size // unit_bytes))
        plans.append(FilePlan(file, unit, units))
        if units > 1:
            unit, filled = unit + units, 0
        else:
            filled += size
    return plans


def group_tasks(plans: list[FilePlan], tasks: int) -> list[list[FilePlan]]:
    """Share the files out to at most ``tasks`` tasks, largest first to the emptiest, each in order of arrival."""
    groups: list[list[tuple[int, FilePlan]]] = [[] for _ in range(min(tasks, len(plans)))]
    loads = [(0, group) for group in range(len(groups))]
    for index, plan in sorted(enumerate(plans), key=lambda item: -item[1].file.size):
        load, lightest = loads[0]
        groups[lightest].append((index, plan))
        heapreplace(loads, (load + plan.file.size + 1, lightest))
    return [[plan for _, plan in sorted(group, key=lambda item: item[0])] for group in groups]
