"""The training files: annotations as Parquet files of labelled documents and labelled pages, as ``adapt`` reads them.

They depend only on the store and the configuration, and are reproducible byte for byte.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from prox_spark.annotation.labels import document_label, is_validation, page_labels
from prox_spark.atomic import locked, whole_file
from prox_spark.config.annotate import AnnotateConfig
from prox_spark.tables.store import Store

DOCUMENTS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("text", pa.string()),
        ("gold_keep_doc", pa.int8()),
        ("edu", pa.int32()),
        ("format", pa.int32()),
    ]
)
"""Labelled documents: ``gold_keep_doc`` is 1 to keep one and 0 to drop it, by ProX's rule over the two scores."""

PAGES = pa.schema(
    [
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("raw_content", pa.string()),
        ("gold_keep", pa.list_(pa.int8())),
        (
            "programs",
            pa.list_(pa.struct([("line_start", pa.int64()), ("line_end", pa.int64()), ("output", pa.string())])),
        ),
    ]
)
"""Labelled pages: ``gold_keep`` has a 1 (keep) or 0 for each line of ``raw_content``; ``programs`` has one per chunk."""

_LABELLED = pa.schema(
    [
        *DOCUMENTS,
        ("fate", pa.string()),
        *(PAGES.field(name) for name in ("gold_keep", "programs")),
    ]
)

_ROWS = 256
_ANSWER = ("task", "chunk", "line_start", "line_end", "status", "edu", "format", "calls")


@dataclass
class TrainingFiles:
    """The files in ``folder``: rows of each file, and counts of omitted documents and pages.

    ``left_out``: ``unscored`` documents (no usable scores); pages that are ``incomplete``, ``over_limit`` or ``skipped``
    (see ``labels.PageLabels``).
    """

    folder: str
    rows: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


def write_training(store: Store, settings: AnnotateConfig, chosen: DataFrame, answers: DataFrame) -> TrainingFiles:
    """Write ``documents-train.parquet``, ``documents-validation.parquet``, and the same of ``pages``, for the settings' tasks.

    ``chosen`` documents (doc_id) with their ``answers`` (rows of ``annotations``). Each file is written atomically.
    """
    folder = Path(settings.output).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    done = TrainingFiles(str(folder))
    left_out: Counter[str] = Counter()
    kinds = {"scores": ("documents", DOCUMENTS), "programs": ("pages", PAGES)}
    wanted = [kinds[task] for task in kinds if task in settings.tasks]
    # Another run may write the same files: each file has one hidden name.
    with locked(folder), ExitStack() as stack:
        files = {
            name: stack.enter_context(_File(stack.enter_context(whole_file(folder / name)), schema))
            for kind, schema in wanted
            for name in (f"{kind}-train.parquet", f"{kind}-validation.parquet")
        }
        for row in _labelled(store, settings, chosen, answers).toLocalIterator():
            values = row.asDict(recursive=True)
            values["raw_content"] = values["text"]
            validates = is_validation(values["doc_id"], values["url"], settings.seed, settings.validation_share)
            for kind, _ in wanted:
                reason = _reason(kind, values)
                if reason is None:
                    files[f"{kind}-{'validation' if validates else 'train'}.parquet"].add(values)
                else:
                    left_out[reason] += 1
        for name, file in files.items():
            done.rows[name] = file.finish()
    done.left_out = dict(sorted(left_out.items()))
    return done


def _reason(kind: str, values: dict[str, Any]) -> str | None:
    """Why no file of this kind contains a document; None if one does."""
    if kind == "documents":
        return "unscored" if values["gold_keep_doc"] is None else None
    return None if values["fate"] == "labelled" else str(values["fate"])


def _labelled(store: Store, settings: AnnotateConfig, chosen: DataFrame, answers: DataFrame) -> DataFrame:
    """The sample's documents with their labels, in order of their ids."""
    grouped = answers.groupBy("doc_id").agg(F.collect_list(F.struct(*_ANSWER)).alias("answers"))
    # Broadcast the sample's ids to the documents, so that no other page's text is moved.
    texts = store.read("documents").select("doc_id", "url", "text")
    texts = texts.join(F.broadcast(chosen.select("doc_id")), "doc_id", "left_semi").join(grouped, "doc_id")
    return texts.mapInArrow(_task(settings.max_removed_share), from_arrow_schema(_LABELLED)).orderBy("doc_id")


def _task(max_removed_share: float) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = [_label(row, max_removed_share) for row in batch.to_pylist()]
            yield pa.RecordBatch.from_pylist(rows, schema=_LABELLED)

    return task


def _label(row: dict[str, Any], max_removed_share: float) -> dict[str, Any]:
    answers = sorted(row["answers"], key=lambda one: (one["task"], -1 if one["chunk"] is None else one["chunk"]))
    edu, format, keep = document_label(answers) or (None, None, None)
    page = page_labels(row["text"], answers, max_removed_share)
    return {
        **{name: row[name] for name in ("doc_id", "url", "text")},
        **{"gold_keep_doc": keep, "edu": edu, "format": format, "fate": page.fate, "gold_keep": page.keep},
        "programs": [
            {"line_start": one.line_start, "line_end": one.line_end, "output": one.output} for one in page.programs
        ],
    }


class _File:
    """A Parquet file that is written one row group at a time."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer: Any = pq.ParquetWriter(path, schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._count = 0

    def add(self, values: dict[str, Any]) -> None:
        self._rows.append({name: values[name] for name in self._schema.names})
        if len(self._rows) == _ROWS:
            self._flush()

    def finish(self) -> int:
        """Write the last rows. Returns the number of rows of the file."""
        self._flush()
        return self._count

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._count += len(self._rows)
        self._rows = []
