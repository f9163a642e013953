"""Which device an engine runs on, within what the node manager shows, and by which name every process of the host knows it.

A node manager (YARN, Kubernetes, Slurm) narrows a container's GPUs down with ``CUDA_VISIBLE_DEVICES``: indexes, UUIDs or
UUIDs of MIG instances. Or it hides the others altogether, so that index 0 means another GPU in each container: only a UUID
is the same everywhere.
"""

import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from prox_spark.errors import EngineError

_SECONDS = 30
_REASON_CHARACTERS = 300
_NONE = ("", "-1", "NoDevFiles")
_UUID = ("GPU-", "MIG-")


def find_slot(gpu: str | None) -> str:
    """Which device an engine runs on: ``gpu`` (the address that Spark gave), else what the environment shows.

    ``cpu`` without a GPU; ``gpu`` where there is one that nobody narrowed down. Raises ``EngineError`` for an address that
    the node manager does not show.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if gpu is not None:
        return gpu if visible is None else within(gpu, visible)
    if visible is not None:
        return visible if visible not in _NONE else "cpu"
    return "gpu" if any(Path("/dev").glob("nvidia[0-9]*")) else "cpu"


def within(gpu: str, visible: str) -> str:
    """The device of ``CUDA_VISIBLE_DEVICES`` that an address of Spark's means: one of its names, else its position there.

    A UUID may be cut short, as CUDA allows. Raises ``EngineError`` for one that is not among them.

    >>> within("1", "0,1"), within("0", "2,3"), within("0", "MIG-7a"), within("GPU-8932f937-d72c", "GPU-8932f937")
    ('1', '2', 'MIG-7a', 'GPU-8932f937')
    """
    shown = [] if visible in _NONE else [one.strip() for one in visible.split(",")]
    named = [
        one for one in shown if one == gpu or (one.startswith(_UUID) and (gpu.startswith(one) or one.startswith(gpu)))
    ]
    if gpu.startswith(_UUID) and gpu.rstrip("-") in ("GPU", "MIG"):
        named = []
    if named:
        return named[0]
    if gpu.isdigit() and int(gpu) < len(shown):
        return shown[int(gpu)]
    raise EngineError(
        f"Spark gave this task GPU {gpu}, but CUDA_VISIBLE_DEVICES={visible} does not show it: let the discovery script "
        "(spark.executor.resource.gpu.discoveryScript) print what the node manager shows, by the same kind of name"
    )


def identity(slot: str) -> str | None:
    """A name of the device that every process of this host would give it: UUIDs. ``None`` where it is not known.

    Raises ``EngineError`` where NVIDIA's tool is there but fails.
    """
    if slot == "cpu":
        return None
    known = _uuids()
    # Of devices that nobody narrowed down, an engine takes the first.
    wanted = list(known)[:1] if slot == "gpu" else slot.split(",")
    found = [_whole(one, known) if one.startswith(_UUID) else known.get(one) for one in wanted]
    if not found or None in found:
        return None
    return hashlib.sha256(",".join(sorted(map(str, found))).encode()).hexdigest()[:12]


def _whole(uuid: str, known: dict[str, str]) -> str:
    """The UUID that may have been cut short; as it is where none of these, or more than one, begins so."""
    found = [one for one in known.values() if one.startswith(uuid)]
    return found[0] if len(found) == 1 else uuid


@functools.cache
def _uuids() -> dict[str, str]:
    """The UUID of each GPU that this process may see, by index; none without NVIDIA's tool.

    Raises ``EngineError`` where the tool fails: an engine without a name would be a second one on its GPU.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    command = [tool, "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(
            f"which GPUs this host has cannot be found out: {error}; see why {tool} fails there"
        ) from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[:_REASON_CHARACTERS]
        raise EngineError(f"which GPUs this host has cannot be found out: {tool} failed with {done.returncode}: {said}")
    rows = [line.split(",") for line in done.stdout.splitlines() if line.count(",") == 1]
    return {index.strip(): uuid.strip() for index, uuid in rows}
