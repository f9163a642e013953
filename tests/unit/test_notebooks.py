"""The notebooks as they are committed: without outputs, without a trace of a machine, their commands real."""

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from prox_spark.config import load_config
from prox_spark.demo import __main__ as demo
from prox_spark.generation.plan import plan_stages
from prox_spark.versions.questions import QUESTIONS

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "notebooks").glob("*.ipynb"))
notebooks = pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])


def cells(file: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(file.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def test_both_are_there() -> None:
    assert [file.stem for file in FILES] == ["ask-the-dropped-lines", "compare-refinements"]


@notebooks
def test_a_notebook_is_committed_without_outputs_and_names_no_machine(file: Path) -> None:
    book = json.loads(file.read_text(encoding="utf-8"))
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(file, "code"))
    assert book["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert {name for cell in book["cells"] for name in cell["metadata"]} <= {"tags"}
    assert not re.search(r"/home/|/root|/Users/|/tmp|/work", file.read_text(encoding="utf-8"))


@notebooks
def test_its_cells_are_plain_python_and_the_first_holds_the_parameters(file: Path) -> None:
    code = ["".join(cell["source"]) for cell in cells(file, "code")]
    for text in code:
        ast.parse(text)
        assert not re.search(r"^[%!]", text, flags=re.MULTILINE)
    names = [node.targets[0].id for node in ast.parse(code[0]).body if isinstance(node, ast.Assign)]
    assert names == ["STORE", "FROM", "TO"]
    assert re.findall(r'"(PROX_SPARK_\w+)"', code[0]) == [f"PROX_SPARK_{name}" for name in names]
    assert cells(file, "code")[0]["metadata"]["tags"] == ["parameters"]


@notebooks
def test_what_it_names_is_there(file: Path) -> None:
    text = "".join(line for cell in json.loads(file.read_text(encoding="utf-8"))["cells"] for line in cell["source"])
    for link in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (file.parent / link).is_file(), link
    for name in re.findall(r"question\(\"([\w-]+)\"", text):
        assert name in QUESTIONS.names()


@notebooks
def test_the_commands_for_a_newcomer_make_the_two_refinements_of_the_defaults(file: Path) -> None:
    intro, parameters = ("".join(cells(file, kind)[0]["source"]) for kind in ("markdown", "code"))
    make, execute = next(block for block in re.findall(r"```\n(.*?)```", intro, flags=re.DOTALL)).splitlines()
    assert make == "make demo"
    command, verb, option, preset, *overrides = shlex.split(execute)
    assert (command, verb, option) == (".venv/bin/prox-spark", "execute", "--config")
    careful, first = load_config(preset, overrides), demo._config(Path("corpus"), "c4")
    assert plan_stages(careful) == plan_stages(first), "the scores of the demo are used again"
    assert careful.execution.drop_document_below == first.execution.drop_document_below
    assert careful.execution.drop_line_below != first.execution.drop_line_below
    assert careful.store == first.store
    for value in (f"../{first.store}", first.refinement, careful.refinement):
        assert f'"{value}"' in parameters
