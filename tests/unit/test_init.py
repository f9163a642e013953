"""``prox-spark init`` writes a configuration that reads the files it looked at."""

import json
from pathlib import Path

import pytest

from prox_spark.cli import main
from prox_spark.config.load import PRESETS, load_config


@pytest.fixture(autouse=True)
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record = {"content": "Some words.", "pa\u202ege: {x}": "https://example.org"}
    (tmp_path / 'a "b" #c.jsonl').write_text(json.dumps(record) + "\n", encoding="utf-8")


def test_it_says_what_it_found_and_what_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", 'a "b" #c.jsonl', "--output-file", "my.yaml"]) == 0
    said = capsys.readouterr().out
    assert "input.columns.text  content" in said
    assert "next: prox-spark refine --config my.yaml" in said
    assert "\u202e" not in said


@pytest.mark.parametrize("preset", [name for name in PRESETS.names() if not PRESETS.group(name)])
def test_every_preset_of_refine_takes_the_corpus(preset: str) -> None:
    assert main(["init", 'a "b" #c.jsonl', "--preset", preset]) == 0
    given, made = load_config(preset), load_config("prox.yaml")
    assert made.input is not None
    assert made.input.path == 'a "b" #c.jsonl'
    assert (made.input.format, made.input.columns) == ("json", {"text": "content"})
    assert made.model_copy(update={"input": given.input}) == given


def test_comments_of_the_preset_stay() -> None:
    assert main(["init", 'a "b" #c.jsonl']) == 0
    assert "# a gentle threshold" in Path("prox.yaml").read_text(encoding="utf-8")


def test_a_file_that_is_there_stays(capsys: pytest.CaptureFixture[str]) -> None:
    Path("prox.yaml").write_text("mine", encoding="utf-8")
    assert main(["init", 'a "b" #c.jsonl']) == 2
    assert "prox.yaml exists" in capsys.readouterr().err
    assert Path("prox.yaml").read_text(encoding="utf-8") == "mine"


def test_a_preset_of_another_verb_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    other = next(name for name in PRESETS.names() if PRESETS.group(name))
    assert main(["init", 'a "b" #c.jsonl', "--preset", other]) == 2
    assert f"preset {other} reads no corpus" in capsys.readouterr().err
    assert not Path("prox.yaml").exists()


def test_json_has_the_whole_guess(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", 'a "b" #c.jsonl', "--output", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["file"].endswith("c.jsonl"), found["format"], found["columns"]) == (True, "json", {"text": "content"})
