"""Checks of the machine and of what is installed; none of them needs Spark, or imports an engine into this process."""

import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prox_spark.doctor.check import Check
from prox_spark.generation.kinds import KINDS
from prox_spark.java import java_version
from prox_spark.suggest import either
from prox_spark.supported import JAVA, PYTHON, minor, what_to_do_about_vllm

_GIB = 2**30
_MEMORY = 4 * _GIB
_DISK, _DISK_AT_LEAST = 10 * _GIB, _GIB
_PROBE_SECONDS = 300
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def _packages() -> dict[str, str]:
    """Each package that a kind of engine needs, and how to install it."""
    return {
        kind.package[0]: f"for engine.kind: {name}, {kind.package[1]}" for name, kind in KINDS.items() if kind.package
    }


def machine() -> list[Check]:
    """Every check of this module; engines' packages are imported side by side, each in an interpreter of its own."""
    slow: list[Callable[[], Check]] = [gpu, *(lambda name=name: package(name) for name in _packages())]
    with ThreadPoolExecutor(max_workers=len(slow)) as pool:
        return [python(), java(), memory(), disk(), *pool.map(lambda check: check(), slow)]


def python() -> Check:
    """The interpreter's version."""
    version = platform.python_version()
    found = f"{version} in {sys.prefix}"
    if minor(version) in PYTHON:
        return Check("python", "ok", found)
    return Check("python", "failed", found, f"Python {either(PYTHON)} is required")


def java() -> Check:
    """The Java that a local session starts; a session that is there already, or remote, needs none of this machine's."""
    if os.environ.get("SPARK_REMOTE"):
        return Check("java", "ok", "not needed: SPARK_REMOTE names a Spark Connect server")
    try:
        version = java_version()
    except subprocess.TimeoutExpired as error:
        return Check("java", "failed", f"`java -version` did not finish in {error.timeout:.0f} s", "reinstall Java")
    if version in JAVA:
        return Check("java", "ok", str(version))
    advice = f"install Java {either(JAVA)} (Debian: openjdk-17-jre-headless) or set JAVA_HOME"
    return Check("java", "failed", "none" if version is None else str(version), advice)


def memory() -> Check:
    """Memory that is free, within the container's limit where it has one."""
    import psutil

    seen = psutil.virtual_memory()
    total, free = seen.total, seen.available
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        limit = "max"  # No container, or one of another kind.
    if limit.isdigit():
        total, free = min(total, int(limit)), min(free, int(limit))
    found = f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB free"
    if free < _MEMORY:
        return Check(
            "memory", "warning", found, "a local session needs 3 GiB, and a model's engine at least as much again"
        )
    return Check("memory", "ok", found)


def disk() -> Check:
    """Free disk space for Spark's spills and engine sockets."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    found = f"{free / _GIB:.1f} GiB free in {folder}"
    advice = "free some space, or set TMPDIR and spark.local.dir to a larger disk"
    if free < _DISK:
        return Check("disk", "failed" if free < _DISK_AT_LEAST else "warning", found, advice)
    return Check("disk", "ok", found)


def gpu() -> Check:
    """The GPUs that the driver and, where it is installed, torch see. No GPU is not a failure."""
    cards, trouble = _cards()
    cuda = None
    if importlib.util.find_spec("torch") is not None:
        works, cuda = probe("import torch; print(torch.cuda.device_count(), 'by torch', torch.__version__)")
        if not works:
            return Check("gpu", "warning", f"torch cannot be imported: {cuda}", "reinstall torch")
    if trouble:
        return Check("gpu", "warning", f"nvidia-smi: {trouble}", "repair the GPU's driver")
    if not cards:
        return Check("gpu", "ok", "none; engines run on the CPU")
    if cuda and cuda.startswith("0 "):
        advice = "torch is a CPU build: in a separate environment, pip install 'prox-spark[gpu]'"
        return Check("gpu", "warning", f"{'; '.join(cards)}; {cuda}", advice)
    return Check("gpu", "ok", "; ".join([*cards, *([f"{cuda}"] if cuda else [])]))


def _cards() -> tuple[list[str], str]:
    """What nvidia-smi lists, and what it complains about."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return [], ""
    command = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], str(error)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode:
        return [], lines[-1] if lines else f"exit code {done.returncode}"
    return lines, ""


def package(name: str) -> Check:
    """Whether an engine's package is here and can be imported; an engine that is not installed is not a failure."""
    if importlib.util.find_spec(name) is None:
        return Check(name, "ok", "not installed", _packages()[name])
    works, said = probe(f"import {name}; print({name}.__version__)")
    if works:
        advice = what_to_do_about_vllm(said) if name == "vllm" else ""
        return Check(name, "warning" if advice else "ok", said, advice)
    return Check(name, "failed", f"installed, but cannot be imported: {said}", "reinstall it with its extra")


def probe(code: str) -> tuple[bool, str]:
    """Whether ``code`` runs in a fresh interpreter, and the last line it printed: a crash there does not affect this process."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    if done.returncode < 0:
        return False, f"killed by {signal.Signals(-done.returncode).name}"
    lines = [line.strip() for line in (done.stderr if done.returncode else done.stdout).splitlines() if line.strip()]
    return done.returncode == 0, lines[-1] if lines else f"exit code {done.returncode}"
