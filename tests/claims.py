"""What must hold of every store and refinement, whatever was refined: the promises, read off the tables."""

import json
from pathlib import Path
from typing import Any

from prox_spark.config import Config
from prox_spark.execution import ChunkProgram
from prox_spark.execution import execute as execute_one
from prox_spark.generation.generate import Generated
from prox_spark.generation.plan import plan_stages
from prox_spark.ingestion.ingest import Ingested
from prox_spark.pipeline import refine
from prox_spark.refinement.execute import Executed
from prox_spark.tables.store import open_store
from prox_spark.versions.sql import query

PROSE = "This is a long and quiet sentence about the tides of a northern bay in winter."
PAGE = "\n".join(["Home | About | Contact", *[f"{PROSE} Number {i}." for i in range(12)], "Privacy policy", "© 2026"])

FATES = """
SELECT (SELECT count(*) FROM documents) AS documents,
       (SELECT count(*) FROM refined) AS refined,
       (SELECT count(*) FROM dropped_documents) AS dropped,
       (SELECT count(*) FROM quarantine WHERE refinement = '{name}') AS quarantined,
       (SELECT count(DISTINCT doc_id) FROM (
           SELECT doc_id FROM refined UNION ALL
           SELECT doc_id FROM dropped_documents UNION ALL
           SELECT doc_id FROM quarantine WHERE refinement = '{name}')) AS distinct_fates
"""


def run(spark: Any, config: Config) -> tuple[Ingested, list[Generated], Executed]:
    """What each of the three steps of ``refine`` did."""
    done = refine(spark, config)
    return done.ingest, done.generate, Executed(done.refinement, done.version, done.new, done.counts)


def versions(store: Path) -> dict[str, int]:
    """The number of versions of every table, straight from the file system."""
    return {path.parent.name: len(list(path.glob("*.json"))) for path in store.glob("*/_delta_log")}


def verbs(store: Path, table: str) -> list[str | None]:
    """What made each version of a table, in order, straight from the Delta log."""
    found = []
    for path in sorted((store / table / "_delta_log").glob("*.json")):
        actions = [json.loads(line) for line in path.read_text().splitlines()]
        metadata = next((a["commitInfo"].get("userMetadata") for a in actions if "commitInfo" in a), None)
        found.append(json.loads(metadata)["verb"] if metadata and metadata.startswith("{") else None)
    return found


def rows(spark: Any, config: Config, table: str) -> list[Any]:
    """All rows of a table as it stands."""
    found: list[Any] = open_store(spark, config.store).read(table).collect()
    return found


def check_conservation(spark: Any, config: Config) -> Any:
    """Every document has exactly one fate; in SQL, as an auditor asks it. Returns the counts."""
    (n,) = query(spark, config.store, FATES.format(name=config.refinement)).collect()
    assert n.documents == n.refined + n.dropped + n.quarantined == n.distinct_fates, n
    return n


def check_once(spark: Any, config: Config) -> None:
    """No document and no program twice: the keys of both tables are unique."""
    doubled = """
        SELECT 'document' AS what, doc_id FROM documents GROUP BY doc_id HAVING count(*) > 1 UNION ALL
        SELECT 'program', doc_id FROM programs
        GROUP BY doc_id, content_hash, stage, chunk, refiner HAVING count(*) > 1
    """
    assert query(spark, config.store, doubled).collect() == []


def check_rederivation(spark: Any, config: Config) -> int:
    """Original, programs and settings give every refined text again, and the log names each difference.

    Returns how many texts were derived again.
    """
    originals = {r["doc_id"]: r["text"] for r in rows(spark, config, "documents")}
    chunk = plan_stages(config).chunk
    programs: dict[str, list[Any]] = {}
    for row in rows(spark, config, "programs"):
        if chunk and row["refiner"] == chunk.fingerprint and row["stage"] == "chunk" and row["line_start"] is not None:
            programs.setdefault(row["doc_id"], []).append(row)
    log: dict[str, dict[int, Any]] = {}
    for row in rows(spark, config, "dropped_lines"):
        assert row["line_number"] not in log.setdefault(row["doc_id"], {})
        log[row["doc_id"]][row["line_number"]] = row
    refined = rows(spark, config, "refined")
    assert log.keys() <= {row["doc_id"] for row in refined}, "a line of a document that is not kept is in the log"
    for row in refined:
        original, lines = originals[row["doc_id"]], log.get(row["doc_id"], {})
        chunks = sorted(programs.get(row["doc_id"], []), key=lambda program: int(program["chunk"]))
        derived = execute_one(
            original, [_chunk(row) for row in chunks], config.execution.mode, settings=config.execution.settings()
        )
        assert row["text"] == derived.text
        assert {n: (r["text"], r["replacement"]) for n, r in lines.items()} == {
            line.line_number: (line.text, line.replacement) for line in derived.dropped_lines
        }
        kept = []
        for number, line in enumerate(original.split("\n")):
            if number not in lines:
                kept.append(line)
            elif lines[number]["replacement"] is not None:
                kept.append(lines[number]["replacement"])
        assert row["text"] == "\n".join(kept)
    return len(refined)


def _chunk(row: Any) -> ChunkProgram:
    confidences = [call["confidence"] for call in row["calls"] or ()]
    return ChunkProgram(
        row["output"], row["line_start"], row["line_end"], row["line_offset"], row["line_scores"] or (), confidences
    )
