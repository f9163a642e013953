"""The scripted engine: its table, its faults, its count of calls."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from prox_spark.config.engines import ScriptedSettings
from prox_spark.engines.local.scripted import ScriptedEngine
from prox_spark.engines.protocol import Completion, Request

CRASH = """
import sys
from prox_spark.engines.protocol import Request
from prox_spark.engines.local.scripted import ScriptedEngine
from prox_spark.config.engines import ScriptedSettings
engine = ScriptedEngine(ScriptedSettings(kind="scripted", crash_on="bomb", crash_marker=sys.argv[1] or None))
for text in ("calm", "a bomb"):
    print(next(engine.stream(iter([Request(id=0, stage="chunk", text=text)]))).output, flush=True)
"""


def ask(settings: ScriptedSettings, *texts: str, stage: str = "chunk") -> list[Completion]:
    requests = (Request(id=i, stage=stage, text=text) for i, text in enumerate(texts))  # type: ignore[arg-type]
    return list(ScriptedEngine(settings).stream(requests))


def test_answers_are_found_by_text_then_hash_then_part() -> None:
    digest = hashlib.sha256(b"hashed").hexdigest()
    answers = {"exact text": "keep_chunk()", digest: "remove_all()", "part": "remove_lines(0, 0)"}
    settings = ScriptedSettings(kind="scripted", answers=answers)
    outputs = [answer.output for answer in ask(settings, "exact text", "hashed", "has a part", "none")]
    assert outputs == ["keep_chunk()", "remove_all()", "remove_lines(0, 0)", "keep_chunk()"]


def test_numbers_are_scores() -> None:
    settings = ScriptedSettings(kind="scripted", answers={"page": 0.25, "lines": (0.5, 1.0)})
    document, chunk = ask(settings, "page", "lines")
    assert document.keep_score == 0.25
    assert chunk.scores == [0.5, 1.0]


def test_every_answered_request_is_counted_in_the_file(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    ask(ScriptedSettings(kind="scripted", calls_file=str(calls)), "one", "two", stage="document")
    assert calls.read_text().splitlines() == [
        f"document {hashlib.sha256(text).hexdigest()}" for text in (b"one", b"two")
    ]


def test_an_error_costs_its_own_request_only() -> None:
    good, bad, after = ask(ScriptedSettings(kind="scripted", error_on="bad"), "good", "bad one", "after")
    assert (good.finish, bad.finish, after.finish) == ("stop", "error", "stop")


@pytest.mark.parametrize("marked", [False, True])
def test_a_crash_kills_the_process_and_with_a_marker_only_once(tmp_path: Path, marked: bool) -> None:
    marker = str(tmp_path / "crashed") if marked else ""
    command = [sys.executable, "-c", CRASH, marker]
    first = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (first.returncode, first.stdout.split()) == (-9, ["keep_chunk()"])
    assert second.returncode == (0 if marked else -9)
