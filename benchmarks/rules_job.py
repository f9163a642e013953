"""The whole job with the ``rules`` engine, from corpus files to commit, as one process: documents/s per core, and memory.

``prox-spark refine`` over ``--documents`` documents of about 3 kB in C4-like gzip files, and over a tenth of them.
``documents_per_second_per_core`` includes the start of Python, Java and Spark; ``…_without_start`` is of the difference of both
runs.
Peak memory (resident sets, summed over processes of a kind) must not grow with the corpus.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from corpus import documents
from timing import arguments, report

FILES = 16


def write_corpus(folder: Path, count: int) -> int:
    """Write the files; returns the bytes of text."""
    folder.mkdir(parents=True)
    size = 0
    with ExitStack() as stack:
        names = [folder / f"part-{i:02}.json.gz" for i in range(FILES)]
        files = [stack.enter_context(gzip.open(name, "wt", compresslevel=1)) for name in names]
        for number, text in enumerate(documents(count)):
            size += len(text.encode())
            record = {"text": text, "url": f"https://site{number % 97}.example/{number}"}
            files[number % FILES].write(json.dumps(record) + "\n")
    return size


def refine(corpus: Path, store: Path) -> dict[str, Any]:
    """Run the command and watch its processes."""
    command = [str(Path(sys.executable).parent / "prox-spark"), "refine", "--output", "json", f"store={store}"]
    command += ["refinement=rules", f"input.path={corpus}/*.json.gz", "input.format=c4"]
    command += ["document.engine.kind=rules", "chunk.engine.kind=rules"]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        peak: dict[str, int] = {}
        while process.poll() is None:
            for kind, size in resident(process.pid).items():
                peak[kind] = max(peak.get(kind, 0), size)
            time.sleep(0.5)
        seconds = time.monotonic() - started
        assert process.stdout is not None
        output = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"prox-spark refine ended with {process.returncode}")
    counts = json.loads(output)["counts"]
    return {"seconds": seconds, "peak_mib": {kind: size >> 20 for kind, size in peak.items()}, "counts": counts}


def resident(pid: int) -> dict[str, int]:
    """Resident bytes of the driver (Python), the JVM, and the largest Python worker."""
    sizes = {"driver": 0, "jvm": 0, "largest_worker": 0}
    try:
        root = psutil.Process(pid)
        sizes["driver"] = root.memory_info().rss
        for child in root.children(recursive=True):
            kind = "jvm" if "java" in child.name() else "largest_worker"
            sizes[kind] = max(sizes[kind], child.memory_info().rss)
    except psutil.NoSuchProcess:
        pass
    return sizes


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    runs = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, count in (("tenth", options.documents // 10), ("whole", options.documents)):
            corpus = Path(scratch) / name
            size = write_corpus(corpus, count)
            runs[name] = {"documents": count, "text_mb": size / 1e6, **refine(corpus, Path(scratch) / f"store-{name}")}
    whole, tenth = runs["whole"], runs["tenth"]
    # Fixed costs of both runs (Python, Java, Spark, compilation, commits) cancel out in the difference.
    marginal = (whole["documents"] - tenth["documents"]) / (whole["seconds"] - tenth["seconds"])
    figures = {
        "documents_per_second_per_core": whole["documents"] / whole["seconds"] / cores,
        "documents_per_second_per_core_without_start": marginal / cores,
        "memory_ratio": {kind: whole["peak_mib"][kind] / max(size, 1) for kind, size in tenth["peak_mib"].items()},
        **runs,
    }
    report({"benchmark": "rules_job", **figures}, options.output)


if __name__ == "__main__":
    main()
