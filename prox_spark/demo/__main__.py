"""``make demo``: a corpus of web pages, refined, on one machine without a GPU."""

import logging
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from prox_spark.cli.output import write_line, write_table
from prox_spark.config import Config, load_config
from prox_spark.demo.corpus import write_corpus
from prox_spark.engines.tiny import build_tiny_model
from prox_spark.generation.job import generate
from prox_spark.ingestion.job import find_files, ingest
from prox_spark.refinement.job import execute
from prox_spark.session import get_session
from prox_spark.versions.sql import query

FOLDER = Path("artifacts/demo")
CORPUS = {
    "c4": "c4-demo.00000-of-00001.json.gz",
    "dclm": "dclm-demo-shard_00000000.jsonl.zst",
    "fineweb": "fineweb-demo-000_00000.parquet",
    "warc": "demo-00000.warc.gz",
}

BY_OPERATION = """
    SELECT operation, count(*) AS lines, count(DISTINCT doc_id) AS documents, sum(length(text)) AS characters
    FROM dropped_lines GROUP BY operation ORDER BY lines DESC
"""
DROPPED = """
    SELECT stage, reason, count(*) AS documents, sum(n_characters) AS characters
    FROM dropped_documents GROUP BY ALL ORDER BY documents DESC
"""
UNREAD = "SELECT error_class, count(*) AS records FROM quarantine GROUP BY ALL ORDER BY records DESC"
TEN_LINES = """
    SELECT line_number, operation, text FROM dropped_lines
    WHERE length(text) > 12 ORDER BY xxhash64(doc_id, line_number) LIMIT 10
"""
FURTHER = "SELECT text, count(*) AS n FROM dropped_lines GROUP BY text ORDER BY n DESC LIMIT 20"


def main() -> int:
    """Refine the demo corpus twice: through real vLLM for the machinery, by rules for the result. Returns an exit code."""
    logging.getLogger("py4j").setLevel(logging.ERROR)
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    corpus = FOLDER / "corpus"
    write_corpus(corpus)
    write_line(f"demo: {len(CORPUS)} corpus files in {corpus}: C4, DCLM, FineWeb and a WARC")
    write_line(
        "demo: until trained weights ship, a tiny random model held to the program grammar shows the machinery (real vLLM, "
        "on this CPU, inside Spark), and classic rules make the result below"
    )
    # Side by side: vLLM takes a minute to start, on one core.
    with ThreadPoolExecutor(max_workers=1) as pool:
        spark = get_session()
        engine = pool.submit(_engine, spark, corpus)
        _show(spark, _rules(spark, corpus))
        write_line(engine.result())
    return 0


def _engine(spark: SparkSession, corpus: Path) -> str:
    """A few pages through vLLM: supervisor, engine, grammar, tables. Returns what happened."""
    model = FOLDER / "tiny-model"
    build_tiny_model(model, _texts(corpus))
    engine = ["chunk.engine.kind=vllm", f"chunk.engine.model={model}", "chunk.max_tokens=48"]
    config = _config(corpus, "fineweb", FOLDER / "engine-store", "tiny", "input.limit=24", "document=null", *engine)
    ingest(spark, config, find_files(config))
    (stage,) = generate(spark, config)
    done = execute(spark, config)
    return (
        f"demo: vLLM wrote {stage.chunks} programs for {stage.documents} pages ({stage.prompt_tokens:,} prompt tokens, "
        f"{stage.seconds:.0f} s after its start); {done.counts['lines_removed']:,} lines went"
    )


def _rules(spark: SparkSession, corpus: Path) -> str:
    for name in CORPUS:
        config = _config(corpus, name, FOLDER / "store", "rules")
        ingest(spark, config, find_files(config))
    generate(spark, config)
    counts = execute(spark, config).counts
    kept = counts["characters_kept"] / counts["characters"]
    write_line(
        f"demo: rules kept {counts['refined']} of {counts['documents']} pages and {kept:.0%} of their characters; "
        f"{counts['lines_removed']:,} lines and {counts['dropped_documents']} whole pages went"
    )
    return config.store


def _show(spark: SparkSession, store: str) -> None:
    def table(title: str, text: str) -> None:
        answer = query(spark, store, text)
        write_table(answer.columns, answer.collect(), title)

    table("Lines that went from kept pages, by operation", BY_OPERATION)
    table("Pages that went as a whole", DROPPED)
    table("What could not be read", UNREAD)
    table("Ten of the dropped lines", TEN_LINES)
    write_line("Ask further:")
    write_line(f'  .venv/bin/prox-spark sql --store {store} "{FURTHER}"')
    write_line(f"  .venv/bin/prox-spark history --store {store}")


def _config(corpus: Path, format_name: str, store: Path, refinement: str, *overrides: str) -> Config:
    base = [
        f"store={store}",
        f"refinement={refinement}",
        f"input.path={corpus / CORPUS[format_name]}",
        f"input.format={format_name}",
        "document.engine.kind=rules",
        "chunk.engine.kind=rules",
    ]
    return load_config(None, [*base, *overrides])


def _texts(corpus: Path) -> list[str]:
    import pyarrow.parquet as pq

    texts: Any = pq.read_table(corpus / CORPUS["fineweb"], columns=["text"]).column("text").to_pylist()
    return [text for text in texts if text]


if __name__ == "__main__":
    sys.exit(main())
