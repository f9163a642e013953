"""What the verbs tell each other."""

from typing import Any

import pytest

from prox_spark import pipeline
from prox_spark.config import load_config


def test_a_model_is_tested_as_the_refinement_that_exists_executes(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config("rules", ["store=s"])
    standing = load_config("rules", ["store=s", "execution.semantics=1"])
    monkeypatch.setattr(pipeline, "find_standing", lambda store, config, refiners: (standing, None))

    def generate_stages(spark: Any, config: Any, plans: Any, judged_by: Any, *, retry_failed: bool) -> list[Any]:
        return [config, judged_by("the store")]

    monkeypatch.setattr(pipeline, "generate_stages", generate_stages)
    spark: Any = None
    found: list[Any] = pipeline.generate(spark, config)
    assert found == [config, standing.execution]
