"""Costs that may grow with a store: units, nights, gaps between batches, small files.

Run one part by its name, or all of them. Uses real Spark, Delta and files on disk; the rules need no model.

``units``: the same short pages in as many files as give 8, 500 and 4,000 units, in a driver with 1 GB of heap. Seconds of ingest,
generate, execute, compare, and of a second run of each without work; live heap of the JVM, memory of Python, the
longest plan, and how often each program is read. ``units_ratio`` is the total time at the most units over that at the fewest.
``nights``: ``--nights`` runs of ``refine`` in one session, each with new pages, for two refinements alternately. ``nights_ratio``
is the median time of the last ten runs divided by that of the first ten after a warm-up of five.
``busy``: four executors of two slots each, whose scripted engines take log-normal times, over eight batches. ``busy_share`` is
the time that they spend on calls divided by the available time, from the first call to the last.
``files``: ``files_ratio`` is the time to ingest small files divided by that of the same records in one file.
"""

import json
import math
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from timing import arguments, report, seconds

import prox_spark
from prox_spark.session import get_session
from prox_spark.tables.store import open_store

WORDS = (
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "for",
    "it",
    "as",
    "was",
    "with",
    "be",
    "by",
    "on",
    "not",
    "he",
    "his",
    "but",
)
RULES = ["document.engine.kind=rules", "chunk.engine.kind=rules"]
BATCHES = 8


def page(number: int) -> str:
    """A short page with a menu, prose and a footer."""
    chance = random.Random(number)
    prose = [" ".join(chance.choices(WORDS, k=chance.randint(12, 24))).capitalize() + "." for _ in range(6)]
    return "\n".join(["Home | About | Contact", *prose, f"© 2026 page {number}"])


