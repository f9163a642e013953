"""A tiny model folder and documents as Arrow batches."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from prox_spark.engines.tiny import build_tiny_model

Documents = Callable[..., pa.RecordBatch]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = "A page has a menu, some prose, a cookie banner and a footer.\nremove_lines keep_doc drop_doc [doc]\n"
    return build_tiny_model(tmp_path_factory.mktemp("tiny"), [text * 3])


@pytest.fixture
def documents() -> Documents:
    def build(*texts: str | None, first: int = 0) -> pa.RecordBatch:
        ids = [f"d{first + number}" for number in range(len(texts))]
        return pa.RecordBatch.from_pydict(
            {
                "doc_id": ids,
                "content_hash": [f"h{name}" for name in ids],
                "unit": pa.array([0] * len(ids), pa.int64()),
                "text": pa.array(texts, pa.string()),
            }
        )

    return build
