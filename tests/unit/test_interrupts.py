"""Ctrl-C: one plain line and exit code 130, whatever it interrupts."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import prox_spark.cli
from prox_spark.cli import interrupts, main
from prox_spark.config.load import PRESETS

SAID = "prox-spark: interrupted\n"


@pytest.fixture(autouse=True)
def not_ignored() -> Iterator[None]:
    """Commands that a shell starts in the background ignore Ctrl-C, and so would those that they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Let ``presets`` do something else."""

    def replace(does: Callable[[], Any]) -> None:
        monkeypatch.setattr(type(PRESETS), "names", lambda _: does())

    return replace


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    # Python handles a signal between two of its own steps.
    threading.Event().wait(10)


def test_a_verb_that_is_interrupted_says_so_in_one_line(verb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    verb(press_ctrl_c)
    assert main(["presets"]) == 130
    assert capsys.readouterr().err.strip("\n") + "\n" == SAID


def test_an_interrupt_is_one_object_in_a_log_of_json(verb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    verb(press_ctrl_c)
    assert main(["presets", "--log-format=json"]) == 130
    said = capsys.readouterr().err
    assert '"message": "interrupted", "exit_code": 130' in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize("error", [RuntimeError("Error while receiving"), prox_spark.errors.LeaseError("lost lease")])
def test_an_error_that_an_interrupt_caused_is_an_interrupt(
    verb: Any, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails_in_another_way() -> None:
        try:
            press_ctrl_c()
        except KeyboardInterrupt:
            raise error from None

    verb(fails_in_another_way)
    assert main(["presets"]) == 130
    assert capsys.readouterr().err == SAID


def test_a_handler_that_was_set_meanwhile_is_kept_and_watched(verb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)

    def as_a_session_does(*_: Any) -> None:
        raise RuntimeError("the gateway is gone")

    def starts_a_session() -> None:
        signal.signal(signal.SIGINT, as_a_session_does)
        interrupts.watch()
        press_ctrl_c()

    verb(starts_a_session)
    try:
        assert main(["presets"]) == 130
        assert capsys.readouterr().err == SAID
        assert signal.getsignal(signal.SIGINT) is as_a_session_does
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_without_an_interrupt_is_told(verb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise EOFError("a file ended")

    verb(press_ctrl_c)
    main(["presets"])
    verb(fails)
    capsys.readouterr()
    assert main(["presets"]) == 1
    assert "EOFError: a file ended" in capsys.readouterr().err


def test_the_handler_from_before_is_there_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    assert main(["--version"]) == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_that_handles_no_signals_runs_verbs() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["--version"])))
    thread.start()
    thread.join()
    assert codes == [0]


def test_an_interrupt_while_the_command_is_loaded_says_so() -> None:
    script = "import sys, types; sys.modules['prox_spark.cli.main'] = M(); import prox_spark.cli"
    module = "import types\nclass M(types.ModuleType):\n    def __init__(self): super().__init__('m')\n"
    module += "    def __getattr__(self, name): raise KeyboardInterrupt\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{module}{script}"], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (130, SAID)


def test_a_command_that_gets_the_signal_ends_with_one_line() -> None:
    script = (
        "import sys, time; from prox_spark.cli import main; from prox_spark.config.load import PRESETS\n"
        "def wait(_):\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "type(PRESETS).names = wait\nsys.exit(main(['presets']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said.strip("\n") + "\n") == (130, SAID)
    assert time.monotonic() - began < 30
