"""The installed wheel is enough: in an empty folder, presets, questions and suites are there by name and a corpus is refined.

Slow: it builds the wheel, and starts Spark in three processes.
"""

import json
import re
import shlex
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from submitting import environment
from wheel_of_checkout import ROOT, UV, build_wheel

from prox_spark.demo.corpus import FILES, write_corpus

pytestmark = pytest.mark.slow

Run = Callable[..., str]


@pytest.fixture(scope="module")
def prox_spark(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a command of a fresh environment that has the wheel, in a folder with nothing but a corpus; its standard output.

    What the package depends on comes from this environment, by a ``.pth`` file: to install it takes minutes.
    """
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build_wheel(folder)
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel)]
    subprocess.run(install, check=True, timeout=300)
    write_corpus(folder / "all")
    (folder / "empty" / "corpus").mkdir(parents=True)
    shutil.copy(folder / "all" / FILES["c4"], folder / "empty" / "corpus")
    own = environment() | {"PYSPARK_PYTHON": str(python)}
    own.pop("PYTHONPATH", None)

    def run(*words: str) -> str:
        command = [str(python.with_name(words[0])), *words[1:]]
        done = subprocess.run(
            command, cwd=folder / "empty", env=own, capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode == 0, (words, done.stderr[-3000:])
        return done.stdout

    return run


def test_what_ships_with_the_package_is_there(prox_spark: Run) -> None:
    where = prox_spark("python", "-c", "import prox_spark; print(prox_spark.__file__)").strip()
    assert not Path(where).is_relative_to(ROOT)
    assert prox_spark("prox-spark", "--version") == f"prox-spark {_version()}\n"
    assert {row["name"] for row in json.loads(prox_spark("prox-spark", "presets", "--output", "json"))} >= {
        "local",
        "rules",
    }
    assert "engine: {kind: vllm, model: web-lines-2}" in prox_spark("prox-spark", "presets", "local")
    suites = "from prox_spark.pretraining.suites import load_suite; print(len(load_suite('general').tasks))"
    assert prox_spark("python", "-c", suites) == "10\n"


def test_a_corpus_is_refined_asked_about_and_reported_on(prox_spark: Run) -> None:
    (command,) = re.findall(
        r"^prox-spark refine .*--config local.*$", (ROOT / "README.md").read_text(), flags=re.MULTILINE
    )
    words = ["rules" if word == "local" else word for word in shlex.split(command)]
    done = json.loads(prox_spark(*words, "--output", "json"))
    assert done["new"]
    assert done["counts"]["documents"] > 50
    asked = ["sql", "--store", "my-store", "--question", "most-dropped-lines", "--output", "json"]
    rows = json.loads(prox_spark("prox-spark", *asked))["rows"]
    assert rows[0]["documents"] > 1
    written = ["report", "--store", "my-store", "--output-file", "report.html", "--output", "json"]
    assert json.loads(prox_spark("prox-spark", *written))["bytes"] > 10_000


def _version() -> str:
    from prox_spark import __version__

    return __version__
