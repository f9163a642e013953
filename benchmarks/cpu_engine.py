"""The chunk stage of the default refinement on CPUs, with each engine: pages per second and core, at equal F1.

Pages of ../shared/gold/dev.jsonl.zst, repeated up to ``--pages``, go through a task's code
(``run_stage``: tokenising, cutting, the engine, rows) in as many processes as there are cores, as Spark has them on an
executor: ``onnx`` runs in each of them, ``vllm`` and ``transformers`` in one shared engine. Spark and the commits,
which cost the same for every engine, are not measured; neither is the engine's start.

``pages_per_second_per_core`` is by the clock. ``pages_per_core_second`` is by the processor time of the tasks and, where there
is one, of the shared engine's processes: other work on the machine counts little there. ``f1`` is of kept words at
``--threshold`` (the presets' by default), of the first ``--pages`` pages. ``ratio`` is ``onnx`` over ``vllm`` by processor time,
``ratio_by_clock`` by the clock, which also counts what vLLM waits for; both are only there where both engines were run
(``--engines``), and the script fails where their F1 differs by more than .002.
"""

import io
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import zstandard
from timing import SHARED, arguments, report

ENGINES = ("onnx", "vllm", "transformers")
TOLERANCE = 0.002
_WARM_UP = 2
"""Warm-up pages of each task before the clock starts, so that the engine is loaded."""


def labelled() -> list[dict[str, Any]]:
    with zstandard.open(SHARED / "gold" / "dev.jsonl.zst") as file:
        return [json.loads(line) for line in io.TextIOWrapper(file, encoding="utf-8")]


def batches(texts: list[str], numbers: range) -> Iterator[pa.RecordBatch]:
    """The pages with these numbers, repeated, as a task gets them."""
    for start in range(0, len(numbers), 100):
        chosen = numbers[start : start + 100]
        ids = [str(number) for number in chosen]
        columns = {"doc_id": ids, "content_hash": ids, "unit": pa.array([0] * len(ids), pa.int64())}
        yield pa.RecordBatch.from_pydict(columns | {"text": [texts[number % len(texts)] for number in chosen]})


def task(number: int, tasks: int, owner: Any, asked: dict[str, Any], barrier: Any, found: Any) -> None:
    """One task: warm up, wait for the others, then its share of the pages."""
    # Spark sets these for a task with one core.
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    from prox_spark.config.models import ChunkConfig
    from prox_spark.engines.supervised import client
    from prox_spark.generation.kinds import open_engine
    from prox_spark.generation.plan import plan_stage
    from prox_spark.generation.task import run_stage

    # Tasks of one executor share its engine.
    client.find_owner = lambda: owner
    plan = plan_stage("chunk", ChunkConfig.model_validate({"engine": asked["engine"]}))
    engine = open_engine(plan.settings, plan.refiner)
    texts, pages = asked["texts"], asked["pages"]
    list(run_stage(batches(texts, range(_WARM_UP)), plan, engine))
    shared = psutil.Process(engine._connection.peer()) if hasattr(engine, "_connection") else None
    barrier.wait()
    began, before = time.monotonic(), (time.process_time(), _spent(shared))
    scores: dict[tuple[int, int], list[float]] = {}
    tokens = 0
    for batch in run_stage(batches(texts, range(number, pages, tasks)), plan, engine):
        rows = batch.select(["doc_id", "line_start", "line_scores", "prompt_tokens"]).to_pylist()
        tokens += sum(row["prompt_tokens"] or 0 for row in rows)
        for row in rows:
            if row["line_scores"] and int(row["doc_id"]) < len(texts):
                scores[int(row["doc_id"]), row["line_start"]] = row["line_scores"]
    own = time.process_time() - before[0]
    seconds = time.monotonic() - began
    barrier.wait()
    found.put((number, seconds, own, _spent(shared) - before[1], tokens, scores))
    barrier.wait()  # The engine ends with its last client, so wait until all tasks have read its time.
    engine.close()


