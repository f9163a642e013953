"""Training a line scorer on a page each of which anyone could label, and what is refused."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prox_spark.adapt.job import adapt
from prox_spark.adapt.pages import read_pages
from prox_spark.adapt.scoring import Scored, best_threshold, calibration, calibration_error, keep_f1
from prox_spark.adapt.settings import AdaptConfig, ScorerShape
from prox_spark.engines.settings import TransformersSettings
from prox_spark.errors import TrainingError
from prox_spark.generation.refiner import load_refiner


def write(path: Path, records: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def page(random_: random.Random) -> dict[str, Any]:
    lines, keep = [], []
    for _ in range(random_.randint(5, 20)):
        content = random_.random() < 0.5
        words = [random_.choice(["house", "sea", "room", "light", "stone"]) for _ in range(12 if content else 2)]
        lines.append(" ".join(words) + ("." if content else ""))
        keep.append(int(content))
    return {"raw_content": "\n".join(lines), "gold_keep": keep}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder, random_ = tmp_path_factory.mktemp("pages"), random.Random(1)
    made = [
        write(folder / f"{name}.jsonl", [page(random_) for _ in range(n)]) for name, n in (("train", 40), ("dev", 8))
    ]
    return made[0], made[1]


def settings(files: tuple[str, str], output: Path, **more: Any) -> AdaptConfig:
    shape = ScorerShape(vocabulary=512, hidden=64, feed_forward=64, layers=1)
    given = {"window": 96, "batch_tokens": 1024, "epochs": 4, "evaluations": 2, "shape": shape, **more}
    return AdaptConfig(name="small", output=str(output), train=[files[0]], validation=[files[1]], **given)


def test_a_scorer_learns_is_calibrated_and_comes_as_a_refiner(files: tuple[str, str], tmp_path: Path) -> None:
    done = adapt(settings(files, tmp_path / "small"))

    assert done.scores["dev.jsonl"]["f1"] > 0.95
    folder = tmp_path / "small"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small"]
    assert {"model.safetensors", "tokenizer.json", "config.json", "refiner.json", "README.md"} <= {
        path.name for path in folder.iterdir()
    }
    refiner = load_refiner("chunk", TransformersSettings(kind="transformers", model=str(folder)))
    assert (refiner.template, refiner.label, refiner.window) == ("marked/1", 1, 96)
    recorded = json.loads((folder / "training.json").read_text())
    assert recorded["settings"]["train"] == ["train.jsonl"]
    assert f"{done.scores['dev.jsonl']['f1']:.4f}" in (folder / "README.md").read_text()

    again = adapt(settings(files, tmp_path / "again"))

    assert (again.best, again.scores) == (done.best, done.scores)
    with pytest.raises(TrainingError, match="exists"):
        adapt(settings(files, tmp_path / "again"))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no pages"),
        ([{"raw_content": "a\nb", "gold_keep": [0, 0]}], "only lines labelled 0"),
        ([{"raw_content": "a\nb", "gold_keep": [1]}], "record 0: 1 labels for 2 lines"),
        ([{"raw_content": "a", "gold_keep": [2]}], "one of 0 or 1"),
        ([{"page": "a", "keep": [1]}], "needs raw_content"),
    ],
)
def test_pages_that_nothing_can_be_learnt_from_are_refused_with_their_place(
    tmp_path: Path, records: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        read_pages([write(tmp_path / "pages.jsonl", records)])


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{")
    for name in ("bad.jsonl", "absent.jsonl"):
        with pytest.raises(TrainingError, match=name):
            read_pages([str(tmp_path / name)])


def test_calibration_finds_scale_and_shift_and_the_scores_know() -> None:
    generator = np.random.default_rng(0)
    z = generator.normal(0, 2, 20_000)
    keep = (generator.random(20_000) < 1 / (1 + np.exp(-(0.5 * z + 0.7)))).astype(np.float32)
    scored = Scored(z, keep, np.ones(20_000, np.float32))
    scale, shift = calibration([scored])
    assert scale == pytest.approx(0.5, abs=0.05)
    assert shift == pytest.approx(0.7, abs=0.05)
    calibrated = scored.calibrated(scale, shift)
    assert calibration_error(calibrated) < 0.02 < calibration_error(scored)
    threshold, f1 = best_threshold([calibrated])
    assert f1 == keep_f1(calibrated, threshold) >= keep_f1(calibrated, 0.5)
