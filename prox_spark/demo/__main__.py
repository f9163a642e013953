"""``make demo``: a corpus of web pages, refined, on one machine without a GPU."""

import logging
import os
import shutil
import sys
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyspark.sql import SparkSession

import prox_spark
from prox_spark.cli.output import write_line, write_table
from prox_spark.config import Config, load_config
from prox_spark.demo.corpus import write_corpus
from prox_spark.generation.generate import run_self_test
from prox_spark.generation.plan import plan_stages
from prox_spark.session import get_session
from prox_spark.versions.sql import query

FOLDER = Path("artifacts/demo")
DOCUMENTS, LINES = "web-documents-1", "web-lines-2"
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
    """Refine the demo corpus with the refiners that ship with the package. Returns an exit code."""
    logging.getLogger("py4j").setLevel(logging.ERROR)
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    corpus = FOLDER / "corpus"
    write_corpus(corpus)
    write_line(f"demo: {len(CORPUS)} corpus files in {corpus}: C4, DCLM, FineWeb and a WARC")
    write_line(f"demo: {DOCUMENTS} selects the pages; {LINES} scores their lines with vLLM on this CPU")
    _show(get_session(), corpus)
    return 0


def _refine(spark: SparkSession, corpus: Path) -> str:
    first = _config(corpus, "c4")
    chunk_plan = plan_stages(first).chunk
    assert chunk_plan is not None
    with ThreadPoolExecutor(max_workers=1) as pool:
        # vLLM takes half a minute to start, on one core, so it starts while the corpus is read.
        started = pool.submit(run_self_test, spark, chunk_plan, first.execution)
        for name in CORPUS:
            config = _config(corpus, name)
            prox_spark.ingest(spark, config)
        started.result()
    # Its ingest has nothing left to read.
    done = prox_spark.refine(spark, config)
    chunk, counts = done.generate[-1], done.counts
    kept = counts["characters_kept"] / counts["characters"]
    write_line(
        f"demo: {chunk.prompt_tokens:,} prompt tokens of {chunk.documents} pages in {chunk.seconds:.0f} s; kept "
        f"{counts['refined']} of {counts['documents']} pages and {kept:.0%} of their characters; "
        f"{counts['lines_removed']:,} lines and {counts['dropped_documents']} whole pages were removed"
    )
    return done.store


def _show(spark: SparkSession, corpus: Path) -> None:
    store = _refine(spark, corpus)

    def table(title: str, text: str) -> None:
        answer = query(spark, store, text)
        write_table(answer.columns, answer.collect(), title)

    table("Lines removed from kept pages, by operation", BY_OPERATION)
    table("Dropped pages", DROPPED)
    table("Records that could not be read", UNREAD)
    table("Ten of the dropped lines", TEN_LINES)
    page = Path(prox_spark.report(spark, store, FOLDER / "report.html").file)
    write_line(f"demo: a report with every page and its removed lines: {page}")
    if _has_display():
        webbrowser.open(page.resolve().as_uri())
    write_line("Ask further:")
    write_line(f'  .venv/bin/prox-spark sql --store {store} "{FURTHER}"')
    write_line(f"  .venv/bin/prox-spark history --store {store}")


def _has_display() -> bool:
    """Whether a browser can show a page to the user."""
    graphical = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.stdout.isatty() and bool(graphical)


def _config(corpus: Path, format_name: str) -> Config:
    return load_config(
        None,
        [
            f"store={FOLDER / 'store'}",
            "refinement=demo",
            f"input.path={corpus / CORPUS[format_name]}",
            f"input.format={format_name}",
            "document.engine.kind=statistics",
            f"document.engine.model={DOCUMENTS}",
            "chunk.engine.kind=vllm",
            f"chunk.engine.model={LINES}",
            "execution.drop_document_below=0.1",
            "execution.drop_line_below=0.2",
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
