"""Cost and quality of finding duplicates: signatures on one core, nightly runs in Spark, and datatrove for comparison.

``documents_per_second_per_core``: signing short pages of about 1 kB (5 words, 14 buckets of 8), in processor time.

``ratio``: time per document of ``generate`` with ``kind: duplicates`` for a store of ``--documents`` short pages, divided by
that for a store of a tenth of them; 1 is flat. ``second_night``: as many new pages as in the tenth, added to the larger
store, and their time per document divided by that of the tenth (``night_ratio``). Ingest is not counted. ``java_mib`` and
``driver_mib`` are peaks after each run. ``recall`` and ``precision``: in every ten pages, one has two of its 150 words changed,
and in every twenty, one is a copy in capitals; ``expected_recall`` is the expectation from the similarity of the changed pages.

``--peer PYTHON``: an interpreter with datatrove 0.6.0 removes duplicates of ``--pages`` such pages with the same numbers, by
its own words and hashes. ``agreement`` is the share of pages with the same decision.
"""

import json
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from timing import arguments, cpu_seconds, report, seconds

ROUNDS = 3
WORDS, CHANGED = 150, 2
NUMBERS = {"words": 5, "buckets": 14, "hashes": 8}

PEER = """
import sys
from pathlib import Path
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

folder = Path(sys.argv[1])
config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
reader = JsonlReader(str(folder / "pages"))
steps = [
    (1, [reader, MinhashDedupSignature(str(folder / "signatures"), config)]),
    (14, [MinhashDedupBuckets(str(folder / "signatures"), str(folder / "buckets"), config=config)]),
    (1, [MinhashDedupCluster(str(folder / "buckets"), str(folder / "removed"), config=config)]),
    (1, [reader, MinhashDedupFilter(str(folder / "removed")), JsonlWriter(str(folder / "kept"), compression=None)]),
]
for tasks, pipeline in steps:
    LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=str(folder / f"log-{tasks}-{len(pipeline)}")).run()
"""


def vocabulary() -> Any:
    """Words of two to four syllables."""
    syllables = [first + last for first in "bdfgklmnprstv" for last in "aeiou"]
    chance = np.random.default_rng(0)
    return np.array(["".join(chance.choice(syllables, chance.integers(2, 5))) for _ in range(20_000)])


def pages(first: int, count: int) -> Iterator[str]:
    """``count`` short pages; the second of each ten nearly equals the first; the third of each twenty copies it in capitals."""
    known = vocabulary()
    for number in range(first, first + count):
        base = number - number % 10
        chance = np.random.default_rng(base if number % 10 == 1 or number % 20 == 2 else number)
        words = list(chance.choice(known, WORDS))
        if number % 10 == 1:
            changing = np.random.default_rng(number)
            for place in changing.choice(WORDS, CHANGED, replace=False):
                words[place] = f"changed{number}"
        text = " ".join(words)
        yield text.upper() if number % 20 == 2 else text


def planted(number: int) -> bool:
    return number % 10 == 1 or number % 20 == 2


