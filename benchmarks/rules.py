"""Speed of rules on one core: documents per second through both stages, with all rules.

Pages of ../shared/gold/train.jsonl.zst, joined and cut at line ends to about 8 kB, go through a task's code
(``run_stage``: documents in, rows of ``programs`` out) with ``rules: [all]``, once in the document stage and once in the
chunk stage, n-gram repetition included. ``documents_per_second_per_core`` counts the processor time of both stages, for
every document. If datatrove is installed, its filters run over a sample for comparison, one after another, each over all
documents, with the share of equal decisions: its words come from a tokenizer, ours are separated by white space.
``first_batch_seconds``: the first call in a fresh process, after import, in wall-clock time, compiled code in the cache.
"""

import importlib
import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import zstandard
from timing import SHARED, arguments, cpu_seconds, report

SIZE = 8000
ROWS = 1000
ROUNDS = 3
SAMPLE = 300
FILTERS = {
    "GopherQualityFilter": "gopher_quality",
    "GopherRepetitionFilter": "gopher_repetition",
    "FineWebQualityFilter": "fineweb",
    "C4QualityFilter": None,
}
"""datatrove's filters, and our set of rules that should decide the same (C4's also edits, so it is not compared)."""

FIRST_BATCH = """
import time
from prox_spark.rules.programs import document_programs, line_programs
from prox_spark.rules.catalogue import select_rules
texts = ["Home | Login\\nThe page's own text."] * 100
start = time.perf_counter()
document_programs(texts, select_rules("document", ["all"]))
line_programs(texts, select_rules("chunk", ["all"]))
print(time.perf_counter() - start)
"""


def documents() -> Iterator[str]:
    """Texts of about ``SIZE`` bytes, cut from the lines of all pages."""
    lines, size = [], 0
    with zstandard.open(SHARED / "gold" / "train.jsonl.zst") as file:
        for record in io.TextIOWrapper(file, encoding="utf-8"):
            for line in json.loads(record)["raw_content"].split("\n"):
                lines.append(line)
                size += len(line.encode()) + 1
                if size >= SIZE:
                    yield "\n".join(lines)
                    lines, size = [], 0


def batches(texts: list[str]) -> list[pa.RecordBatch]:
    made = []
    for start in range(0, len(texts), ROWS):
        part = texts[start : start + ROWS]
        ids = [f"d{start + n}" for n in range(len(part))]
        unit = pa.array([0] * len(part), pa.int64())
        made.append(pa.RecordBatch.from_pydict({"doc_id": ids, "content_hash": ids, "unit": unit, "text": part}))
    return made


def stage_seconds(stage: str, texts: list[str]) -> float:
    """Processor time of a stage over all documents: the best of ``ROUNDS``."""
    from prox_spark.config.engines import RulesSettings
    from prox_spark.config.models import ChunkConfig, DocumentConfig
    from prox_spark.generation.kinds import open_engine
    from prox_spark.generation.plan import plan_stage
    from prox_spark.generation.task import run_stage

    settings = RulesSettings(kind="rules", rules=("all",))
    config = DocumentConfig(engine=settings) if stage == "document" else ChunkConfig(engine=settings)
    plan = plan_stage("document" if stage == "document" else "chunk", config)

    def run(made: list[pa.RecordBatch]) -> None:
        rows = sum(batch.num_rows for batch in run_stage(iter(made), plan, open_engine(plan.settings, plan.refiner)))
        assert rows == sum(batch.num_rows for batch in made)

    run(batches(texts[:10]))  # Loads the compiled kernels.
    made = batches(texts)
    return min(cpu_seconds(lambda: run(made)) for _ in range(ROUNDS))


def first_batch() -> float:
    """Seconds of the first call in a fresh process; an earlier process fills the cache."""
    runs = [
        subprocess.run([sys.executable, "-c", FIRST_BATCH], check=True, capture_output=True, text=True) for _ in "ab"
    ]
    return float(runs[-1].stdout)


def datatrove(texts: list[str]) -> dict[str, Any]:
    """Documents per second of each of datatrove's filters and of all of them, and the share of equal decisions."""
    if importlib.util.find_spec("datatrove") is None:
        return {"datatrove": "skipped: datatrove is not installed"}
    from prox_spark.rules.catalogue import select_rules
    from prox_spark.rules.programs import drop_reasons

    filters, data = importlib.import_module("datatrove.pipeline.filters"), importlib.import_module("datatrove.data")
    found: dict[str, Any] = {}
    total = 0.0
    for name, rules in FILTERS.items():
        chosen = getattr(filters, name)()
        answers: list[bool] = []

        def run(some: list[str], chosen: Any = chosen, answers: list[bool] = answers) -> None:
            for text in some:
                answer = chosen.filter(data.Document(text=text, id="0"))
                answers.append(bool(answer[0] if isinstance(answer, tuple) else answer))

        try:
            run(texts[:3])  # Loads its tokenizer.
        except Exception as error:  # noqa: BLE001 -- its tokenizers need packages and downloads of their own
            found[f"datatrove_{name}"] = f"skipped: {type(error).__name__}: {' '.join(str(error).split())[:100]}"
            continue
        answers.clear()
        seconds = cpu_seconds(lambda run=run: run(texts))
        total += seconds
        found[f"datatrove_{name}_documents_per_second"] = len(texts) / seconds
        if rules:
            ours = [reason is None for reason in drop_reasons(texts, select_rules("document", [rules]))]
            alike = sum(mine == theirs for mine, theirs in zip(ours, answers, strict=True))
            found[f"datatrove_{name}_decides_alike"] = alike / len(texts)
    if total:
        found["datatrove_documents_per_second"] = len(texts) / total
    return found


def main() -> None:
    options = arguments(__doc__).parse_args()
    if not (SHARED / "gold").is_dir():
        raise SystemExit("the measurement data (../shared/gold) is not beside this checkout")
    texts = list(documents())
    document, chunk = stage_seconds("document", texts), stage_seconds("chunk", texts)
    result = {
        "documents_per_second_per_core": len(texts) / (document + chunk),
        "document_stage_documents_per_second": len(texts) / document,
        "chunk_stage_documents_per_second": len(texts) / chunk,
        "first_batch_seconds": first_batch(),
        "documents": len(texts),
        "bytes_a_document": sum(len(text.encode()) for text in texts) / len(texts),
        **datatrove(texts[:: max(1, len(texts) // SAMPLE)]),
        "measured_on": "gold/train.jsonl.zst in pieces of 8 kB; both stages with all rules; rows of programs out",
    }
    report({"benchmark": "rules", **result}, options.output)


if __name__ == "__main__":
    main()
