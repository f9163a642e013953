"""From nothing to the first refined page with the preset ``cpu``: size and time of an install, and of the first command.

A new environment gets this checkout with the extras ``onnx`` and ``local``, from uv's cache where that has the files, so
``install_seconds`` depends on it and on the network. ``first_page_seconds`` is a ``refine`` of one page with an empty cache of
compiled code, by the clock, with the start of Python, Java and Spark; ``next_page_seconds`` is the same again with another page.
Delta's jars are taken from the user's cache, or downloaded the first time. ``install_mb`` is the size of the environment,
``onnx_mb`` what the extra ``onnx`` adds to it and ``local_mb`` Spark's share. Processor times are of the processes that the
command has waited for.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from timing import arguments, report, seconds

ROOT = Path(__file__).resolve().parent.parent
PAGE = (
    "Home | Login | Cart\n" + "The first page has a sentence that a reader would want to keep, and then another.\n" * 5
)


def install(environment: Path, wheel: Path, *extras: str) -> None:
    """A wheel with ``extras``, in the versions of constraints.txt."""
    uv, python = Path(sys.executable).with_name("uv"), environment / "bin" / "python"
    package = f"{wheel}[{','.join(extras)}]" if extras else str(wheel)
    asked = ["pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "constraints.txt", package]
    subprocess.run([uv, *asked], check=True, cwd=ROOT)


def megabytes(folder: Path) -> float:
    """Size of the files in it."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / 1e6


def refine(environment: Path, folder: Path, number: int) -> None:
    """Refine one more page in a process of its own."""
    corpus = folder / f"{number}.json"
    corpus.write_text(json.dumps({"text": f"{PAGE}This is page {number}."}) + "\n")
    command = [environment / "bin" / "prox-spark", "refine", "--config", "cpu", f"store={folder / 'store'}"]
    asked = [f"input.path={corpus}", "input.format=json", "--output", "json"]
    env = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "compiled")}
    env.pop("PYTHONPATH", None)
    done = subprocess.run([*command, *asked], capture_output=True, text=True, env=env, check=False, cwd=folder)
    if done.returncode:
        raise SystemExit(f"prox-spark refine failed: {done.stderr[-1000:]}")


def processor() -> float:
    """Processor seconds of the children waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    options = arguments(__doc__).parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    from wheel_of_checkout import build_wheel

    result: dict[str, Any] = {"benchmark": "first_page"}
    with tempfile.TemporaryDirectory() as scratch:
        folder, environment = Path(scratch), Path(scratch, "environment")
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, environment], check=True)
        took, sizes, wheel = 0.0, [], build_wheel(folder)
        for extras in ((), ("onnx",), ("onnx", "local")):
            took += seconds(lambda extras=extras: install(environment, wheel, *extras))  # type: ignore[misc]
            sizes.append(megabytes(environment))
        result |= {"install_seconds": took, "install_mb": sizes[2]}
        result |= {"onnx_mb": sizes[1] - sizes[0], "local_mb": sizes[2] - sizes[1]}
        for number, name in enumerate(("first_page", "next_page")):
            before = processor()
            result[f"{name}_seconds"] = seconds(lambda number=number: refine(environment, folder, number))  # type: ignore[misc]
            result[f"{name}_processor_seconds"] = processor() - before
    report(result, options.output)


if __name__ == "__main__":
    main()
