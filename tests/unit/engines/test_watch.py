"""The watcher and the lock, on real processes without a model."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prox_spark.engines.supervised.devices import find_slot
from prox_spark.engines.supervised.place import (
    Place,
    _sweep,
    find_owner,
    place,
    private_folder,
    try_lock,
)
from prox_spark.errors import EngineError
from prox_spark.processes import Owner, start_time

# A group like an engine's: a leader, a child, shared memory that nobody unlinks.
GROUP = """
import subprocess, sys, time
from multiprocessing import resource_tracker, shared_memory
memory = shared_memory.SharedMemory(create=True, size=4096)
resource_tracker.unregister(memory._name, "shared_memory")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(memory.name, child.pid, flush=True)
time.sleep(600)
"""

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


@pytest.fixture
def owner() -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(SLEEPER, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.parametrize("victim", ["owner", "leader"])
def test_when_owner_or_leader_is_killed_the_whole_group_and_its_shared_memory_go(
    tmp_path: Path, owner: "subprocess.Popen[str]", victim: str
) -> None:
    started = start_time(owner.pid)
    assert started is not None
    where = Place(Owner(owner.pid, started), "cpu", tmp_path / "key")
    where.socket.touch()
    where.log.touch()
    with subprocess.Popen(
        [sys.executable, "-c", GROUP], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as group:
        assert group.stdout is not None
        memory, child = group.stdout.readline().split()
        arguments = [where.base, "cpu", owner.pid, started, group.pid, group.pid]
        command = [sys.executable, "-m", "prox_spark.engines.supervised.watcher", *map(str, arguments)]
        with subprocess.Popen(command) as watcher:
            wait_for(lambda: "anon_inode:[pidfd]" in open_files(watcher.pid), "the watcher watches")
            assert Path("/dev/shm", memory).exists()
            os.kill(owner.pid if victim == "owner" else group.pid, signal.SIGKILL)
            if victim == "owner":
                owner.wait(10)
            group.wait(10)
            watcher.wait(30)
    assert start_time(int(child)) is None
    assert not Path("/dev/shm", memory).exists()
    assert not where.socket.exists()
    assert where.log.exists() == (victim == "leader")


def open_files(pid: int) -> list[str]:
    try:
        return [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []


def test_an_owner_is_not_mistaken_for_a_process_with_its_number() -> None:
    me = find_owner()
    assert me.alive()
    assert not Owner(me.pid, me.started + 1).alive()


@pytest.mark.parametrize(
    ("given", "visible", "slot"),
    [("1", "0,1", "1"), (None, "1", "1"), (None, "", "cpu"), (None, "-1", "cpu")],
)
def test_the_slot_is_sparks_gpu_or_what_is_visible(
    monkeypatch: pytest.MonkeyPatch, given: str | None, visible: str, slot: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert find_slot(given) == slot


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    where = Place(find_owner(), "cpu", tmp_path / "key")
    lock = try_lock(where)
    assert lock is not None
    assert try_lock(where) is None
    os.close(lock)
    again = try_lock(where)
    assert again is not None
    os.close(again)


def test_what_engines_of_gone_owners_left_is_swept_away(tmp_path: Path) -> None:
    me = find_owner()
    gone = Place(Owner(me.pid, me.started + 1), "cpu", tmp_path / f"{me.pid}-{me.started + 1}-cpu")
    held = Place(Owner(me.pid, me.started + 2), "cpu", tmp_path / f"{me.pid}-{me.started + 2}-cpu")
    mine = Place(me, "cpu", tmp_path / f"{me.pid}-{me.started}-cpu")
    for where in (gone, held, mine):
        where.lock.touch()
        where.log.touch()
    lock = try_lock(held)
    assert lock is not None
    _sweep(tmp_path)
    os.close(lock)
    assert {file.name for file in tmp_path.iterdir()} == {f.name for w in (held, mine) for f in (w.lock, w.log)}


def test_sockets_lie_in_a_short_folder_of_this_user_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("deep" * 40)))
    where = place(find_owner(), "GPU-5f2a9c1e-0000-0000-0000-000000000000")
    assert len(os.fsencode(where.socket)) < 108
    assert where.socket.parent.stat().st_mode & 0o077 == 0


def test_a_folder_that_others_may_enter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        (Path(folder) / f"prox-{os.getuid()}").mkdir(mode=0o755)
        with pytest.raises(EngineError, match="0700"):
            private_folder()
