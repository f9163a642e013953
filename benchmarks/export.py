"""Exports of ``--documents`` refined documents of about ``--characters`` each, and of a tenth of them, in one session.

``ratio`` is the time per document at the full size divided by that at a tenth, without start-up: the time of an export of a
hundred documents (planning, the start of tasks, publishing) is subtracted from both. The target is at most 1: the time per
document does not grow with the corpus. ``driver_mib`` is the peak memory of this process.
"""

import resource
import shutil
import tempfile
from pathlib import Path

from execute_job import config_for, fill
from timing import arguments, report, seconds

from prox_spark import execute, export
from prox_spark.generation.plan import plan_stages
from prox_spark.session import get_session
from prox_spark.tables.store import create_store

FEW = 100


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--characters", type=int, default=8000, help="of a document; 8 kB is a web page's text")
    parser.add_argument("--format", choices=("parquet", "jsonl", "huggingface", "tokens"), default="parquet")
    parser.add_argument("--tokenizer", help="for tokens: a folder, or a name on the model hub")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    spark = get_session()
    sizes = (FEW, options.documents // 10, options.documents)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for count in sizes:
            config = config_for(folder, count, "first")
            refiner = plan_stages(config).chunk
            assert refiner is not None
            fill(spark, create_store(spark, config.store), count, refiner.fingerprint, options.characters)
            execute(spark, config)
        sums: dict[int, tuple[int, int, int]] = {}

        def run(count: int) -> float:
            target = folder / "export"

            def job() -> None:
                store = config_for(folder, count, "first").store
                done = export(spark, store, "first", str(target), options.format, tokenizer=options.tokenizer)
                sums[count] = done.characters, done.tokens or 0, done.files

            spent = seconds(job)
            shutil.rmtree(target)
            return spent

        run(FEW)
        best: dict[int, float] = {}
        # Alternate between sizes, so that none runs on a warmer machine.
        for _ in range(options.runs):
            for count in sizes:
                best[count] = min(best.get(count, float("inf")), run(count))
    few, tenth, whole = sizes
    a_document = {count: (best[count] - best[few]) / (count - few) for count in (tenth, whole)}
    characters, tokens, files = sums[whole]
    figures = {
        "ratio": a_document[whole] / a_document[tenth],
        "documents_per_second": whole / best[whole],
        "megabytes_per_second": characters / 1e6 / best[whole],
        "tokens_per_second": tokens / best[whole],
        "seconds": best,
        "format": options.format,
        "documents": whole,
        "characters": options.characters,
        "files": files,
        "driver_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    report({"benchmark": "export", **figures}, options.output)


if __name__ == "__main__":
    main()
