"""Presets, suites and questions that ship with the package, by name; what is shown of them, and what ``conf`` links to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from prox_spark.cli import main
from prox_spark.config import load_config
from prox_spark.config.load import PRESETS
from prox_spark.errors import ConfigError, UsageError
from prox_spark.library import Library, is_name
from prox_spark.pretraining.suites import SUITES, load_suite
from prox_spark.versions.questions import QUESTIONS, question

ROOT = Path(__file__).resolve().parents[2]

libraries = pytest.mark.parametrize("library", [PRESETS, SUITES, QUESTIONS], ids=lambda one: one.folder)


@libraries
def test_each_file_has_a_name_of_its_own_and_says_in_a_line_what_it_is(library: Library) -> None:
    files = list((ROOT / "prox_spark" / library.folder).rglob(f"*{library.suffix}"))
    assert sorted(library.names()) == sorted(file.stem for file in files)
    for name in library.names():
        assert len(library.about(name)) > 15
        assert "prox-spark" not in library.about(name)


@libraries
def test_an_unknown_name_is_told_with_the_nearest_first(library: Library) -> None:
    name = library.names()[-1]
    with pytest.raises(ConfigError, match=rf"unknown {library.noun} '{name}x' \(did you mean '{name}'\?\)"):
        library.read(f"{name}x")


@pytest.mark.parametrize("name", PRESETS.names())
def test_a_preset_is_a_configuration_for_its_verb(name: str) -> None:
    config = load_config(name, ["store=s"])
    verb = PRESETS.group(name)
    assert config.store == "s"
    assert (config.chunk if verb == "" else getattr(config, verb)) is not None


def test_a_name_is_a_preset_and_a_path_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rules").write_text("store: mine\nchunk: {engine: {kind: rules}}\n")
    Path("rules.yaml").write_text(Path("rules").read_text())
    assert load_config("rules").store == "./prox-store"
    Path("mine").write_text(Path("rules").read_text())
    Path("mine.json").write_text('{"store": "mine", "chunk": {"engine": {"kind": "rules"}}}')
    for path in ("./rules", "rules.yaml", Path("rules"), "mine", "mine.json"):
        assert load_config(path).store == "mine"
    assert [is_name(one) for one in ("rules", "a/b", "a.yml", Path("rules"))] == [True, False, False, False]
    with pytest.raises(
        ConfigError, match=r"unknown preset 'rulez' \(did you mean 'rules'\?\); give a file as a path, such as \./rulez"
    ):
        load_config("rulez")


def test_suites_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (load_suite("general").name, len(load_suite("general").tasks), len(load_suite("math").tasks)) == (
        "general",
        10,
        9,
    )


def test_a_question_about_several_refinements_wants_one_for_each_letter() -> None:
    assert question("most-dropped-lines") == QUESTIONS.read("most-dropped-lines")
    asked = question("dropped-by-one-only", {"A": "loose:0", "B": "strict"})
    assert "`dropped_lines@loose:0`" in asked
    assert "`dropped_lines@strict`" in asked
    assert "@A`" not in asked
    for given in ({}, {"A": "a"}, {"A": "a", "B": "b", "C": "c"}):
        with pytest.raises(UsageError, match="needs refinements for A=NAME and B=NAME"):
            question("dropped-by-one-only", given)
    with pytest.raises(UsageError, match="needs refinements for none, got A"):
        question("edits", {"A": "a"})


def test_the_paths_in_conf_lead_to_the_same_files() -> None:
    assert (ROOT / "conf" / "sql").resolve() == ROOT / "prox_spark" / "questions"
    assert (ROOT / "conf" / "suites").resolve() == ROOT / "prox_spark" / "suites"
    for name in PRESETS.names():
        path = ROOT / "conf" / PRESETS.group(name) / f"{name}.yaml"
        assert path.resolve() == ROOT / "prox_spark" / "presets" / PRESETS.group(name) / f"{name}.yaml"
    assert {path.stem for path in (ROOT / "conf").glob("*.yaml")} <= set(PRESETS.names())


def test_presets_and_questions_are_listed_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in PRESETS.names())
    assert main(["presets", "--output", "json"]) == 0
    found = {row["name"]: row["verb"] for row in json.loads(capsys.readouterr().out)}
    assert (found["local"], found["tiny"], found["dsir"]) == ("refine", "pretrain", "adapt")
    assert main(["presets", "rules"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["refinement"] == "rules"
    assert main(["questions", "edits"]) == 0
    assert capsys.readouterr().out == QUESTIONS.read("edits")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["presets", "rulez"], "unknown preset 'rulez' (did you mean 'rules'?)"),
        (["refine", "--config", "loca"], "unknown preset 'loca' (did you mean 'local'?)"),
        (["sql", "--store", "s", "--question", "edit"], "unknown question 'edit' (did you mean 'edits'?)"),
        (["sql", "--store", "s", "--question", "edits", "--refinement", "A"], "--refinement 'A': write it as A=NAME"),
        (["sql", "--store", "s", "--refinement", "A=a", "SELECT 1"], "--refinement belongs to --question"),
    ],
)
def test_what_is_not_known_is_one_line(words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1


def test_the_version_and_the_groups_of_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("prox-spark 0.")
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options:", "Start:", "Refine:", "Look:", "Keep and share:", "Make refiners:", "Measure:"]
    verbs = [line.split()[0] for line in lines[lines.index("Refine:") + 1 : lines.index("Look:")] if line]
    assert verbs == ["ingest", "generate", "execute", "refine", "estimate"]


def test_without_a_verb_the_verbs_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Refine:" in "".join(capsys.readouterr())


def test_a_shell_completes_verbs() -> None:
    asked = {"_PROX_SPARK_COMPLETE": "complete_bash", "COMP_WORDS": "prox-spark refi", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "from prox_spark.cli import main; main()"]
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "refine\n"