def _spent(engine: psutil.Process | None) -> float:
    """Processor time of an engine's processes."""
    if engine is None:
        return 0.0
    times = [process.cpu_times() for process in (engine, *engine.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def f1(pages: list[dict[str, Any]], scores: dict[tuple[int, int], list[float]], threshold: float) -> float:
    """F1 of kept words; a line without a score is kept."""
    right = whole = 0
    for number, page in enumerate(pages):
        lines = page["raw_content"].split("\n")
        stays = np.ones(len(lines), dtype=bool)
        for (chosen, start), values in scores.items():
            if chosen == number:
                stays[start : start + len(values)] = np.array(values) >= threshold
        words, keep = np.array([len(line.split()) for line in lines]), np.array(page["gold_keep"]) == 1
        right += int(words[keep & stays].sum())
        whole += int(words[keep].sum() + words[stays].sum())
    return 2 * right / whole


def measure(kind: str, options: Any, pages: list[dict[str, Any]]) -> dict[str, Any]:
    from prox_spark.engines.supervised.place import find_owner

    engine = {"kind": kind, "model": options.model}
    if kind == "onnx" and options.precision:
        engine["precision"] = options.precision
    asked = {"engine": engine, "texts": [page["raw_content"] for page in pages], "pages": options.pages}
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(options.tasks), context.Queue()
    shared = (options.tasks, find_owner(), asked, barrier, found)
    processes = [context.Process(target=task, args=(number, *shared)) for number in range(options.tasks)]
    for process in processes:
        process.start()
    results = []
    while len(results) < len(processes):
        if any(process.exitcode for process in processes):
            raise SystemExit(f"a task of the {kind} engine failed; its error is above")
        if not found.empty():
            results.append(found.get())
        time.sleep(0.1)
    for process in processes:
        process.join()
    seconds = max(result[1] for result in results)
    # Every task measures the shared engine's time; the longest task measures the most.
    spent = sum(result[2] for result in results) + max(result[3] for result in results)
    scores = {place: values for result in results for place, values in result[5].items()}
    tokens = sum(result[4] for result in results)
    return {
        "pages_per_second_per_core": options.pages / seconds / options.tasks,
        "pages_per_core_second": options.pages / spent,
        "tokens_per_core_second": tokens / spent,
        "seconds": seconds,
        "processor_seconds": spent,
        "f1": f1(pages, scores, options.threshold),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=["onnx", "vllm"])
    parser.add_argument("--model", default="web-lines-2")
    parser.add_argument("--precision", choices=("float32", "int8"), help="of onnx; default: the refiner's own")
    parser.add_argument("--pages", type=int, default=654)
    parser.add_argument("--tasks", type=int, default=os.cpu_count())
    parser.add_argument("--threshold", type=float, default=0.2)
    options = parser.parse_args()
    if not (SHARED / "gold").is_dir():
        raise SystemExit("the measurement data (../shared) is not beside this checkout")
    pages = labelled()[: options.pages]
    found = {}
    for kind in options.engines:
        found[kind] = measure(kind, options, pages)
        print(json.dumps({kind: found[kind]}), file=sys.stderr, flush=True)
    result: dict[str, Any] = {"benchmark": "cpu_engine", "pages": options.pages, "tasks": options.tasks, **found}
    if {"onnx", "vllm"} <= found.keys():
        apart = abs(found["onnx"]["f1"] - found["vllm"]["f1"])
        if apart > TOLERANCE:
            raise SystemExit(f"F1 differs by {apart:.4f}: {json.dumps(found)}")
        for name, figure in (("ratio", "pages_per_core_second"), ("ratio_by_clock", "pages_per_second_per_core")):
            result[name] = found["onnx"][figure] / found["vllm"][figure]
    report(result, options.output)


if __name__ == "__main__":
    main()
