"""The execute job compared with a Spark job that only copies the same documents through an identity ``mapInArrow`` to Delta.

``ratio`` is the job's time over the copy's, in one session, for ``--documents`` documents of about ``--characters`` each, of
which a fifth of the lines is removed. The job includes its completeness check, lease, log, counts and commit.
``flatness`` is the cost per additional document from half to the full size, divided by that from a tenth to half. Neither
includes the start-up, which is most of a small refinement.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from corpus import documents
from timing import arguments, report, seconds

from prox_spark import execute, load_config
from prox_spark.generation.plan import plan_stages
from prox_spark.schemas import DOCUMENTS, PROGRAMS
from prox_spark.session import get_session
from prox_spark.tables.store import Store, create_store, spark_schema

ENGINE = ["document=null", "chunk.engine.kind=scripted"]


def config_for(folder: Path, count: int, refinement: str) -> Any:
    return load_config(None, [f"store={folder / f'store-{count}'}", f"refinement={refinement}", *ENGINE])


def fill(spark: Any, store: Store, count: int, refiner: str, characters: int) -> None:
    """Write documents and programs directly into the tables, because reading files and engines are not measured."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as scratch:
        for table, schema, rows in (("documents", DOCUMENTS, document_row), ("programs", PROGRAMS, program_row)):
            path = f"{scratch}/{table}.parquet"
            with pq.ParquetWriter(path, schema) as writer:
                batch: list[dict[str, Any]] = []
                for number, text in enumerate(documents(count, characters)):
                    batch.append(rows(number, text, count, refiner))
                    if len(batch) == 5000:
                        writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
                        batch = []
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
            frame = spark.read.schema(spark_schema(table)).parquet(path).repartition(8)
            frame.write.format("delta").mode("append").save(f"{store.location}/{table}")


def document_row(number: int, text: str, count: int, refiner: str) -> dict[str, Any]:
    return {
        "doc_id": f"document-{number}",
        "unit": number * 4 // count,
        "content_hash": f"{number:032x}",
        "source": "benchmark",
        "url": f"https://site{number % 97}.example/{number}",
        "file": "benchmark",
        "position": number,
        "metadata": {"number": str(number)},
        "text": text,
    }


def program_row(number: int, text: str, count: int, refiner: str) -> dict[str, Any]:
    lines = text.count("\n") + 1
    # Two of every ten lines: a fifth of the lines is removed.
    runs = [(start, min(start + 1, lines - 1)) for start in range(number % 8, lines, 10)]
    output = "\n".join(f"remove_lines(start={start}, end={end})" for start, end in runs)
    return {
        "doc_id": f"document-{number}",
        "content_hash": f"{number:032x}",
        "unit": number * 4 // count,
        "stage": "chunk",
        "chunk": 0,
        "refiner": refiner,
        "line_start": 0,
        "line_end": lines - 1,
        "line_offset": 0,
        "status": "ok",
        "output": output,
        "calls": [],
    }


def identity(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--characters", type=int, default=8000, help="of a document; 8 kB is a web page's text")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    spark = get_session()
    sizes = (options.documents // 10, options.documents // 2, options.documents)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for count in sizes:
            config = config_for(folder, count, "warm")
            refiner = plan_stages(config).chunk
            assert refiner is not None
            fill(spark, create_store(spark, config.store), count, refiner.fingerprint, options.characters)

        def copy(count: int, run: int) -> float:
            rows = spark.read.format("delta").load(f"{folder}/store-{count}/documents")
            copied = rows.mapInArrow(identity, rows.schema).write.format("delta").mode("overwrite")
            return seconds(lambda: copied.save(f"{folder}/copy-{count}"))

        def job(count: int, run: int) -> float:
            # A new name makes a new refinement of the same programs, so all of them are executed again.
            return seconds(lambda: execute(spark, config_for(folder, count, f"run-{run}")))

        copy(sizes[0], 0), job(sizes[0], 99)
        best: dict[str, dict[int, float]] = {"copy": {}, "job": {}}
        # Alternate between sizes, so that none runs on a warmer machine.
        for run in range(options.runs):
            for count in sizes:
                for name, action in (("copy", copy), ("job", job)):
                    best[name][count] = min(best[name].get(count, float("inf")), action(count, run))
    tenth, half, whole = sizes
    jobs = best["job"]
    early, late = ((jobs[b] - jobs[a]) / (b - a) for a, b in ((tenth, half), (half, whole)))
    figures = {
        "ratio": jobs[whole] / best["copy"][whole],
        "flatness": late / early,
        "documents": whole,
        "characters": options.characters,
        "job_seconds": jobs,
        "copy_seconds": best["copy"],
    }
    report({"benchmark": "execute_job", **figures}, options.output)


if __name__ == "__main__":
    main()
