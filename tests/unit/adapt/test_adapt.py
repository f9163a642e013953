"""Training refiners on pages each of which anyone could label, going on after a kill, and what is refused."""

import gzip
import json
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prox_spark.adapt import training
from prox_spark.adapt.adapt import _absolute, _digest, adapt
from prox_spark.adapt.int8 import keeps_f1
from prox_spark.adapt.models import existing, new_classifier
from prox_spark.adapt.programs import removals, removed
from prox_spark.adapt.recipe import make_recipe
from prox_spark.adapt.rows import check_packing
from prox_spark.adapt.scores import lay_out
from prox_spark.adapt.scoring import Scored, best_threshold, calibration, calibration_error, keep_f1, roc_area
from prox_spark.config.adapt import AdaptConfig, Shape
from prox_spark.config.engines import OnnxSettings, StatisticsSettings, TransformersSettings
from prox_spark.corpora.labels import read_documents, read_pages
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import RefinerError, TrainingError
from prox_spark.generation.kinds import load_refiner


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
    text = "\n".join(lines)
    return {"raw_content": text, "gold_keep": keep, "text": text, "gold_keep_doc": int(sum(keep) * 2 > len(keep))}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder, random_ = tmp_path_factory.mktemp("pages"), random.Random(1)
    made = [
        write(folder / f"{name}.jsonl", [page(random_) for _ in range(n)]) for name, n in (("train", 40), ("dev", 8))
    ]
    return made[0], made[1]


def settings(files: tuple[str, str], output: Path, **more: Any) -> AdaptConfig:
    shape = Shape(vocabulary=512, hidden=64, feed_forward=64, layers=1)
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
    assert (refiner.template, refiner.label, refiner.window) == ("marked/2", 1, 96)
    recorded = json.loads((folder / "training.json").read_text())
    assert recorded["settings"]["train"] == ["train.jsonl"]
    assert f"{done.scores['dev.jsonl']['f1']:.4f}" in (folder / "README.md").read_text()
    assert recorded["scores"]["dev.jsonl"]["f1_int8"] == pytest.approx(done.scores["dev.jsonl"]["f1"], abs=0.002)
    onnx = load_refiner("chunk", OnnxSettings(kind="onnx", model=str(folder)))
    assert onnx.options == (("precision", '"int8"'),)

    again = adapt(settings(files, tmp_path / "again"))

    assert (again.best, again.scores) == (done.best, done.scores)
    with pytest.raises(TrainingError, match="exists"):
        adapt(settings(files, tmp_path / "again"))


def test_int8_is_for_refiners_that_lose_nothing_by_it() -> None:
    single = {"dev": 0.9, "other": 0.8}
    assert keeps_f1({"dev": 0.8981, "other": 0.81}, single)
    assert not keeps_f1({"dev": 0.8979, "other": 0.81}, single)
    assert not keeps_f1({}, single)


def test_without_onnxruntime_a_scorer_is_made_in_single_precision(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = adapt(settings(files, tmp_path / "small", epochs=1, evaluations=1))
    assert "f1_int8" not in done.scores["dev.jsonl"]
    assert "int8" not in json.loads((tmp_path / "small" / "refiner.json").read_text())["chunk"]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no pages"),
        ([{"raw_content": "a\nb", "gold_keep": [0, 0]}], "only lines labelled 0"),
        ([{"raw_content": "a\nb", "gold_keep": [1]}], "record 0: 1 labels for 2 lines"),
        ([{"raw_content": "a", "gold_keep": [2]}], "give one 0 or 1"),
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
    (tmp_path / "bad.jsonl.zst").write_text("{")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b"{}" * 1000)[:-12])
    for name in ("bad.jsonl", "absent.jsonl", "bad.jsonl.zst", "cut.jsonl.gz"):
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


def test_calibration_of_a_model_that_is_sure_of_lines_it_has_wrong() -> None:
    generator = np.random.default_rng(0)
    keep = (generator.random(20_000) < 0.3).astype(np.float32)
    z = np.where(keep > 0, 1, -1) * generator.normal(12, 4, 20_000)
    z[generator.random(20_000) < 0.08] *= -1
    scored = Scored(z, keep, np.ones(20_000, np.float32))
    scale, shift = calibration([scored])
    assert 0.05 < scale < 0.5
    assert abs(shift) < 2
    assert calibration_error(scored.calibrated(scale, shift)) < calibration_error(scored)


class _KilledError(Exception):
    """Stands for the end of the process."""


