"""Labelled pages and documents: JSON lines or Parquet with ``raw_content`` (or ``text``) and ``gold_keep`` or
``gold_keep_doc``."""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import zstandard

from prox_spark.errors import TrainingError

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class LabelledPage:
    """A page and, for each line of ``text.split("\\\\n")``, 1 to keep it or 0 to remove it."""

    text: str
    keep: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LabelledDocument:
    """A document and whether it is kept; ``sure`` where its annotators agreed (column ``unanimous``, if there is one)."""

    text: str
    keep: int
    sure: bool = True


def read_documents(paths: Sequence[str]) -> list[LabelledDocument]:
    """All documents of these files, in order; blank ones are left out, because no refiner processes them.

    Raises ``TrainingError`` as ``read_pages`` does.
    """
    documents = [check_document(record, where) for path in paths for record, where in read_records(Path(path))]
    documents = [document for document in documents if not document.text.isspace() and document.text]
    labels = {document.keep for document in documents}
    if labels != {0, 1}:
        found = "no documents" if not documents else f"only documents labelled {', '.join(map(str, sorted(labels)))}"
        raise TrainingError(
            f"{', '.join(paths)}: {found}; training needs documents to keep (1) and documents to drop (0)"
        )
    return documents


def read_pages(paths: Sequence[str]) -> list[LabelledPage]:
    """All pages of these files (``.jsonl``, ``.jsonl.zst``, ``.jsonl.gz``, ``.parquet``), in order.

    Raises ``TrainingError`` with file and record if a column is missing or labels do not fit the lines, and if there
    is nothing to learn: no pages, or all lines with the same label.
    """
    pages = [check_page(record, where) for path in paths for record, where in read_records(Path(path))]
    labels = {label for page in pages for label in page.keep}
    if labels != {0, 1}:
        found = "no pages" if not pages else f"only lines labelled {', '.join(map(str, sorted(labels)))}"
        raise TrainingError(f"{', '.join(paths)}: {found}; training needs lines to keep (1) and lines to remove (0)")
    return pages


def short_names(paths: Sequence[str]) -> list[str]:
    """Names of these files for reports: file names, or whole paths if two files have the same name."""
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def by_short_name(found: Mapping[str, Found]) -> dict[str, Found]:
    """The results per file, with ``short_names`` as keys instead of paths."""
    return dict(zip(short_names(list(found)), found.values(), strict=True))


def read_records(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Records of a file, each with its place. Raises ``TrainingError`` if the file cannot be read."""
    try:
        for number, record in enumerate(_records(path)):
            if not isinstance(record, dict):
                raise TrainingError(f"{path}, record {number}: not an object with keys but {type(record).__name__}")
            yield record, f"{path}, record {number}"
    except (OSError, ValueError, EOFError, zlib.error, zstandard.ZstdError) as error:
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


def check_page(record: dict[str, Any], where: str) -> LabelledPage:
    """A record as a page. Raises ``TrainingError`` if it is not a valid page."""
    text, keep = record.get("raw_content", record.get("text")), record.get("gold_keep")
    if not isinstance(text, str) or not isinstance(keep, list):
        raise TrainingError(f"{where}: needs raw_content (or text) and gold_keep, has {', '.join(record) or 'nothing'}")
    if len(keep) != text.count("\n") + 1 or not set(keep) <= {0, 1}:
        raise TrainingError(
            f"{where}: {len(keep)} labels for {text.count(chr(10)) + 1} lines; give one 0 or 1 for each line"
        )
    return LabelledPage(text, tuple(keep))


def check_document(record: dict[str, Any], where: str) -> LabelledDocument:
    """A record as a document. Raises ``TrainingError`` if it is not a valid document."""
    text, keep = record.get("text", record.get("raw_content")), record.get("gold_keep_doc")
    if not isinstance(text, str) or keep is None:
        raise TrainingError(
            f"{where}: needs text (or raw_content) and gold_keep_doc, has {', '.join(record) or 'nothing'}"
        )
    if str(keep) not in ("0", "1"):
        raise TrainingError(f"{where}: gold_keep_doc is {str(keep)[:40]!r}; it must be 0 or 1")
    return LabelledDocument(text, int(keep), str(record.get("unanimous", 1)) in ("1", "True"))
