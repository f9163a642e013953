"""The tutorial's commands, run in their order in an empty folder. Slow: it refines the demo's WARC file with the line scorer."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prox_spark.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"


def commands() -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


@pytest.mark.slow
@pytest.mark.engine
def test_the_commands_of_the_tutorial_run(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for program, *arguments in commands():
        if program == "python":
            subprocess.run([sys.executable, *arguments], check=True)
        else:
            assert program == "prox-spark"
            assert main(arguments) == 0, (arguments, capsys.readouterr().err)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert list((tmp_path / "clean").rglob("*.jsonl*"))
