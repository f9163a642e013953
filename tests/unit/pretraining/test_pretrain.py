"""Pretraining small models: what the folder holds, going on after a kill to the same losses, going on from a base, refusals."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretraining_helpers import prose, settings, texts, write_shards

from prox_spark.config import load_config
from prox_spark.config.pretrain import SIZES, PretrainConfig
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.errors import RefinerError, TrainingError
from prox_spark.pretraining import pretrain as job
from prox_spark.pretraining import training
from prox_spark.pretraining.pretrain import pretrain
from prox_spark.pretraining.training import schedule
from prox_spark.training import steps


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("data") / "shards", texts(300))


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> str:
    return prose(tmp_path_factory.mktemp("prose") / "prose.jsonl", texts(8, seed=9))


def losses(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]


def test_a_model_learns_and_its_folder_says_how_it_was_made(data: Path, held_out: str, tmp_path: Path) -> None:
    told: list[dict[str, float]] = []
    done = pretrain(settings(data, tmp_path / "small", validation=[held_out], card="## Mine\nwords"), told.append)

    folder = tmp_path / "small"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small"]
    assert {"model.safetensors", "tokenizer.json", "config.json", "pretraining.json", "losses.jsonl", "README.md"} <= {
        path.name for path in folder.iterdir()
    }
    rows = losses(folder)
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert rows[0]["loss"] > rows[-1]["loss"] + 1
    assert [row["step"] for row in done.curve] == [4, 8, 12] == [row["step"] for row in told]
    assert done.curve[0]["bits_per_byte"] > done.curve[-1]["bits_per_byte"]
    record = json.loads((folder / "pretraining.json").read_text())
    # A layer of 4·32² attention, 3·32² feed-forward and two norms, and the last norm; the shared embeddings are apart.
    assert record["parameters"]["without_embeddings"] == 7 * 32**2 + 3 * 32
    assert record["parameters"]["all"] == 7 * 32**2 + 3 * 32 + 32 * record["data"]["vocabulary"]
    assert (record["tokens"], record["steps"]) == (12 * 256, 12)
    assert record["flops"] == 6 * (7 * 32**2 + 3 * 32) * 12 * 256
    assert "## Mine" in (folder / "README.md").read_text()
    with pytest.raises(TrainingError, match="exists"):
        pretrain(settings(data, folder))


class _KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("at", [2, 7])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_losses_and_weights(
    data: Path, held_out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Killed before its first saved state, and between two."""
    given = {"validation": [held_out], "passes": 2.0}
    whole = pretrain(settings(data, tmp_path / "whole", **given))
    made = 0

    def killed(*arguments: Any) -> Any:
        nonlocal made
        made += 1
        if made > at:
            raise _KilledError
        return steps.take_step(*arguments)

    monkeypatch.setattr(training, "take_step", killed)
    with pytest.raises(_KilledError):
        pretrain(settings(data, tmp_path / "cut", **given))
    assert not (tmp_path / "cut").exists()
    made = -100

    done = pretrain(settings(data, tmp_path / "cut", **given))

    assert made == -100 + 12 - {2: 0, 7: 5}[at]
    assert done.curve == whole.curve
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]


def test_a_base_s_dropout_goes_on_where_it_was(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretrain(settings(data, tmp_path / "base"))
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    (tmp_path / "base" / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.5}))
    given = {"base": str(tmp_path / "base"), "passes": 2.0}
    pretrain(settings(data, tmp_path / "whole", **given))
    taken = iter([steps.take_step] * 7)
    monkeypatch.setattr(training, "take_step", lambda *arguments: next(taken)(*arguments))
    with pytest.raises(StopIteration):
        pretrain(settings(data, tmp_path / "cut", **given))
    monkeypatch.undo()
    pretrain(settings(data, tmp_path / "cut", **given))
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_a_run_killed_before_its_name_was_given_is_only_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> Any:
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(_KilledError):
            pretrain(settings(data, tmp_path / "small"))
    monkeypatch.setattr(job, "run", killed)
    assert pretrain(settings(data, tmp_path / "small")).steps == 12


def test_a_saved_state_of_another_shape_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_digest", lambda *_: "the-same-work-folder")
    with monkeypatch.context() as patch:
        patch.setattr(job, "_write", lambda *_: None)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        patch.setattr(Path, "rename", lambda *_: None)
        patch.setattr(job, "_told", lambda _: job.Pretrained("small", 0, 0, 0, 0.0, [], 0.0, 0.0))
        pretrain(settings(data, tmp_path / "small"))
    wider = {"hidden": 64, "feed_forward": 32, "layers": 1, "heads": 2}
    with pytest.raises(TrainingError, match=r"checkpoint.pt does not match this model \(.*size mismatch"):
        pretrain(settings(data, tmp_path / "small", shape=wider))


def test_micro_batches_change_no_more_than_rounding(data: Path, tmp_path: Path) -> None:
    for name, size in (("whole", 8), ("threes", 3)):
        pretrain(settings(data, tmp_path / name, micro_batch=size))
    found = [[row["loss"] for row in losses(tmp_path / name)] for name in ("whole", "threes")]
    assert np.allclose(*found, rtol=1e-3)


