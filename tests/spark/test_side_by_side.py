"""Jobs that write into one store at the same time: appends that read nothing of the table which they write meet nobody."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from claims import PROSE, check_conservation, check_once, rows

from prox_spark.config import Config
from prox_spark.ingestion.ingest import ingest
from prox_spark.pipeline import generate
from prox_spark.refinement.execute import execute


def commits(store: Path, table: str) -> list[dict[str, Any]]:
    """``commitInfo`` of every commit of rows to a table, in order."""
    found = []
    for path in sorted((store / table / "_delta_log").glob("*.json")):
        actions = [json.loads(line) for line in path.read_text().splitlines()]
        info = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
        if info.get("operation") == "WRITE":
            found.append(info)
    return found


@pytest.mark.slow
def test_two_refiners_an_ingest_and_an_execute_run_side_by_side(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path
) -> None:
    pages = write_pages([f"{PROSE} Page {n}." for n in range(6)])
    units = ["ingest.unit_bytes=300", "generate.batch_units=1", "document=null", "execute.batch_bytes=1"]
    base = configure(*units, path=pages)
    ingest(spark, base)
    generate(spark, base)
    scripted = [
        configure(*units, f"chunk.engine={{kind: scripted, default: '{answer}'}}", path=pages, refinement=name)
        for name, answer in (("one", "keep_chunk()"), ("two", "remove_lines(start=0, end=0)"))
    ]
    more = tmp_path / "more"
    more.mkdir()
    # With records that cannot be read: they go where a refinement's failures go, too.
    (more / "more.json").write_text(f'{{"text": "{PROSE} One more."}}\n{{"text": null}}\nno JSON\n')
    added = configure(*units, path=more / "more.json")
    with ThreadPoolExecutor(max_workers=4) as pool:
        jobs = [
            *(pool.submit(generate, spark, config) for config in scripted),
            pool.submit(ingest, spark, added),
            pool.submit(execute, spark, base),
        ]
        done = [job.result() for job in jobs]
    assert done[2].documents == 1
    assert done[2].quarantined == 2
    check_once(spark, base)
    for config in scripted:
        # What came while they ran.
        generate(spark, config)
        execute(spark, config)
        check_conservation(spark, config)
    programs = [info for info in commits(Path(base.store), "programs") if '"fence"' not in info.get("userMetadata", "")]
    assert len(programs) > 3
    assert all(info["isBlindAppend"] for info in programs)
    assert all(info["isBlindAppend"] for info in commits(Path(base.store), "quarantine"))
    asked: dict[str, set[str]] = {}
    for row in rows(spark, base, "programs"):
        asked.setdefault(row["refiner"], set()).add(row["doc_id"])
    assert sorted(map(len, asked.values())) == [6, 7, 7]