def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"average": 0.9, "noise": 0.1, "evaluations": 3, "epochs": 3}
    whole = adapt(settings(files, tmp_path / "whole", **given))
    save = training._save

    def killed_after_the_second(*state: Any) -> None:
        save(*state)
        if state[1].evaluated == 2:
            raise _KilledError

    monkeypatch.setattr(training, "_save", killed_after_the_second)
    with pytest.raises(_KilledError):
        adapt(settings(files, tmp_path / "cut", **given))
    assert not (tmp_path / "cut").exists()
    monkeypatch.setattr(training, "_save", save)
    told: list[dict[str, float]] = []

    done = adapt(settings(files, tmp_path / "cut", **given), told.append)

    assert len(told) == 1
    assert (done.best, done.scores) == (whole.best, whole.scores)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]


def test_a_writer_is_trained_and_comes_as_a_refiner(files: tuple[str, str], tmp_path: Path) -> None:
    done = adapt(settings(files, tmp_path / "writer", task="programs", epochs=1, evaluations=1, average=0.5))

    refiner = load_refiner("chunk", TransformersSettings(kind="transformers", model=str(tmp_path / "writer")))
    assert (refiner.template, refiner.numbering, refiner.label, refiner.max_tokens) == (
        "numbered/1",
        "chunk",
        None,
        256,
    )
    assert set(done.scores) == {"dev.jsonl"}
    assert "writes `remove_lines` calls" in (tmp_path / "writer" / "README.md").read_text()


@pytest.mark.parametrize("task", ["lines", "programs"])
def test_examples_that_share_rows_teach_what_they_teach_alone(
    files: tuple[str, str], tmp_path: Path, task: str
) -> None:
    losses, sizes = [], []
    for packing in (False, True):
        folder = tmp_path / str(packing)
        folder.mkdir()
        recipe = make_recipe(settings(files, folder, task=task, packing=packing, dropout=0.0), folder)
        batch = [example for batch in recipe.task.epoch(0) for example in batch]
        batch.sort(key=lambda example: example.ids.tolist())
        losses.append(float(recipe.task.loss(recipe.model, batch[:20]).detach()))
        sizes.append(lay_out(batch, settings(files, folder, packing=packing)).ids.size)
        tokens = recipe.task.tokens(batch)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert tokens <= sizes[1] < 1.1 * tokens < sizes[0]


def test_a_scorer_learns_from_rows_that_are_shared(files: tuple[str, str], tmp_path: Path) -> None:
    done = adapt(settings(files, tmp_path / "shared", packing=True))
    assert done.scores["dev.jsonl"]["f1"] > 0.95


def test_an_architecture_that_mixes_examples_of_a_row_is_refused() -> None:
    from transformers import BloomConfig, BloomForCausalLM

    bloom = BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=16, n_layer=1, n_head=2))
    with pytest.raises(TrainingError, match="a bloom does not separate the examples of a row"):
        check_packing(bloom, [np.arange(1, 9), np.arange(3, 10)])


@pytest.mark.parametrize(("task", "stage"), [("programs", "chunk"), ("documents", "document")])
def test_a_base_model_is_tuned_with_its_own_vocabulary(
    files: tuple[str, str], tmp_path: Path, task: str, stage: Any
) -> None:
    base = build_tiny_model(tmp_path / "base", ["house sea room light stone keep drop"] * 3)
    given = {"task": task, "base": str(base), "epochs": 1, "evaluations": 1, "window": 128, "learning_rate": 1e-4}
    adapt(settings(files, tmp_path / "tuned", **given))

    refiner = load_refiner(stage, TransformersSettings(kind="transformers", model=str(tmp_path / "tuned")))
    assert refiner.template == "lines/1"
    assert refiner.decision == (("keep", "drop") if task == "documents" else None)


def document(random_: random.Random) -> dict[str, Any]:
    keep = random_.random() < 0.5
    words = (
        ["the old house", "was by the sea", "and we had stone", "of that light"]
        if keep
        else ["Add To Cart", "Sale 50%"]
    )
    return {"text": (". " if keep else " | ").join(random_.choices(words, k=40)), "gold_keep_doc": int(keep)}


def test_documents_are_scored_by_weights(tmp_path: Path) -> None:
    random_ = random.Random(2)
    files = [write(tmp_path / f"{name}.jsonl", [document(random_) for _ in range(40)]) for name in ("train", "dev")]
    done = adapt(settings((files[0], files[1]), tmp_path / "documents", task="documents"))

    engine = StatisticsSettings(kind="statistics", model=str(tmp_path / "documents"))
    assert load_refiner("document", engine).kind == "statistics"
    assert all(score["auc"] > 0.99 for score in done.scores.values())


