"""The self-test of a generation on a real engine: a random model that nothing holds to the grammar is told at once.

Slow: three generations of two stages each; the judgement itself is tested in tests/unit/generation/test_selftest.py.
"""

from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, rows, versions

from prox_spark.config import Config, load_config
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import SelfTestError
from prox_spark.ingestion.ingest import ingest
from prox_spark.pipeline import generate

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture(scope="module")
def keys(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of a store with two pages, and a random model for both stages."""
    folder = tmp_path_factory.mktemp("selftest")
    # With this seed the grammar's programs remove lines; with others they leave every page as it is.
    model = build_tiny_model(folder / "tiny", [PAGE + "remove_lines keep_doc drop_doc untouch_doc\n"], seed=4)
    for name in "ab":
        (folder / f"{name}.txt").write_text(f"{PAGE}\n{name}")
    found = [f"store={folder / 'store'}", f"input.path={folder / '*.txt'}", "input.format=text"]
    for stage in ("document", "chunk"):
        found += [f"{stage}.engine.kind=transformers", f"{stage}.engine.model={model}"]
    config = load_config(None, found)
    ingest(spark, config)
    return [*found, "chunk.max_tokens=24"]


def configured(keys: list[str], *overrides: str) -> Config:
    return load_config(None, [*keys, *overrides])


def test_a_model_whose_programs_never_parse_stops_before_anything_is_generated(spark: Any, keys: list[str]) -> None:
    config = configured(keys, "document=null", "chunk.grammar=false")
    before = versions(Path(config.store))

    with pytest.raises(SelfTestError, match="would remove nothing from any of 4 pages of boilerplate") as raised:
        generate(spark, config)

    assert "Home | About" in str(raised.value)
    assert str(raised.value).count("(invalid)") + str(raised.value).count("(truncated)") == 4
    assert versions(Path(config.store)) == before


def test_a_model_that_passes_generates_and_is_not_asked_again_when_nothing_is_pending(
    spark: Any, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(keys, "chunk.min_keep_score=0", "execution.drop_document_below=0")

    stages = generate(spark, config)

    assert [(stage.documents, stage.failed) for stage in stages] == [(2, 0), (2, 0)]
    assert {row["doc_id"] for row in rows(spark, config, "programs")} == {
        row["doc_id"] for row in rows(spark, config, "documents")
    }

    def never(*arguments: Any) -> None:
        raise AssertionError("the model was asked")

    monkeypatch.setattr("prox_spark.generation.generate.self_test", never)
    assert [stage.documents for stage in generate(spark, config)] == [0, 0]


def test_without_the_self_test_the_same_model_runs(spark: Any, keys: list[str]) -> None:
    (stage,) = generate(spark, configured(keys, "document=null", "chunk.grammar=false", "generate.self_test=false"))

    assert (stage.documents, stage.chunks) == (2, 2)
