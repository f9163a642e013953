"""Processes are told apart by boot, namespace, id and start: never by a host's name."""

import os
import socket
import subprocess

import pytest

from prox_spark import processes
from prox_spark.processes import alive, myself


def dead() -> str:
    """A holder whose process ran here and is gone."""
    child = subprocess.Popen(["true"])
    child.wait()
    host, boot, namespace, _, started, nonce = myself().rsplit(":", 5)
    return ":".join([host, boot, namespace, str(child.pid), started, nonce])


def test_this_process_lives_and_one_that_ended_does_not() -> None:
    assert alive(myself())
    assert not alive(dead())


def test_an_id_that_is_used_again_is_another_process() -> None:
    *before, pid, started, nonce = myself().split(":")
    assert pid == str(os.getpid())
    assert not alive(":".join([*before, pid, str(int(started) - 1), nonce]))


@pytest.mark.parametrize("place", [1, 2])
def test_a_machine_of_the_same_name_says_nothing_about_its_processes(place: int) -> None:
    fields = dead().rsplit(":", 5)
    fields[place] = "another"
    assert fields[0] == socket.gethostname()
    assert alive(":".join(fields))


def test_a_renamed_machine_still_knows_its_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "renamed")
    gone = dead()
    monkeypatch.undo()
    assert not alive(gone)


@pytest.mark.parametrize("holder", ["host:12:1700000000:abcdef01", "", "host", "h:b:n:not-a-number:1:x"])
def test_holders_of_older_packages_may_live(holder: str) -> None:
    assert alive(holder)


def test_without_a_proc_folder_the_start_is_asked_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    class Path:
        """No file exists."""

        def __init__(self, _: str) -> None:
            pass

        def exists(self) -> bool:
            return False

        def read_text(self, **_: str) -> str:
            raise FileNotFoundError

        def readlink(self) -> str:
            raise FileNotFoundError

    monkeypatch.setattr(processes, "Path", Path)
    assert alive(myself())
    assert not alive(dead())