def write_corpus(folder: Path, pages: int, files: int, first: int = 0) -> int:
    """Write the pages into ``files`` files. Returns the size of the largest one in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    largest = 0
    for file in range(files):
        numbers = range(first + file * pages // files, first + (file + 1) * pages // files)
        text = "".join(json.dumps({"text": page(number)}) + "\n" for number in numbers)
        (folder / f"{first:09d}-{file:06d}.json").write_text(text)
        largest = max(largest, len(text))
    return largest


class Watch:
    """A session's measurements: live heap, Python's memory, plans."""

    def __init__(self, spark: Any) -> None:
        self._jvm, self._status = spark._jvm, spark._jsparkSession.sharedState().statusStore()
        self._next = self._status.executionsCount()

    def heap(self) -> float:
        """Megabytes of live objects."""
        self._jvm.System.gc()
        runtime = self._jvm.Runtime.getRuntime()
        return float(runtime.totalMemory() - runtime.freeMemory()) / 1e6

    def plans(self) -> tuple[int, int]:
        """Characters of the longest plan since the last call, and rows read from programs."""
        longest = rows = 0
        found = self._status.executionsList()
        for index in range(found.size()):
            execution = found.apply(index)
            if execution.executionId() < self._next:
                continue
            longest = max(longest, len(execution.physicalPlanDescription()))
            rows += self._rows_of_programs(execution.executionId())
        if found.size():
            self._next = found.apply(found.size() - 1).executionId() + 1
        return longest, rows

    def _rows_of_programs(self, execution: int) -> int:
        nodes, values = self._status.planGraph(execution).allNodes(), self._status.executionMetrics(execution)
        rows = 0
        for index in range(nodes.size()):
            node = nodes.apply(index)
            # Only scans of a program's output: counting narrow columns is not reading programs.
            if not node.name().startswith("Scan") or "/programs" not in node.desc() or "output" not in node.desc():
                continue
            metrics = node.metrics()
            for place in range(metrics.size()):
                metric = metrics.apply(place)
                if metric.name() == "number of output rows" and values.contains(metric.accumulatorId()):
                    rows += int(values.apply(metric.accumulatorId()).replace(",", ""))
        return rows


def units(scratch: Path, pages: int, sizes: list[int]) -> dict[str, Any]:
    """The same pages in few and in many units."""
    spark = get_session({"spark.driver.memory": "1g", "spark.sql.ui.retainedExecutions": "5000"})
    warm_up(spark, scratch / "warm")
    found = {}
    for size in sizes:
        folder = scratch / f"units-{size}"
        largest = write_corpus(folder / "corpus", pages, size)
        found[size] = one_size(spark, folder, size, largest)
        print(json.dumps({size: found[size]}), flush=True)
    totals = {
        size: sum(value for name, value in one.items() if name.endswith("_seconds")) for size, one in found.items()
    }
    return {"units": found, "units_ratio": totals[sizes[-1]] / totals[sizes[0]]}


def warm_up(spark: Any, folder: Path) -> None:
    write_corpus(folder / "corpus", 100, 2)
    prox_spark.refine(spark, load(folder, "warm"))


def load(folder: Path, name: str, *more: str) -> Any:
    own = [
        f"store={folder / 'store'}",
        f"refinement={name}",
        f"input.path={folder / 'corpus'}/*.json",
        "input.format=json",
    ]
    return prox_spark.load_config(None, [*own, *RULES, *more])


def one_size(spark: Any, folder: Path, size: int, largest: int) -> dict[str, Any]:
    def config(name: str, *more: str) -> Any:
        batch = max(1, math.ceil(size / BATCHES))
        return load(folder, name, f"ingest.unit_bytes={largest}", f"generate.batch_units={batch}", *more)

    watch, result = Watch(spark), {}
    one = config("one")
    steps: dict[str, Any] = {
        "ingest": lambda: prox_spark.ingest(spark, one),
        "generate": lambda: prox_spark.generate(spark, one),
    }
    for name, step in steps.items():
        result[f"{name}_seconds"] = seconds(step)
    store = open_store(spark, one.store)
    result["units"] = store.read("documents").select("unit").distinct().count()
    stored = sum(
        file.stat().st_size for table in ("documents", "programs") for file in Path(one.store, table).glob("*.parquet")
    )
    batch_bytes = f"execute.batch_bytes={stored // BATCHES + 1}"
    one, other = config("one", batch_bytes), config("other", batch_bytes, "execution.min_words=3")
    programs = store.read("programs").count()
    watch.plans()
    result["execute_seconds"] = seconds(lambda: prox_spark.execute(spark, one))
    longest, rows = watch.plans()
    result["longest_plan"], result["programs_read"] = longest, rows / programs
    prox_spark.execute(spark, other)
    result["compare_seconds"] = seconds(lambda: prox_spark.compare(spark, one.store, "one", "other"))
    result["again_ingest_seconds"] = seconds(lambda: prox_spark.ingest(spark, other))
    result["again_generate_seconds"] = seconds(lambda: prox_spark.generate(spark, other))
    result["again_execute_seconds"] = seconds(lambda: prox_spark.execute(spark, other))
    result["heap_mb"] = watch.heap()
    result["python_mb"] = psutil.Process().memory_info().rss / 1e6
    result["files"] = count_files(Path(one.store))
    return result


def count_files(store: Path) -> dict[str, int]:
    """Data files of each table, including older versions'."""
    return {table.name: n for table in sorted(store.iterdir()) if (n := len(list(table.glob("*.parquet"))))}


def nights(scratch: Path, count: int, pages: int) -> dict[str, Any]:
    """One night after another in the same store and session."""
    spark, folder, took = get_session(), scratch / "nights", []
    for night in range(count):
        write_corpus(folder / "corpus", pages, 1, first=night * pages)
        config = load(folder, ("even", "odd")[night % 2], *(["execution.min_words=3"] if night % 2 else []))
        took.append(seconds(lambda config=config: prox_spark.refine(spark, config)))  # type: ignore[misc]
        print(json.dumps({"night": night, "seconds": round(took[-1], 2)}), flush=True)
    first, last = statistics.median(took[5:15]), statistics.median(took[-10:])
    detail = live_files(spark, folder / "store")
    return {
        "nights": count,
        "first_seconds": first,
        "last_seconds": last,
        "nights_ratio": last / first,
        "live_files": detail,
    }