def similarity(one: str, other: str) -> float:
    """Jaccard similarity of the pages' shingles."""
    parts = [one.lower().split(), other.lower().split()]
    a, b = ({tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in parts)
    return len(a & b) / len(a | b)


def expected() -> float:
    """The expected share of changed pages that are found, computed from some of them."""
    texts = list(pages(0, 2000))
    alike = [similarity(texts[n], texts[n + 1]) for n in range(0, 2000, 10)]
    return float(np.mean([1 - (1 - s ** NUMBERS["hashes"]) ** NUMBERS["buckets"] for s in alike]))


def signing() -> dict[str, float]:
    """Pages per second on one core."""
    from prox_spark.duplicates.minhash import sign

    texts = list(pages(0, 5000))
    sign(texts[:10], **NUMBERS)  # Loads the compiled kernels.
    taken = min(cpu_seconds(lambda: sign(texts, **NUMBERS)) for _ in range(ROUNDS))
    size = sum(len(text.encode()) for text in texts)
    return {"documents_per_second_per_core": len(texts) / taken, "megabytes_per_second_per_core": size / taken / 1e6}


def found(dropped: set[int], count: int) -> dict[str, float]:
    """Recall of changed pages and of copies, and precision, for the dropped pages."""
    near = [number for number in range(count) if number % 10 == 1]
    copies = [number for number in range(count) if number % 20 == 2]
    return {
        "recall_near": sum(number in dropped for number in near) / len(near),
        "recall_copies": sum(number in dropped for number in copies) / len(copies),
        "precision": sum(map(planted, dropped)) / max(len(dropped), 1),
    }


def peaks() -> dict[str, float]:
    """Peak memory of this process and of its JVM, in MiB."""
    (java,) = (one for one in psutil.Process().children(recursive=True) if one.name() == "java")
    high = next(line for line in Path(f"/proc/{java.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    # Linux counts in KiB.
    driver = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"java_mib": int(high.split()[1]) / 1024, "driver_mib": driver}


def night(spark: Any, scratch: Path, store: str, first: int, count: int) -> dict[str, Any]:
    """Ingest pages, and generate their decisions."""
    from prox_spark import generate, ingest, load_config

    corpus = scratch / f"{store}-{first}.jsonl"
    with corpus.open("w") as file:
        for number, text in enumerate(pages(first, count), first):
            file.write(json.dumps({"id": str(number), "text": text}) + "\n")
    keys = [f"store={scratch / store}", f"input.path={corpus}", "input.format=json", "chunk=null"]
    config = load_config(None, [*keys, "document.engine.kind=duplicates", "ingest.unit_bytes=64000000"])
    ingest(spark, config)
    taken = seconds(lambda: generate(spark, config))
    corpus.unlink()
    return {"documents": count, "seconds": taken, "microseconds_a_document": taken / count * 1e6, **peaks()}


def whole(scratch: Path, documents: int) -> dict[str, Any]:
    """A store with a tenth of the pages, one with all, and a second night."""
    from prox_spark.session import get_session
    from prox_spark.tables.store import open_store

    spark = get_session({"spark.driver.memory": "2g"})
    night(spark, scratch, "warm", 0, documents // 100)
    tenth = night(spark, scratch, "tenth", 0, documents // 10)
    all_ = night(spark, scratch, "all", 0, documents)
    programs = open_store(spark, str(scratch / "all")).read("programs").where("keep_score < 0.5").select("doc_id")
    dropped = {int(doc_id) for doc_id in programs.toPandas()["doc_id"]}
    second = night(spark, scratch, "all", documents, documents // 10)
    spark.stop()
    each = [one["microseconds_a_document"] for one in (tenth, all_, second)]
    return {
        "ratio": each[1] / each[0],
        "night_ratio": each[2] / each[0],
        **found(dropped, documents),
        "expected_recall": expected(),
        "tenth": tenth,
        "whole": all_,
        "second_night": second,
    }


def roots(texts: list[str]) -> list[int]:
    """For each text the first text of its group, in plain Python."""
    from prox_spark.duplicates.minhash import sign

    hashes, buckets, _ = sign(texts, **NUMBERS)
    parent = list(range(len(texts)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    holders: dict[int, int] = {}
    for number, signature in enumerate(np.column_stack([hashes, buckets]).tolist()):
        for value in signature:
            one, other = root(holders.setdefault(value, number)), root(number)
            parent[max(one, other)] = min(one, other)
    return [root(number) for number in range(len(texts))]


def agreement(peer: str, scratch: Path, count: int) -> dict[str, Any]:
    """The pages that datatrove keeps."""
    texts = list(pages(0, count))
    ours = {number for number, root in enumerate(roots(texts)) if root != number}
    (scratch / "pages").mkdir()
    with (scratch / "pages" / "pages.jsonl").open("w") as file:
        for number, text in enumerate(texts):
            file.write(json.dumps({"id": str(number), "text": text}) + "\n")
    command = [peer, "-c", PEER, str(scratch)]
    taken = seconds(lambda: subprocess.run(command, check=True, capture_output=True))
    kept = {
        int(json.loads(line)["id"])
        for file in (scratch / "kept").glob("*.jsonl")
        for line in file.read_text().splitlines()
    }
    theirs = set(range(count)) - kept
    # Each tool may keep a different page of a group: a group is a page and its copies.
    groups = [{number // 10 for number in dropped} for dropped in (ours, theirs)]
    return {
        "agreement": 1 - len(ours ^ theirs) / count,
        "agreement_on_groups": 1 - len(groups[0] ^ groups[1]) / (count // 10),
        "ours": found(ours, count),
        "theirs": found(theirs, count),
        "dropped": [len(ours), len(theirs)],
        "peer_documents_per_second": count / taken,
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--peer", help="a Python with datatrove")
    parser.add_argument("--pages", type=int, default=5000, help="pages for the peer")
    options = parser.parse_args()
    result: dict[str, Any] = signing()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if options.peer:
            result["peer"] = agreement(options.peer, scratch, options.pages)
        if options.documents:
            result |= whole(scratch, options.documents)
    report({"benchmark": "duplicates", **result, "measured_on": "made-up pages of 150 words"}, options.output)


if __name__ == "__main__":
    main()
