"""This project: ``refine`` from files to a store; programs of a Parquet file, and HTML, in one process without Spark."""

import json
import sys
from pathlib import Path

import prox_spark

TABLES = {
    "log": "each page and line removed, with the reason",
    "versions": "tables with time travel, refinements side by side",
    "resumes": "from the last commit",
}
FILES = {"log": "each line removed", "versions": "none: files", "resumes": "no"}


def refine(source, target, *settings):
    from prox_spark.session import get_session

    own = [f"store={target}/store", f"input.path={source}/pages/*.json.gz", "input.format=json"]
    config = prox_spark.load_config(None, [*own, "refinement=peers", *settings])
    spark = get_session()
    prox_spark.refine(spark, config)
    spark.stop()
    return TABLES


def rules(source, target):
    return refine(source, target, "document.engine.kind=rules", "chunk.engine.kind=rules")


def model(source, target):
    options = json.loads(Path(source, "engine.json").read_text())["engine"]
    own = {name: options[name] for name in ("dtype", "enable_prefix_caching", "enforce_eager")}
    engine = ["chunk.engine.kind=vllm", f"chunk.engine.model={source}/model"]
    engine += [f"chunk.engine.options={json.dumps(own)}", "generate.self_test=false", "document=null"]
    return refine(source, target, *engine)


def endpoint(source, target):
    address = Path(source, "address").read_text()
    engine = ["chunk.engine.kind=openai", "chunk.engine.model=model", f"chunk.engine.refiner={source}/model"]
    engine += [f"chunk.engine.base_url={address}", "chunk.engine.prompt=text", "document=null"]
    return refine(source, target, *engine, "generate.self_test=false")


def programs(source, target):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from prox_spark.execution import execute_batch
    from prox_spark.schemas import DROPPED_LINES

    pages = pa.schema([("id", pa.string()), ("text", pa.string())])
    with (
        pq.ParquetWriter(f"{target}/refined.parquet", pages) as refined,
        pq.ParquetWriter(f"{target}/dropped.parquet", DROPPED_LINES) as dropped,
    ):
        for batch in pq.ParquetFile(f"{source}/programs.parquet").iter_batches(1000):
            result = execute_batch(batch["text"], batch["programs"])
            refined.write_batch(pa.record_batch([batch["id"], result.texts], pages))
            dropped.write_batch(result.dropped_lines)
    return FILES


def html(source, target):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from prox_spark.corpora.read import read_file

    for archive in sorted(Path(source, "html").iterdir()):
        batches = list(read_file(str(archive), "warc", extract="main"))
        pq.write_table(pa.Table.from_batches(batches), f"{target}/{archive.name}.parquet")
    return FILES | {"log": "pages without text, each with the reason"}


def main():
    work, source, target = sys.argv[1:]
    holds = {"rules": rules, "model": model, "endpoint": endpoint, "programs": programs, "html": html}[work](
        source, target
    )
    print(json.dumps({"version": prox_spark.__version__, **holds}))


if __name__ == "__main__":
    main()
