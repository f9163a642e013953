"""The result of loading each kind of model folder in each engine: the table in ``docs/refiners.md``.

Builds the folders of ``tests/unit/engines/folders_made.py`` from tiny random models, plans a stage with each, and lets the
engine load it and answer one request. ``--markdown`` prints the table. ``--engines transformers vllm`` selects the engines to
start; for the others only the checks before a start run.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
from array import array
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from timing import machine

from prox_spark.config.engines import TransformersSettings, VllmSettings
from prox_spark.config.models import ChunkConfig
from prox_spark.engines.folders import check_fit, read_folder
from prox_spark.engines.supervised import supervisor, wire
from prox_spark.engines.supervised.whole import check_whole
from prox_spark.errors import ProxSparkError, first_line
from prox_spark.generation.plan import plan_stage

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "unit" / "engines"))

from folders_made import KINDS, PASSES, PLAN, RUNS, START

SETTINGS = {"transformers": TransformersSettings, "vllm": VllmSettings}


def planned(engine: str, folder: Path) -> str | None:
    """Why a stage cannot be planned with this folder."""
    try:
        plan_stage("chunk", ChunkConfig(engine=SETTINGS[engine](kind=engine, model=str(folder))))
    except ProxSparkError as error:
        return first_line(error)
    return None


def started(engine: str, folder: str) -> str | None:
    """Why the engine does not answer with this folder."""
    asked = wire.Question(0, array("I", [0, 70, 71]).tobytes(), 4, None, None, None)
    try:
        backend = supervisor.load(wire.Hello(engine, folder, 1024, {}))
        asyncio.run(asyncio.wait_for(backend.answer(asked), 600))
    except Exception as error:  # noqa: BLE001 -- what an engine raises is the result
        return f"{type(error).__name__}: {first_line(error)}"
    return None


def checked(engine: str, folder: Path) -> str | None:
    """Why the checks before the start refuse this folder."""
    try:
        read = read_folder(folder)
        check_whole(read, check_fit(read, engine, label=None, options={}), None)
    except ProxSparkError as error:
        return first_line(error)
    return None


def outcome(engine: str, folder: Path, pool: ProcessPoolExecutor, *, start: bool) -> dict[str, str]:
    """A folder's outcome, and the reason."""
    reason = planned(engine, folder)
    if reason is not None:
        return {"outcome": PLAN, "reason": reason}
    reason = pool.submit(started, engine, str(folder)).result() if start else checked(engine, folder)
    good = RUNS if start else PASSES
    return {"outcome": good if reason is None else START, "reason": reason or ""}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", nargs="+", choices=list(SETTINGS), default=["transformers"])
    parser.add_argument("--markdown", action="store_true", help="the table alone")
    parser.add_argument("--output", choices=["json"], default="json")
    options = parser.parse_args()
    found: dict[str, dict[str, dict[str, str]]] = {kind: {} for kind in KINDS}
    for engine in SETTINGS:
        # In a separate process, because vLLM leaves processes and memory behind.
        start = engine in options.engines
        kept = 1 if engine == "vllm" and start else None
        context = multiprocessing.get_context("spawn")
        with (
            ProcessPoolExecutor(1, context, max_tasks_per_child=kept) as pool,
            tempfile.TemporaryDirectory() as scratch,
        ):
            for number, (kind, (build, *_)) in enumerate(KINDS.items()):
                folder = Path(scratch) / str(number)
                folder.mkdir()
                build(folder)
                found[kind][engine] = outcome(engine, folder, pool, start=start)
                print(f"{engine}: {kind}: {found[kind][engine]}", file=sys.stderr)
    if options.markdown:
        print("| folder | `transformers` | `vllm` |\n|---|---|---|")
        for kind, engines in found.items():
            print(f"| {kind} | {' | '.join(engines[name]['outcome'] for name in SETTINGS)} |")
    else:
        print(json.dumps({"folders": found, "machine": machine()}, indent=2))


if __name__ == "__main__":
    main()
