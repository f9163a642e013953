"""Fingerprint of a run's input files, to match checkpoints and measurements."""

from collections.abc import Iterable, Iterator
from pathlib import Path


def marks(paths: Iterable[str | Path]) -> list[tuple[str, int, int]]:
    """Name, size in bytes and time of change in nanoseconds of each file at or below these paths; missing paths are skipped."""
    files = [file for path in paths for file in _files(Path(path).expanduser().resolve())]
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.is_file())