def live_files(spark: Any, store: Path) -> dict[str, int]:
    """Files of the newest version of each table."""
    tables = sorted(path.name for path in store.iterdir() if (path / "_delta_log").is_dir())
    return {table: spark.sql(f"DESCRIBE DETAIL delta.`{store}/{table}`").first()["numFiles"] for table in tables}


def busy(scratch: Path, call_seconds: float) -> dict[str, Any]:
    """Engines of four executors, over eight batches."""
    slots = 4 * 2
    spark = get_session(
        {
            "spark.master": "local-cluster[4,2,700]",
            "spark.executor.memory": "700m",
            "spark.sql.shuffle.partitions": str(slots),
            "spark.python.worker.reuse": "true",
        }
    )
    chance, folder = random.Random(4), scratch / "busy"
    (folder / "corpus").mkdir(parents=True)
    calls = 0
    for unit in range(BATCHES):
        texts = []
        for number in range(slots * 12):
            lines = max(1, round(chance.lognormvariate(2.0, 0.8)))
            texts.append("\n".join(f"line {line} of page {unit}-{number}" for line in range(lines)))
            calls += lines
        (folder / "corpus" / f"{unit}.json").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    log = folder / "calls.txt"
    own = [
        f"store={folder / 'store'}",
        "refinement=busy",
        f"input.path={folder / 'corpus'}/*.json",
        "input.format=json",
    ]
    engine = [
        "chunk.engine.kind=scripted",
        "chunk.engine.lines_per_chunk=1",
        f"chunk.engine.seconds_per_call={call_seconds}",
    ]
    more = [
        "ingest.unit_bytes=1",
        "generate.batch_units=1",
        "generate.self_test=false",
        f"chunk.engine.calls_file={log}",
    ]
    config = prox_spark.load_config(None, [*own, "document=null", *engine, *more])
    prox_spark.ingest(spark, config)
    began: list[float] = []

    def watch() -> None:
        while not log.exists():
            time.sleep(0.02)
        began.append(time.time())

    threading.Thread(target=watch, daemon=True).start()
    (done,) = prox_spark.generate(spark, config)
    elapsed = log.stat().st_mtime - began[0] + call_seconds
    spark.stop()
    assert done.chunks == calls, (done.chunks, calls)
    return {"calls": calls, "generate_seconds": elapsed, "busy_share": calls * call_seconds / (slots * elapsed)}


def small_files(scratch: Path, files: int) -> dict[str, Any]:
    """A corpus in many files, and the same records in one file."""
    spark, took = get_session(), {}
    warm_up(spark, scratch / "warm-files")
    for name, count in (("one", 1), ("many", files)):
        write_corpus(scratch / name / "corpus", files * 10, count)
        config = load(scratch / name, name)
        took[name] = seconds(lambda config=config: prox_spark.ingest(spark, config))  # type: ignore[misc]
    return {
        "files": files,
        "one_file_seconds": took["one"],
        "many_files_seconds": took["many"],
        "files_ratio": took["many"] / took["one"],
    }


def numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("parts", nargs="*", default=["units", "nights", "busy", "files"])
    parser.add_argument("--pages", type=int, default=80_000)
    parser.add_argument("--units", type=numbers, default=[8, 500, 4000])
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--pages-a-night", type=int, default=50)
    parser.add_argument("--call-seconds", type=float, default=0.05)
    parser.add_argument("--small-files", type=int, default=2000)
    options = parser.parse_args()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for part in options.parts:
            if part == "units":
                result |= units(scratch, options.pages, options.units)
            elif part == "nights":
                result |= nights(scratch, options.nights, options.pages_a_night)
            elif part == "busy":
                result |= busy(scratch, options.call_seconds)
            else:
                result |= small_files(scratch, options.small_files)
            spark = get_session()
            spark.stop()
    report(result, options.output)


if __name__ == "__main__":
    main()
