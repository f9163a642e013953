"""Rates, sweeps and areas against numbers worked out by hand; labels that do not fit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prox_spark.config.evaluate import EvaluateConfig
from prox_spark.errors import TrainingError
from prox_spark.evaluation.labels import Labelled, read_labels
from prox_spark.evaluation.measure import judge, judge_groups, judge_scores, rates, sweep

KEEP, STAYS = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])


def labelled(keep: list[float], words: list[float], **groups: str) -> Labelled:
    return Labelled(np.array(keep), np.array(words), tuple(groups.items()))


def test_rates_are_weighted() -> None:
    assert rates(KEEP, STAYS, np.ones(4)) == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert rates(KEEP, STAYS, np.array([9.0, 1, 1, 1])) == {"precision": 0.9, "recall": 0.9, "f1": 0.9}
    assert rates(np.zeros(2), np.zeros(2), np.ones(2)) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_pages_are_judged_together_and_by_group() -> None:
    labels = [labelled([1, 0], [8, 2], source="a", lang="en"), labelled([1, 1], [5, 5], source="b")]
    stays = [np.array([1.0, 1.0]), np.array([1.0, 0.0])]
    found = judge(labels, stays)
    assert (found["pages"], found["lines"], found["kept_words"]) == (2, 4, 0.75)
    assert found["keep"]["words"]["precision"] == 13 / 15
    assert found["remove"]["lines"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert found["keep_everything"]["lines"] == pytest.approx(6 / 7)
    groups = judge_groups(labels, stays)
    assert set(groups) == {"source", "lang"}
    assert groups["source"]["a"] == judge(labels[:1], stays[:1]) == groups["lang"]["en"]


def test_a_sweep_keeps_what_is_at_the_threshold() -> None:
    scores = np.array([0.9, 0.5, 0.4, 0.1])
    assert [(row["threshold"], row["f1"], row["kept"]) for row in sweep(KEEP, scores, np.ones(4), [0.0, 0.5, 1.0])] == [
        (0.0, pytest.approx(2 / 3), 1.0),
        (0.5, 1.0, 0.5),
        (1.0, 0.0, 0.0),
    ]


def test_scores_are_judged_by_area_and_calibration() -> None:
    found = judge_scores(KEEP, np.array([0.95, 0.85, 0.15, 0.05]))
    assert found["auc"] == 1.0
    assert [(bin_["from"], bin_["n"], bin_["kept"]) for bin_ in found["calibration"]] == [
        (0.0, 1, 0.0),
        (0.1, 1, 0.0),
        (0.8, 1, 1.0),
        (0.9, 1, 1.0),
    ]
    assert found["calibration_error"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no records"),
        ([{"raw_content": "a", "gold_keep": [1]}], "needs a doc_id"),
        ([{"doc_id": "d", "raw_content": "a", "gold_keep": [1]}] * 2, "record 1: doc_id 'd' occurs twice"),
        ([{"doc_id": "d", "raw_content": "a", "gold_keep": [1, 1]}], "2 labels for 1 lines"),
        ([[1]], "not an object with keys but list"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, records: list[Any], message: str) -> None:
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(TrainingError, match=message):
        read_labels(str(tmp_path / "labels.jsonl"), documents=False)


def test_something_must_be_evaluated() -> None:
    with pytest.raises(ValueError, match=r"evaluate\.pages"):
        EvaluateConfig()
