"""Speed of executing programs on one core: ``execute_batch`` compared with a plain Python executor, in one run.

Pages of ../shared/gold/train.jsonl.zst, with programs made from their gold labels (each run of lines to remove is one
``remove_lines`` call, one program for about 6,000 characters), repeated up to 500 MB, in batches of 1,000 pages.
Mode ``strict``; parsing and the log of dropped lines are included on both sides. ``ratio`` compares with a plain Python
executor of the same rules, ``ratio_published_rules`` with one of the published executor's (which keeps no log),
``ratio_normalize`` with the former for programs of ten ``normalize`` calls a chunk, most of which match. All times are
processor time. ``first_batch_seconds``: the first call in a fresh process, after import, by the clock, with the
compiled code in numba's cache.
"""

import io
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import zstandard
from timing import SHARED, arguments, cpu_seconds, report

ROOT = Path(__file__).resolve().parent.parent
CHUNK_CHARACTERS = 6000
BATCH_ROWS = 1000
TOTAL_BYTES = 500_000_000
SAMPLE_PAGES = 400
CHUNKS = pa.list_(pa.struct([("line_start", pa.int64()), ("line_end", pa.int64()), ("output", pa.string())]))

Chunk = tuple[int, int, str]
Page = tuple[str, list[Chunk]]

FIRST_BATCH = """
import time
import pyarrow as pa
from prox_spark.execution import execute_batch
texts = pa.array(["Home | Login\\nThe page's own text."] * 100)
programs = pa.array([["remove_lines(start=0, end=0)"]] * 100)
start = time.perf_counter()
execute_batch(texts, programs)
print(time.perf_counter() - start)
"""


def pages() -> Iterator[tuple[str, list[int]]]:
    with zstandard.open(SHARED / "gold" / "train.jsonl.zst") as file:
        for line in io.TextIOWrapper(file, encoding="utf-8"):
            record = json.loads(line)
            yield record["raw_content"], record["gold_keep"]


def chunks(text: str) -> Iterator[tuple[int, int]]:
    """Ranges of lines of about ``CHUNK_CHARACTERS``."""
    start, size = 0, 0
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if size and size + len(line) > CHUNK_CHARACTERS:
            yield start, number - 1
            start, size = number, 0
        size += len(line) + 1
    yield start, len(lines) - 1


def removals(start: int, end: int, keep: list[int]) -> str:
    calls, number = [], start
    for kept, run in itertools.groupby(keep[start : end + 1]):
        length = len(list(run))
        if not kept:
            calls.append(f"remove_lines(start={number}, end={number + length - 1})")
        number += length
    return "\n".join(calls) or "untouch_doc()"


def normalizations(start: int, end: int, text: str, rng: Random) -> str:
    lines, calls = text.split("\n")[start : end + 1], []
    for _ in range(10):
        line = rng.choice(lines)
        at = rng.randrange(max(1, len(line) - 8))
        source = json.dumps(line[at : at + rng.choice((4, 12, 30))], ensure_ascii=False)
        calls.append(
            f"normalize(source_str={source})"
            if rng.random() < 0.7
            else f'normalize(source_str={source}, target_str="…")'
        )
    return "\n".join(calls)


def batches(corpus: list[Page]) -> list[tuple[Any, Any]]:
    made = []
    for low in range(0, len(corpus), BATCH_ROWS):
        part = corpus[low : low + BATCH_ROWS]
        names = ("line_start", "line_end", "output")
        rows = [[dict(zip(names, chunk, strict=True)) for chunk in programs] for _, programs in part]
        made.append((pa.array([text for text, _ in part]), pa.array(rows, CHUNKS)))
    return made


def throughput(corpus: list[Page], total_bytes: int) -> float:
    """Megabytes of text per second through ``execute_batch``."""
    from prox_spark.execution import execute_batch

    made = batches(corpus)
    execute_batch(*made[0])
    done, spent = 0, 0.0
    for texts, programs in itertools.cycle(made):
        spent += cpu_seconds(lambda texts=texts, programs=programs: execute_batch(texts, programs))
        done += texts.nbytes
        if done >= total_bytes:
            return done / spent / 1e6
    raise AssertionError("no batches")


def strict_baseline(text: str, programs: list[Chunk]) -> object:
    from oracle import strict

    return strict(text, programs)


def compat_baseline(text: str, programs: list[Chunk]) -> object:
    from oracle import compat

    return compat(text, "\n".join(program for _, _, program in programs))


def baseline(corpus: list[Page], executor: Callable[[str, list[Chunk]], object]) -> float:
    """Megabytes of text per second through a plain Python executor, over a sample: the best of three."""
    sample = Random(0).sample(corpus, min(SAMPLE_PAGES, len(corpus)))
    size = sum(len(text.encode()) for text, _ in sample)
    spent = min(cpu_seconds(lambda: [executor(text, programs) for text, programs in sample]) for _ in range(3))
    return size / spent / 1e6


def first_batch() -> float:
    """Seconds of the first call in a fresh process; an earlier process fills the cache."""
    runs = [
        subprocess.run([sys.executable, "-c", FIRST_BATCH], check=True, capture_output=True, text=True) for _ in "ab"
    ]
    return float(runs[-1].stdout)


def main() -> None:
    options = arguments(__doc__).parse_args()
    if not (SHARED / "gold").is_dir():
        raise SystemExit("the measurement data (../shared/gold) is not beside this checkout")
    rng = Random(1)
    gold = list(pages())
    removed = [(text, [(a, b, removals(a, b, keep)) for a, b in chunks(text)]) for text, keep in gold]
    edited = [(text, [(a, b, normalizations(a, b, text, rng)) for a, b in chunks(text)]) for text, _ in gold]
    sys.path.insert(0, str(ROOT / "tests" / "unit" / "execution"))
    fast, slow = throughput(removed, TOTAL_BYTES), baseline(removed, strict_baseline)
    published = baseline(removed, compat_baseline)
    fast_edits, slow_edits = throughput(edited, TOTAL_BYTES // 4), baseline(edited, strict_baseline)
    result = {
        "ratio": fast / slow,
        "megabytes_per_second": fast,
        "baseline_megabytes_per_second": slow,
        "ratio_published_rules": fast / published,
        "published_rules_megabytes_per_second": published,
        "ratio_normalize": fast_edits / slow_edits,
        "normalize_megabytes_per_second": fast_edits,
        "normalize_baseline_megabytes_per_second": slow_edits,
        "first_batch_seconds": first_batch(),
        "megabytes": TOTAL_BYTES / 1e6,
        "pages": len(gold),
        "rows_a_batch": BATCH_ROWS,
        "measured_on": "gold/train.jsonl.zst, repeated; one core; strict mode; parsing and log included",
    }
    report(result, options.output)


if __name__ == "__main__":
    main()
