"""One corpus, refined in different places, and the rows that must be the same in all of them."""

import json
import random
from pathlib import Path
from typing import Any

from claims import PROSE

from prox_spark.tables.store import open_store

FILES, PAGES = 6, 40

TABLES = {
    "documents": (),
    "programs": (),
    "refined": (),
    "dropped_lines": (),
    "dropped_documents": (),
    "quarantine": ("quarantined_at",),
    "files": ("read_at",),
}
"""What is compared, and the columns that say when it was written."""

IDENTITY = (
    *("refinement", "version", "verb", "last_unit", "fingerprint", "identity", "document_refiner", "chunk_refiner"),
    "counts",
)
"""Columns of ``refinements`` that do not say when, where or by which commits it was written."""


def write_corpus(folder: Path, files: int = FILES, pages: int = PAGES) -> str:
    """Small pages in several files, among them what no page should be; the pattern that finds them."""
    draw = random.Random(0)
    odd: list[Any] = [
        None,
        "",
        " \n\t\n ",
        "\u2028\r\n",
        "x" * 20_000,
        "北方海湾的潮汐\n" * 9,
        "a\x00b\ud83d\ude00\nMenu\r\nend",
    ]
    menu = ["Home | About | Contact", "Log in | Register", "Accept all cookies", "Share this", "© 2026", "lorem ipsum"]
    for file in range(files):
        rows: list[dict[str, Any]] = []
        for page in range(pages):
            lines = [f"{PROSE} It is number {draw.randrange(40)}." for _ in range(draw.randrange(1, 12))]
            for _ in range(draw.randrange(5)):
                lines.insert(draw.randrange(len(lines) + 1), draw.choice(menu))
            row = {"id": f"{file}/{page}", "url": f"https://site{page % 3}.example/{page}", "text": "\n".join(lines)}
            rows.append({**row, "tags": [page, None], "source": None if page % 2 else "web"})
        for number, text in enumerate(odd):
            rows.insert(draw.randrange(pages), {"id": f"odd {file}/{number}", "text": text})
        # Twice in one file, once more in the next with another text, and twice without an id.
        rows += [rows[3], {**rows[4], "id": f"{file + 1}/7"}, {"text": rows[5]["text"]}, {"text": rows[5]["text"]}]
        written = [json.dumps(row) for row in rows]
        written.insert(9, '{"id": "half", "text": ')
        (folder / f"{file}.json").write_text("\n".join(written) + "\n")
    return str(folder / "*.json")


def keys(store: Path, corpus: str) -> list[str]:
    """The configuration of its refinement by rules, and output as JSON."""
    return [
        f"store={store}",
        "refinement=same",
        f"input.path={corpus}",
        "input.format=json",
        # A file is a unit; two commits of each verb.
        *("ingest.unit_bytes=1000", "ingest.batch_bytes=160000", "generate.batch_units=3"),
        *("document.engine.kind=rules", "chunk.engine={kind: rules, rules: [all]}", "--output", "json"),
    ]


def read(spark: Any, store: Path, table: str) -> list[str]:
    """The rows of a table as text, sorted; without the columns that say when they were written."""
    rows = open_store(spark, str(store)).read(table).drop(*TABLES[table]).collect()
    return sorted(json.dumps(row.asDict(recursive=True), sort_keys=True, default=str) for row in rows)


def read_all(spark: Any, store: Path) -> dict[str, list[str]]:
    """The rows of every table that is compared, and the versions of its refinement in order."""
    refinements = open_store(spark, str(store)).read("refinements").orderBy("version").select(*IDENTITY).collect()
    made = [json.dumps(row.asDict(recursive=True), sort_keys=True, default=str) for row in refinements]
    return {**{table: read(spark, store, table) for table in TABLES}, "refinements": made}
