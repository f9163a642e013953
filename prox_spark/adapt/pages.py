"""Pages whose lines are labelled: JSON lines or Parquet with ``raw_content`` (or ``text``) and ``gold_keep``."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prox_spark.errors import TrainingError


@dataclass(frozen=True, slots=True)
class LabelledPage:
    """A page and, for each line of ``text.split("\\\\n")``, 1 to keep it or 0 to remove it."""

    text: str
    keep: tuple[int, ...]


def read_pages(paths: Sequence[str]) -> list[LabelledPage]:
    """All pages of these files (``.jsonl``, ``.jsonl.zst``, ``.jsonl.gz``, ``.parquet``), in order.

    Raises ``TrainingError`` with file and record where a column is missing or labels do not fit the lines, and where
    nothing can be learnt: no page at all, or all lines of one label.
    """
    pages = [page for path in paths for page in _read(Path(path))]
    labels = {label for page in pages for label in page.keep}
    if labels != {0, 1}:
        found = "no pages" if not pages else f"only lines labelled {', '.join(map(str, sorted(labels)))}"
        raise TrainingError(f"{', '.join(paths)}: {found}; a scorer learns from lines to keep (1) and to remove (0)")
    return pages


def _read(path: Path) -> Iterator[LabelledPage]:
    try:
        for number, record in enumerate(_records(path)):
            yield _page(record, f"{path}, record {number}")
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: cannot be read: {error}") from error


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(path).iter_batches(batch_size=256):
            yield from batch.to_pylist()
        return
    import fsspec

    compression = {".zst": "zstd", ".gz": "gzip"}.get(path.suffix)
    with fsspec.open(str(path), "rt", encoding="utf-8", compression=compression) as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _page(record: dict[str, Any], where: str) -> LabelledPage:
    text, keep = record.get("raw_content", record.get("text")), record.get("gold_keep")
    if not isinstance(text, str) or not isinstance(keep, list):
        raise TrainingError(f"{where}: needs raw_content (or text) and gold_keep, has {', '.join(record) or 'nothing'}")
    if len(keep) != text.count("\n") + 1 or not set(keep) <= {0, 1}:
        raise TrainingError(
            f"{where}: {len(keep)} labels for {text.count(chr(10)) + 1} lines; one of 0 or 1 a line is needed"
        )
    return LabelledPage(text, tuple(keep))