def test_removals_are_few_runs_and_blank_lines_go_with_their_neighbours() -> None:
    assert removals([1, 0, 1, 0, 1, 1], [5, 2, 0, 2, 0, 5]) == [(1, 3)]
    assert removals([0, 0, 1], [0, 0, 3]) == []
    assert removals([0, 1, 0], [1, 1, 1]) == [(0, 0), (2, 2)]
    gone = removed("remove_lines(011,012)\nremove_lines(10,900)\nnonsense(", first=10, lines=4)
    assert gone.tolist() == [True, True, True, True]
    assert removed("remove_lines(1,2)", 0, 4).tolist() == [False, True, True, False]
    assert removed("1. remove_lines(1,2)", 0, 4).tolist() == [False, True, True, False]


def test_the_area_under_the_curve_counts_pairs_in_order() -> None:
    keep = np.array([1, 0, 1, 0], np.float32)
    assert roc_area(Scored(np.array([4.0, 3.0, 2.0, 1.0]), keep, keep)) == 0.75
    assert roc_area(Scored(np.zeros(4), keep, keep)) == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 5000}, "do not fit into the model's context"),
        ({"base": "nowhere"}, "is not a folder"),
        ({"learning_rate": 1e30}, "lower adapt.learning_rate"),
    ],
)
def test_what_cannot_be_trained_is_told(
    files: tuple[str, str], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises((TrainingError, RefinerError), match=message):
        adapt(settings(files, tmp_path / "none", **{"epochs": 30, **change}))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("kind", ["OutOfMemoryError", "RuntimeError"])
def test_out_of_memory_says_what_to_lower(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    import torch

    def full(*_: Any) -> None:
        error = getattr(torch, kind, RuntimeError)
        raise error("DefaultCPUAllocator: can't allocate memory: 20 GiB\nmore words")

    monkeypatch.setattr(training, "take_step", full)
    with pytest.raises(TrainingError, match=r"lower adapt.batch_tokens \(1024\).*20 GiB\)$"):
        adapt(settings(files, tmp_path / "none"))


def test_files_of_one_name_are_told_apart_and_a_changed_one_begins_anew(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy2(files[1], tmp_path / folder / "dev.jsonl")
    told = settings(files, tmp_path / "two").model_copy(update={"validation": ["~/a/dev.jsonl", "~/b/dev.jsonl"]})
    before = _digest(told)
    assert list(adapt(told).scores) == ["~/a/dev.jsonl", "~/b/dev.jsonl"]
    (tmp_path / "a" / "dev.jsonl").write_text("{}")
    assert _digest(told) != before
    assert _absolute(told).validation[0] == str(tmp_path / "a" / "dev.jsonl")


def test_a_named_size_is_the_papers() -> None:
    given = {"name": "n", "output": "o", "train": ["t"], "validation": ["v"]}
    assert AdaptConfig.model_validate({**given, "shape": "xs"}).shape.hidden == 1280
    with pytest.raises(ValueError, match="known: xs, s, m"):
        AdaptConfig.model_validate({**given, "shape": "xl"})


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "no documents"),
        ([{"text": "a", "gold_keep_doc": 1}], "only documents labelled 1"),
        ([{"text": "a", "gold_keep_doc": 2}], "gold_keep_doc is '2'"),
        ([{"text": "a"}], "needs text"),
    ],
)
def test_documents_that_nothing_can_be_learnt_from_are_refused(
    tmp_path: Path, records: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        read_documents([write(tmp_path / "documents.jsonl", records)])


@pytest.mark.slow  # Two processes that each load torch, and Spark's launcher.
def test_two_processes_train_one_refiner(files: tuple[str, str], tmp_path: Path) -> None:
    done = adapt(settings(files, tmp_path / "both", processes=2, epochs=2))

    assert done.scores["dev.jsonl"]["f1"] > 0.9
    assert load_refiner("chunk", TransformersSettings(kind="transformers", model=str(tmp_path / "both"))).label == 1


def test_a_base_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    classifier = new_classifier(Shape(hidden=64, feed_forward=64, layers=2, heads=1), 100, 64, 0.0)
    classifier.save_pretrained(tmp_path)
    assert existing(tmp_path, causal=False) is not None
    weights = load_file(tmp_path / "model.safetensors")
    # The head is new; the encoder must be there.
    left = {name: tensor for name, tensor in weights.items() if not name.startswith("classifier")}
    save_file(left, tmp_path / "model.safetensors", {"format": "pt"})
    assert existing(tmp_path, causal=False) is not None
    for broken in (
        {name: tensor for name, tensor in left.items() if ".layers.1." not in name},
        {name: tensor[:8].clone() if name.endswith("Wo.weight") else tensor for name, tensor in left.items()},
    ):
        save_file(broken, tmp_path / "model.safetensors", {"format": "pt"})
        with pytest.raises(TrainingError, match=r"lacks .* of its weights, .*: get the whole model"):
            existing(tmp_path, causal=False)
