"""Which GPU an engine runs on: what the node manager shows, and how a GPU is known on its host."""

import functools
import json
import os
import subprocess
from pathlib import Path

import pytest

from prox_spark.engines.supervised import devices
from prox_spark.engines.supervised.devices import find_slot, identity, within
from prox_spark.errors import EngineError


@pytest.fixture(autouse=True)
def _no_node_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("gpu", "visible", "device"),
    [
        ("0", "0,1", "0"),
        ("1", "0,1", "1"),
        ("3", "2,3", "3"),
        ("0", "2,3", "2"),
        ("1", " 2, 3 ", "3"),
        ("1", "GPU-aa,GPU-bb", "GPU-bb"),
        ("GPU-bb-cc", "GPU-aa,GPU-bb-cc", "GPU-bb-cc"),
        ("GPU-bb-cc", "GPU-aa,GPU-bb", "GPU-bb"),
        ("GPU-bb", "GPU-aa,GPU-bb-cc", "GPU-bb-cc"),
        ("0", "MIG-11", "MIG-11"),
        ("MIG-GPU-aa/1/0", "MIG-GPU-aa/1/0,MIG-GPU-aa/2/0", "MIG-GPU-aa/1/0"),
    ],
)
def test_the_node_managers_devices_are_respected(
    gpu: str, visible: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert within(gpu, visible) == device
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert find_slot(gpu) == device


@pytest.mark.parametrize(
    ("gpu", "visible"),
    [("2", "0,1"), ("0", ""), ("0", "-1"), ("0", "NoDevFiles"), ("GPU-aa", "GPU-bb"), ("GPU-aa", "0")],
)
def test_a_gpu_that_the_node_manager_does_not_show_is_refused(gpu: str, visible: str) -> None:
    with pytest.raises(EngineError, match=f"GPU {gpu}, but CUDA_VISIBLE_DEVICES={visible} does not show it"):
        within(gpu, visible)


@pytest.mark.parametrize(
    ("visible", "addresses"),
    [
        (None, ["0", "1"]),
        ("1", ["1"]),
        ("GPU-aa, GPU-bb", ["GPU-aa", "GPU-bb"]),
        ("MIG-GPU-aa/1/0", ["MIG-GPU-aa/1/0"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_spark_discovers_what_the_node_manager_shows(
    visible: str | None, addresses: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 0\necho 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    script = Path(__file__).parents[3] / "conf" / "gpu" / "discover.sh"
    done = subprocess.run([script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"name": "gpu", "addresses": addresses}
    assert [find_slot(address) for address in addresses] == addresses


def test_a_gpu_is_known_on_its_host_by_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_uuids", lambda: {"0": "GPU-aa", "1": "GPU-bb"})
    assert identity("0") == identity("GPU-aa") != identity("1")
    assert identity("gpu") == identity("0") != identity("1,0") == identity("0,1")
    assert identity("7") is None
    assert identity("cpu") is None
    monkeypatch.setattr(devices, "_uuids", lambda: {"0": "GPU-aa-11", "1": "GPU-ab-22"})
    assert identity("GPU-aa") == identity("0") != identity("GPU-ab")
    assert identity("GPU-a") not in (identity("0"), identity("1"))
    # In a container that sees only the second, by the index 0.
    monkeypatch.setattr(devices, "_uuids", lambda: {"0": "GPU-bb"})
    assert identity("0") == identity("GPU-bb")
    monkeypatch.setattr(devices, "_uuids", dict)
    assert identity("0") is None
    assert identity("gpu") is None


def test_a_tool_that_fails_names_no_gpu_and_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Failed to initialize NVML'\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(devices, "_uuids", functools.cache(devices._uuids.__wrapped__))
    with pytest.raises(EngineError, match="nvidia-smi failed with 9: Failed to initialize NVML"):
        identity("0")
    tool.write_text("#!/bin/sh\necho '0, GPU-aa'\n")
    assert identity("0") == identity("GPU-aa")
