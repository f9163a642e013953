"""Which version of the rules a refinement uses when its configuration names none."""

import json
from typing import Any

import pytest

from prox_spark.config import load_config
from prox_spark.generation.plan import Refiners
from prox_spark.generation.refiner import RefinerId
from prox_spark.refinement import standing
from prox_spark.refinement.fingerprint import fingerprint, identity

REFINERS = Refiners(None, RefinerId("chunk", "any", "c" * 64))
STORE: Any = None


@pytest.mark.parametrize("name", ["null", "r"], ids=["without a name", "with a name"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_refinement_that_exists_keeps_its_version(version: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = identity(load_config("rules", ["store=s", f"execution.semantics={version}"]), REFINERS)
    row = {"identity": json.dumps(there)}
    known = {"r", fingerprint(there)[:8]}
    monkeypatch.setattr(standing, "last_version", lambda store, name: row if name in known else None)

    config, found = standing.find_standing(STORE, load_config("rules", ["store=s", f"refinement={name}"]), REFINERS)

    assert found is row
    assert config.execution.semantics == version


def test_a_new_refinement_begins_with_version_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "last_version", lambda store, name: None)
    config, found = standing.find_standing(STORE, load_config("rules", ["store=s"]), REFINERS)
    assert (config.execution.semantics, found) == (3, None)
