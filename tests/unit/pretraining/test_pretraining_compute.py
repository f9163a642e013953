"""Compute by hand: FLOPs, what refining costs and saves, where curves meet, and what is counted of a model's tensors."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from prox_spark.costs.compute import (
    Parameters,
    Point,
    Stage,
    Trained,
    account,
    count_parameters,
    inference_flops,
    refining_flops,
    tokens_to_reach,
    training_flops,
)
from prox_spark.costs.refining import engine_parameters, folder_parameters
from prox_spark.errors import UsageError
from prox_spark.evaluation.models import compute_of


def test_training_and_refining_cost_what_the_paper_says() -> None:
    # 0.3B parameters that read 100B raw tokens and the 60B that the document stage left, for a 0.7B model on 25B tokens.
    stages = [
        Stage("document", "doc", 300_000_000, 99_000_000_000, 1_000_000_000),
        Stage("chunk", "chunk", 300_000_000, 60_000_000_000, 0),
    ]
    assert training_flops(700_000_000, 25_000_000_000) == 1.05e20
    assert inference_flops(300_000_000, 100_000_000_000) == 6e19
    assert refining_flops(stages) == 2 * 0.3e9 * (100e9 + 60e9) == 9.6e19
    assert refining_flops([*stages, Stage("chunk", "elsewhere", None, 1, 1)]) is None
    assert refining_flops([]) == 0


def test_a_curve_is_read_between_its_points_over_the_logarithm_of_tokens() -> None:
    curve = [Point(400, 1.0), Point(100, 2.0)]
    assert tokens_to_reach(curve, 1.5) == pytest.approx(200)
    assert tokens_to_reach(curve, 1.0) == pytest.approx(400)
    assert tokens_to_reach(curve, 2.5) == 100
    assert tokens_to_reach(curve, 0.9) is None
    assert tokens_to_reach([], 1.0) is None


def test_what_refining_saves_is_counted_at_equal_quality() -> None:
    raw = Trained("raw", 10, 1000, 1000, (Point(250, 3.0), Point(1000, 2.0)))
    # As good as raw's end at 250 tokens: half of a corpus of 500, whose refining cost 12,000 FLOPs.
    refined = Trained("refined", 10, 1000, 500, (Point(250, 2.0), Point(1000, 1.0)), 12_000.0)
    first, row = account([raw, refined])

    assert "saved_flops" not in first
    assert first["total_flops"] == first["training_flops"] == 60_000
    assert first["break_even_tokens"] == 0
    assert (row["training_flops"], row["charged_refining_flops"], row["total_flops"]) == (60_000, 12_000, 72_000)
    assert row["break_even_tokens"] == 200
    assert row["needs_tokens"] == 250
    assert row["first_needs_tokens"] is None
    assert row["saved_flops"] == 60_000 - (6 * 10 * 250 + 12_000 * 0.5)


def test_only_the_read_share_of_a_refined_corpus_is_charged() -> None:
    row = account([Trained("refined", 10, 100, 400, (), 12_000.0)])[0]
    assert (row["refining_flops"], row["charged_refining_flops"], row["break_even_tokens"]) == (12_000, 3_000, 50)


def test_a_worse_model_saves_less_than_nothing_and_what_is_not_reached_or_known_is_none() -> None:
    raw = Trained("raw", 10, 1000, 1000, (Point(250, 3.0), Point(1000, 2.0)))
    worse = Trained("worse", 10, 1000, 1000, (Point(250, 3.5), Point(1000, 2.5)), 600.0)
    found = account([raw, worse])[1]
    assert found["needs_tokens"] is None
    assert found["first_needs_tokens"] == pytest.approx(500)
    assert found["saved_flops"] == pytest.approx(30_000 - 60_000 - 600)
    other = Trained("other", 10, 1000, 1000, (Point(1000, 1.9),), None)
    found = account([raw, other])[1]
    assert (found["needs_tokens"], found["saved_flops"], found["total_flops"]) == (1000, None, None)
    apart = Trained("apart", 10, 1000, 1000, ())
    found = account([raw, apart])[1]
    assert (found["needs_tokens"], found["first_needs_tokens"], found["saved_flops"]) == (None, None, None)


def test_embeddings_are_counted_apart_in_names_of_several_architectures(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    shapes = {
        "model.embed_tokens.weight": (7, 3),
        "lm_head.weight": (7, 3),
        "model.layers.0.mlp.up_proj.weight": (5, 3),
    }
    assert count_parameters(shapes.items()) == Parameters(57, 15)
    assert (
        count_parameters([("transformer.wte.weight", (7, 3)), ("transformer.wpe.weight", (9, 3))]).without_embeddings
        == 0
    )
    save_file({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, tmp_path / "model.safetensors")
    assert folder_parameters(tmp_path) == Parameters(57, 15)
    assert folder_parameters(tmp_path / "empty") is None
    # Of an engine's model where its weights are here; rules ask none.
    assert engine_parameters({"kind": "vllm", "model": str(tmp_path)}) == 15
    for kind in ("rules", "statistics", "scripted", "dsir", "random", "column"):
        assert engine_parameters({"kind": kind}) == 0
    assert engine_parameters({"kind": "vllm", "model": "nobody-has/this"}) is None


def record(folder: Path, refinement: str | None, validation: str | None, curve: list[tuple[int, float]]) -> Path:
    folder.mkdir()
    found: dict[str, Any] = {
        "data": {"refinement": refinement, "tokens": 1000},
        "validation_sha256": validation,
        "parameters": {"without_embeddings": 10},
        "tokens": 1000,
        "curve": [{"tokens": tokens, "bits_per_byte": bits} for tokens, bits in curve],
    }
    (folder / "pretraining.json").write_text(json.dumps(found))
    return folder


def test_models_are_counted_from_their_records_and_what_cannot_be_is_said(tmp_path: Path) -> None:
    folders = {
        "raw": record(tmp_path / "raw", None, "a", [(500, 3.0), (1000, 2.0)]),
        "mine": record(tmp_path / "mine", "mine:1", "a", [(500, 2.0), (1000, 1.5)]),
        "gone": record(tmp_path / "gone", "gone:1", "b", [(1000, 1.0)]),
        "other": tmp_path,
    }

    def refining(name: str, _: str | None) -> list[Stage]:
        if name == "gone:1":
            raise UsageError("no refinement gone:1")
        return [Stage("chunk", "web", 50, 100, 20)]

    found = compute_of(folders, refining)

    rows = {row["model"]: row for row in found["rows"]}
    assert list(rows) == ["raw", "mine", "gone"]
    assert rows["mine"]["refining_flops"] == 2 * 50 * 120
    assert rows["mine"]["saved_flops"] == 60_000 - 30_000 - 6_000
    assert rows["gone"]["refining_flops"] is None
    assert rows["gone"]["needs_tokens"] is None
    assert found["stages"]["mine:1"][0]["flops"] == 12_000
    assert found["points"]["mine"][0] == (60 * 500 + 6_000, 2.0)
    assert [note.split(":")[0] for note in found["notes"]] == [
        "the cost of refining gone",
        "other was not trained by `pretrain`, so its compute is unknown",
        "gone was measured on a different text than raw; their curves are not compared",
    ]
    assert math.isfinite(sum(x for points in found["points"].values() for x, _ in points))
