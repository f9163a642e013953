"""What refining cost, read from the tables, beside a model that says it was trained on that refinement. Slow: whole
refinements."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, run

from prox_spark.cli import main
from prox_spark.config import Config
from prox_spark.costs.refining import refinement_stages
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.tables.store import open_store


@pytest.mark.slow
def test_a_models_refining_is_counted_from_the_programs_of_its_refinement(
    spark: Any,
    configure: Callable[..., Config],
    write_pages: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scripted = ["document=null", "chunk.engine.kind=scripted", "chunk.engine.default=remove_lines(start=0, end=0)"]
    config = configure(*scripted, path=write_pages([PAGE, PAGE + " And more."]))
    _, _, done = run(spark, config)
    name = f"{done.refinement}:{done.version}"

    (stage,) = refinement_stages(spark, config.store, name)
    counts = done.counts
    assert (stage.stage, stage.refiner, stage.parameters) == ("chunk", "scripted", 0)
    assert (stage.prompt_tokens, stage.output_tokens) == (counts["prompt_tokens"], counts["output_tokens"])

    model = build_tiny_model(tmp_path / "model", ["the sea and a house"] * 3)
    record = {
        "data": {"refinement": name, "tokens": 100, "end_token_id": 1},
        "validation_sha256": None,
        "parameters": {"without_embeddings": 10},
        "tokens": 100,
        "curve": [],
    }
    (model / "pretraining.json").write_text(json.dumps(record))
    arguments = [f"store={config.store}", f"evaluate.models=[{model}]", f"evaluate.output={tmp_path / 'e'}"]
    assert main(["evaluate", "--output", "json", *arguments]) == 0
    compute = json.loads(capsys.readouterr().out)["compute"]
    assert compute["stages"][name][0]["prompt_tokens"] == stage.prompt_tokens
    assert compute["rows"][0]["total_flops"] == 6 * 10 * 100
    assert main(["evaluate", *arguments, f"store={tmp_path / 'gone'}"]) == 0
    assert f"the cost of refining {name} is unknown" in capsys.readouterr().out


@pytest.mark.slow
def test_chunk_programs_of_documents_that_this_refinement_drops_are_anothers(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path]
) -> None:
    path = write_pages([PAGE, PAGE + " And more."])
    chunk = ["chunk.engine.kind=scripted", "chunk.engine.default=remove_lines(start=0, end=0)"]
    config = configure("document=null", *chunk, path=path, refinement="chunk")
    run(spark, config)
    spark.sql(f"UPDATE {open_store(spark, config.store).table('programs')} SET prompt_tokens = 10")
    document = ["document.engine.kind=scripted", "document.engine.answers={'And more': 0.1}"]
    run(spark, configure(*document, *chunk, path=path, refinement="both"))
    assert refinement_stages(spark, config.store, "both")[-1].prompt_tokens == 10, "of one page, not of both"