def test_a_base_with_the_same_tokenizer_goes_on(data: Path, tmp_path: Path) -> None:
    pretrain(settings(data, tmp_path / "first"))
    done = pretrain(settings(data, tmp_path / "second", base=str(tmp_path / "first"), seed=1))

    ends = [losses(tmp_path / name)[place]["loss"] for name, place in (("first", -1), ("second", 0))]
    assert abs(ends[0] - ends[1]) < 0.5
    assert done.steps == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": 10**6}, r"has .* tokens .* asks for 999,936 in at most 1 passes"),
        ({"data": "nowhere"}, "no manifest.json"),
        ({"base": "other"}, r"a tokenizer of \d+ entries, but pretrain.data was made with one of"),
        ({"base": "pickled"}, "only pickled weights"),
        ({"base": "first", "sequence": 64}, "longer than the context of pretrain.base, 32 tokens"),
        ({"learning_rate": 1e30, "tokens": 24 * 256, "passes": 4.0}, "lower pretrain.learning_rate"),
    ],
)
def test_what_cannot_be_trained_is_told(
    data: Path, tmp_path: Path, change: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if change.get("base") == "other":
        build_tiny_model(tmp_path / "other", ["entirely different words here"] * 3)
    if change.get("base") == "first":
        pretrain(settings(data, tmp_path / "first", tokens=256))
    if change.get("base") == "pickled":
        (tmp_path / "pickled").mkdir()
        (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"")
    given = {name: value for name, value in change.items() if name != "data"}
    with pytest.raises((TrainingError, RefinerError), match=message):
        pretrain(settings(Path(change.get("data", data)), tmp_path / "none", **given))
    assert not (tmp_path / "none").exists()


def test_out_of_memory_says_what_to_lower(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("tried to allocate 20 GiB\nmore words")

    monkeypatch.setattr(training, "take_step", full)
    with pytest.raises(TrainingError, match=r"lower pretrain.micro_batch \(4\).*20 GiB\)$"):
        pretrain(settings(data, tmp_path / "none"))


def test_the_rate_rises_to_its_peak_and_ends_at_the_floor() -> None:
    rates = [schedule(step, 1000, 50, 0.1) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 51)
    assert max(rates) == rates[50] == 1.0
    assert rates[999] == pytest.approx(0.1, abs=1e-4)
    assert schedule(0, 10, 500, 0.1) == 0.5


@pytest.mark.parametrize(
    ("name", "whole"),
    # Parameters of the paper's models: facts of its appendix, counted here from hidden, feed-forward, heads and layers.
    [("xs", 354), ("s", 758), ("m", 1741)],
)
def test_a_named_size_is_the_papers(name: str, whole: int) -> None:
    shape = SIZES[name]
    heads, kv_heads = shape.heads or 1, shape.kv_heads or 1
    narrow = shape.hidden // heads * kv_heads
    layer = 2 * shape.hidden**2 + 2 * shape.hidden * narrow + 3 * shape.hidden * shape.feed_forward
    assert (shape.layers * layer + 2 * 32_000 * shape.hidden) // 10**6 == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": "xl"}, "known: tiny, xs, s, m"),
        ({"shape": {"hidden": 200}}, "hidden 200 must be an even number of dimensions for each of 3 heads"),
        ({"shape": {"hidden": 256, "heads": 4, "kv_heads": 3}}, "kv_heads 3 must divide the 4 heads"),
        ({"base": "b"}, "not both"),
        ({"shape": None}, "set either pretrain.shape"),
        ({"batch_tokens": 100}, "multiple of pretrain.sequence"),
        ({"batch_tokens": 96, "processes": 2}, "cannot divide evenly"),
        ({"tokens": 3}, "less than one step"),
    ],
)
def test_settings_that_do_not_hold_together_are_refused(change: dict[str, Any], message: str) -> None:
    given = {
        "name": "n",
        "data": "d",
        "output": "o",
        "tokens": 960,
        "sequence": 32,
        "batch_tokens": 96,
        "shape": "tiny",
    }
    with pytest.raises(ValueError, match=message):
        PretrainConfig.model_validate(given | change)


@pytest.mark.parametrize(("name", "steps"), [("tiny", 244), ("tlm-s", 12_500), ("continual-math", 7_500)])
def test_the_configurations_that_come_with_the_package_are_the_runs_that_they_say(name: str, steps: int) -> None:
    found = load_config(name).pretrain
    assert found is not None
    assert found.steps == steps


@pytest.mark.slow  # Two processes that each load torch, and Spark's launcher.
def test_two_processes_train_on_the_same_sequences(data: Path, held_out: str, tmp_path: Path) -> None:
    for name, processes in (("one", 1), ("two", 2)):
        pretrain(settings(data, tmp_path / name, processes=processes, validation=[held_out]))
    found = [[row["loss"] for row in losses(tmp_path / name)] for name in ("one", "two")]
    assert np.allclose(*found, rtol=1e-3)
    records = [json.loads((tmp_path / name / "pretraining.json").read_text()) for name in ("one", "two")]
    curves = [[row["bits_per_byte"] for row in record["curve"]] for record in records]
    assert np.allclose(*curves, rtol=1e-3)
