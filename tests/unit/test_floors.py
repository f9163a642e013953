"""Every figure of benchmarks/floors.toml is one that a benchmark prints, and ``bench.py`` says what fell."""

import ast
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
bench: dict[str, Any] = runpy.run_path(str(BENCHMARKS / "bench.py"))
FIGURES: list[dict[str, Any]] = bench["figures"]()


def strings(script: str) -> set[str]:
    """All strings that a script contains."""
    tree = ast.parse((BENCHMARKS / script).read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: f"{figure['script']} {figure['key']}")
def test_every_figure_names_a_script_and_a_key_of_its_result(figure: dict[str, Any]) -> None:
    assert (BENCHMARKS / figure["script"]).is_file()
    assert figure["key"] in strings(figure["script"])
    assert figure.keys() - {"arguments"} == {
        "script",
        "key",
        "aim",
        "quick",
        "floor" if "floor" in figure else "ceiling",
    }


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: f"{figure['script']} {figure['key']}")
def test_an_aim_passes(figure: dict[str, Any]) -> None:
    assert bench["judge"](figure, figure["aim"]) == "at its aim"


@pytest.mark.parametrize("script", sorted({figure["script"] for figure in FIGURES}))
def test_a_script_takes_the_arguments_of_its_figures(script: str) -> None:
    options = {word for figure in FIGURES if figure["script"] == script for word in figure.get("arguments", [])}
    assert {word for word in options if word.startswith("--")} <= strings(script)


def test_every_figure_of_a_script_with_the_same_arguments_is_of_one_run() -> None:
    runs = [(figure["script"], tuple(figure.get("arguments", []))) for figure in FIGURES]
    assert [run for before, run in zip([None, *runs], runs, strict=False) if run != before] == list(dict.fromkeys(runs))


@pytest.mark.parametrize(
    ("limits", "value", "outcome"),
    [
        ({"floor": 2, "aim": 4}, 1.9, "fell"),
        ({"floor": 2, "aim": 4}, 2, "passed"),
        ({"floor": 2, "aim": 4}, 4, "at its aim"),
        ({"ceiling": 2, "aim": 1}, 2.1, "fell"),
        ({"ceiling": 2, "aim": 1}, 2, "passed"),
        ({"ceiling": 2, "aim": 1}, 1, "at its aim"),
    ],
)
def test_a_figure_falls_below_its_floor_or_above_its_ceiling(
    limits: dict[str, float], value: float, outcome: str
) -> None:
    assert bench["judge"](limits, value) == outcome


SCRIPT = """
import json
print("a part of it")
print(json.dumps({"speed": 3.0, "seconds": {"a": 1}}, indent=2))
"""


@pytest.mark.parametrize(("floor", "code", "said"), [(2, 0, "passed"), (5, 1, "fell")])
def test_bench_ends_with_1_where_a_figure_fell(tmp_path: Path, floor: int, code: int, said: str) -> None:
    (tmp_path / "bench.py").write_text((BENCHMARKS / "bench.py").read_text())
    (tmp_path / "fast.py").write_text(SCRIPT)
    (tmp_path / "floors.toml").write_text(
        f'[[figure]]\nscript = "fast.py"\nkey = "speed"\nfloor = {floor}\naim = 9\nquick = true\n'
    )

    done = subprocess.run([sys.executable, tmp_path / "bench.py"], capture_output=True, text=True, check=False)

    assert done.returncode == code, done.stderr
    assert done.stdout.split() == f"{said} fast.py speed: 3.000 (floor {floor}, aim 9)".split()


def test_a_script_that_fails_has_fallen_and_one_without_its_data_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "bench.py").write_text((BENCHMARKS / "bench.py").read_text())
    (tmp_path / "fails.py").write_text("raise SystemExit('no memory')")
    (tmp_path / "lacks.py").write_text(
        "raise SystemExit('the measurement data (../shared) is not beside this checkout')"
    )
    entry = '[[figure]]\nscript = "{}.py"\nkey = "x"\nfloor = 1\naim = 1\nquick = true\n'
    (tmp_path / "floors.toml").write_text(entry.format("fails") + entry.format("lacks"))

    done = subprocess.run([sys.executable, tmp_path / "bench.py"], capture_output=True, text=True, check=False)

    fails, lacks = done.stdout.splitlines()
    assert done.returncode == 1
    assert fails.split()[0] == "fell"
    assert "no memory" in fails
    assert lacks.split()[0] == "skipped"
