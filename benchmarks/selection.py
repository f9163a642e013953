"""Speed of selection: DSIR's scores on one core, and fitting plus generating as a corpus grows.

``documents_per_second_per_core``: pages of ../shared/gold/train.jsonl.zst, joined and cut at line ends to about 8 kB, go
through a task's code (``run_stage``: documents in, rows of ``programs`` out) with ``kind: dsir``, in processor time;
for comparison, a plain Python computation of the same weights over a sample.

``ratio``: time per document of ``adapt.task=selection`` plus ``generate`` for a store of ``--documents`` documents of about
3 kB, divided by that for a store of a tenth of them; 1 is flat. Spark is started before and has run both over a hundredth.
``driver_mib`` is the driver's peak after each, which should not grow with the corpus.
"""

import itertools
import json
import re
import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from corpus import documents as make_documents
from rules import batches
from rules import documents as pieces
from timing import SHARED, arguments, cpu_seconds, report, seconds

ROUNDS = 3
SAMPLE = 100
TARGET = 1000


def bucket(ngram: str, buckets: int) -> int:
    value = 0xCBF29CE484222325
    for byte in ngram.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = ((value ^ value >> 33) * factor) % 2**64
    return (value ^ value >> 33) % buckets


def plain_weight(text: str, log_ratio: list[float]) -> float:
    """The straightforward implementation."""
    words = re.findall(r"\w+|[^\w\s]+", text.lower())
    ngrams = [*words, *(" ".join(pair) for pair in itertools.pairwise(words))]
    return sum(log_ratio[bucket(ngram, len(log_ratio))] for ngram in ngrams)


def scoring(texts: list[str], folder: Path) -> dict[str, Any]:
    """Documents per second of a task, and of plain Python."""
    from prox_spark.config.engines import DsirSettings
    from prox_spark.config.models import DocumentConfig
    from prox_spark.generation.kinds import open_engine
    from prox_spark.generation.plan import plan_stage
    from prox_spark.generation.task import run_stage
    from prox_spark.selection.dsir import Dsir, bins, fit_log_ratio, fit_quantiles, noisy_weights
    from prox_spark.selection.folder import save_dsir
    from prox_spark.selection.ngrams import BUCKETS, add_counts, weigh

    target, raw = np.zeros(BUCKETS, np.int64), np.zeros(BUCKETS, np.int64)
    add_counts(texts[: len(texts) // 10], target)
    counting = cpu_seconds(lambda: add_counts(texts, raw))
    log_ratio = fit_log_ratio(target, raw)
    weights = noisy_weights(texts, [str(n) for n in range(len(texts))], log_ratio, 1, 0)
    quantiles = fit_quantiles(*np.unique(bins(weights), return_counts=True))
    save_dsir(Dsir(log_ratio, quantiles, 0.0, 100, 0), "benchmark", folder)
    plan = plan_stage("document", DocumentConfig(engine=DsirSettings(kind="dsir", model=str(folder))))

    def run(made: list[pa.RecordBatch]) -> None:
        rows = sum(batch.num_rows for batch in run_stage(iter(made), plan, open_engine(plan.settings, plan.refiner)))
        assert rows == sum(batch.num_rows for batch in made)

    run(batches(texts[:10]))  # Loads the compiled kernels.
    made = batches(texts)
    scored = min(cpu_seconds(lambda: run(made)) for _ in range(ROUNDS))
    some, listed = texts[:: max(1, len(texts) // SAMPLE)], log_ratio.tolist()
    plain: list[float] = []
    taken = cpu_seconds(lambda: plain.extend(plain_weight(text, listed) for text in some))
    assert np.allclose(plain, weigh(some, log_ratio)[0], atol=1e-8)
    return {
        "documents_per_second_per_core": len(texts) / scored,
        "counting_documents_per_second_per_core": len(texts) / counting,
        "plain_python_documents_per_second": len(some) / taken,
        "documents": len(texts),
        "bytes_a_document": sum(len(text.encode()) for text in texts) / len(texts),
    }


def write(path: Path, count: int, characters: int = 3000) -> None:
    with path.open("w") as file:
        for number, text in enumerate(make_documents(count, characters)):
            file.write(json.dumps({"id": f"d{number}", "text": text}) + "\n")


def whole(spark: Any, scratch: Path, count: int) -> dict[str, float]:
    """Seconds of fitting and of generating for a store of ``count`` documents; ingest is not counted."""
    from prox_spark import generate, ingest, load_config
    from prox_spark.adapt.selection import fit

    corpus, folder = scratch / f"{count}.jsonl", scratch / f"dsir-{count}"
    write(corpus, count)
    keys = [f"store={scratch / f'store-{count}'}", f"input.path={corpus}", "input.format=json", "chunk=null"]
    keys += ["adapt.name=benchmark", "adapt.task=selection", f"adapt.output={folder}", "adapt.target.format=json"]
    keys += [f"adapt.target.path={scratch / 'target.jsonl'}", "ingest.unit_bytes=16000000"]
    config = load_config(None, [*keys, "document.engine.kind=dsir", f"document.engine.model={folder}"])
    ingest(spark, config)
    fitting = seconds(lambda: fit(spark, config))
    generating = seconds(lambda: generate(spark, config))
    corpus.unlink()
    # Linux counts in KiB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"documents": count, "fit_seconds": fitting, "generate_seconds": generating, "driver_mib": peak}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    options = parser.parse_args()
    if not (SHARED / "gold").is_dir():
        raise SystemExit("the measurement data (../shared/gold) is not beside this checkout")
    from prox_spark.session import get_session

    spark = get_session()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        write(scratch / "target.jsonl", TARGET)
        whole(spark, scratch, options.documents // 100)
        tenth, all_ = (whole(spark, scratch, count) for count in (options.documents // 10, options.documents))
        (scratch / "scoring").mkdir()
        scored = scoring(list(pieces()), scratch / "scoring")
    spark.stop()
    each = [(run["fit_seconds"] + run["generate_seconds"]) / run["documents"] for run in (tenth, all_)]
    result = {**scored, "ratio": each[1] / each[0], "tenth": tenth, "whole": all_}
    measured = (
        "gold/train.jsonl.zst in pieces of 8 kB; the demo's pages in texts of 3 kB, fitted and generated by Spark"
    )
    report({"benchmark": "selection", **result, "measured_on": measured}, options.output)


if __name__ == "__main__":
    main()
