"""``evaluate.models`` from the command line: perplexity, a local suite, compute; no Spark is started for raw data's models."""

import json
from pathlib import Path
from typing import Any

import pytest
from pretraining_helpers import prose, settings, texts, write_shards

from prox_spark.cli import main
from prox_spark.errors import ConfigError
from prox_spark.evaluation import models
from prox_spark.pretraining.pretrain import pretrain
from prox_spark.pretraining.suites import load_suite, prepare

TASK = """
task: stones
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
metadata: {{version: 1.0}}
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    root = tmp_path_factory.mktemp("models")
    data, held_out = write_shards(root / "shards", texts(300)), prose(root / "prose.jsonl", texts(8, seed=9))
    for name, tokens in (("few", 3), ("more", 12)):
        pretrain(settings(data, root / name, tokens=256 * tokens, validation=[held_out]))
    return root / "few", root / "more", held_out


@pytest.fixture
def arguments(folders: tuple[Path, Path, str], tmp_path: Path) -> list[str]:
    return [
        f"store={tmp_path / 'no-store'}",
        f"evaluate.output={tmp_path / 'evaluation'}",
        f"evaluate.models=[{folders[0]}, {folders[1]}]",
        f"evaluate.perplexity=[{folders[2]}]",
    ]


def test_models_are_compared_by_perplexity_and_compute(
    arguments: list[str],
    folders: tuple[Path, Path, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["evaluate", "--output", "json", *arguments]) == 0

    found = json.loads(capsys.readouterr().out)
    bits = {name: model["perplexity"][folders[2]]["bits_per_byte"] for name, model in found["models"].items()}
    assert bits["few"] > bits["more"]
    assert set(found["models"]["few"]["perplexity"][folders[2]]["sources"]) == {"s0", "s1"}
    curve = json.loads((folders[1] / "pretraining.json").read_text())["curve"]
    assert bits["more"] == pytest.approx(curve[-1]["bits_per_byte"], rel=1e-5)
    few, more = found["compute"]["rows"]
    assert few["training_flops"] == 6 * few["parameters"] * 768
    assert 0 < more["needs_tokens"] <= 12 * 256
    assert more["first_needs_tokens"] is None
    written = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert (written["models"], written["compute"]) == (found["models"], found["compute"])
    assert (tmp_path / "evaluation" / "compute.svg").read_text().startswith("<?xml")

    with monkeypatch.context() as patched:
        patched.setattr(models, "_measured", lambda *_: pytest.fail("a second run measures nothing"))
        assert main(["evaluate", "--output", "json", *arguments]) == 0
    assert json.loads(capsys.readouterr().out) == found

    assert main(["evaluate", *arguments, "evaluate.perplexity_bytes=100"]) == 0
    told = capsys.readouterr().out
    assert "not reached" in told
    assert "bits per byte" in told


@pytest.fixture
def stones(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with a task of the harness over a local file, and a suite that names it."""
    pytest.importorskip("lm_eval")
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    questions = [{"question": "the sea", "choices": [" a house", " zq"], "answer": 0} for _ in range(6)]
    (tmp_path / "questions.json").write_text("".join(json.dumps(one) + "\n" for one in questions))
    (tasks / "stones.yaml").write_text(TASK.format(file=tmp_path / "questions.json"))
    suite = tmp_path / "mine.yaml"
    suite.write_text("tasks: [{name: Stones, task: stones, metric: acc, shots: 0}]\n")
    return tasks, suite


def test_a_local_suite_is_run_by_the_harness(
    arguments: list[str],
    stones: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    suite = [f"evaluate.tasks={stones[0]}", f"evaluate.suite={stones[1]}"]
    assert main(["evaluate", "--output", "json", *arguments[:3], *suite]) == 0

    found = json.loads(capsys.readouterr().out)
    trained = found["models"]["more"]["suite"]
    assert trained["tasks"]["Stones"] | {"stderr": None, "version": None} == {
        "task": "stones",
        "metric": "acc",
        "score": 100.0,
        "stderr": None,
        "version": None,
    }
    assert (trained["mean"], trained["absent"]) == (100.0, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["evaluate.suite=genral"], "unknown suite 'genral' (did you mean 'general'?)"),
        (["evaluate.suite=gone.yaml"], "gone.yaml: cannot be read"),
        (["evaluate.models=[nowhere]"], "is not a folder"),
        (["evaluate.window=64"], "larger than the context of few, 32 tokens"),
        (["evaluate.perplexity=[gone.txt]"], "gone.txt: cannot be read"),
        (["evaluate.models=[]"], "set evaluate.pages, evaluate.documents or evaluate.models"),
    ],
)
def test_what_cannot_be_measured_is_told(
    arguments: list[str], change: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *arguments, *change]) == 2
    assert message in capsys.readouterr().err


def test_pickled_weights_are_refused(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"")
    assert main(["evaluate", *arguments, f"evaluate.models=[{tmp_path / 'pickled'}]"]) == 2
    assert "only pickled weights" in capsys.readouterr().err


def test_pretrain_is_a_verb(
    folders: tuple[Path, Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given: dict[str, Any] = settings(folders[0].parent / "shards", tmp_path / "made", tokens=256).model_dump()
    assert main(["pretrain", "--output", "json", "store=s", f"pretrain={json.dumps(given)}"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["steps"], done["tokens"], done["output"]) == (1, 256, str(tmp_path / "made"))
    assert main(["pretrain", "store=s"]) == 2
    assert "pretrain is not set" in capsys.readouterr().err


def test_a_file_that_is_no_suite_and_a_task_that_nobody_has_are_told(stones: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("tasks: []\n")
    with pytest.raises(ConfigError, match="is not a suite file"):
        load_suite(str(tmp_path / "bad.yaml"))
    with pytest.raises(ConfigError, match="no such folder"):
        prepare(load_suite(str(stones[1])), "nowhere")


@pytest.mark.slow  # Listing the harness's own tasks takes 20 seconds.
def test_every_task_of_the_suites_in_conf_is_the_harnesss_or_said_to_be_absent(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    for name, count in (("general", 10), ("math", 9)):
        suite = load_suite(name)
        found = prepare(suite, None)
        assert len(suite.tasks) == count
        assert set(found.absent) == ({"SVAMP", "MAWPS", "TabMWP"} if name == "math" else set())
    (tmp_path / "typo.yaml").write_text("tasks: [{name: S, task: sciqq, metric: acc}]\n")
    with pytest.raises(ConfigError, match=r"unknown task of the harness 'sciqq' \(did you mean 'sciq'"):
        prepare(load_suite(str(tmp_path / "typo.yaml")), None)
