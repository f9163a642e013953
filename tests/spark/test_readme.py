"""The README's commands, and then its Python, run in their order in a folder with the demo's C4 file as the corpus.

Slow: it refines that corpus with the model and asks every verb of the store, one after the other.
"""

import re
import runpy
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from prox_spark.cli import main
from prox_spark.config.load import PRESETS
from prox_spark.demo.corpus import FILES, write_corpus

ROOT = Path(__file__).resolve().parents[2]


def commands() -> list[list[str]]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.startswith("prox-spark ")]


@pytest.mark.slow
def test_the_commands_of_the_readme_run(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "all")
    (tmp_path / "corpus").mkdir()
    shutil.copy(tmp_path / "all" / FILES["c4"], tmp_path / "corpus")
    # The same model; vLLM's start takes a minute, and has tests of its own.
    local = PRESETS.read("local").replace("kind: vllm", "kind: transformers")
    (tmp_path / "local.yaml").write_text(local, encoding="utf-8")
    found = commands()
    assert len(found) >= 7
    for arguments in found:
        arguments = ["local.yaml" if word == "local" else word for word in arguments]
        assert main(arguments[1:]) == 0, (arguments, capsys.readouterr().err)
    assert "careful" in capsys.readouterr().out
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL):
        (tmp_path / "notebook.py").write_text(block, encoding="utf-8")
        runpy.run_path("notebook.py")
    assert "rules 0 " in capsys.readouterr().out
