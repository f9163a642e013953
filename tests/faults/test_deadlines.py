"""A fault test that hangs fails at its deadline, with the stacks of all threads and of the processes that it started.

Slow: it waits for the deadline.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = Path(__file__).resolve().parent.parent

CONFTEST = "from stacks import pytest_timeout_cancel_timer, pytest_timeout_set_timer\n"

HANGS = """
import sys, threading
from pathlib import Path
from processes import started

def waits_for_ever():
    threading.Event().wait()

def test_that_hangs(tmp_path):
    child = "import time\\ndef stuck():\\n    time.sleep(600)\\nstuck()"
    threading.Thread(target=waits_for_ever, daemon=True, name="second").start()
    with started([sys.executable, "-c", child], tmp_path / "log"):
        waits_for_ever()

def test_that_ends():
    pass
"""


def test_a_test_that_hangs_fails_with_the_stacks_of_everything_that_it_started(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_hangs.py").write_text(HANGS)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "20", str(tmp_path)]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert "Timeout (>20.0s) from pytest-timeout" in done.stdout
    assert "in waits_for_ever" in done.stdout, "the main thread, and the second"
    assert "in stuck" in done.stdout, "the process that it started"
