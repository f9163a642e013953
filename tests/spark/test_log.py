"""The log of a refinement: what it does, how far it is, how long still, and that a collector can read every line.

Slow where the log is JSON: one more run."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, run

from prox_spark.cli import main
from prox_spark.config import Config
from prox_spark.tables.leases import hold
from prox_spark.tables.store import open_store

UNITS = ["ingest.unit_bytes=1000", "ingest.batch_bytes=1500", "generate.batch_units=1"]


@pytest.fixture
def config(configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path) -> Config:
    """Two files, each a unit and a commit of its own."""
    write_pages([PAGE, "buy cheap"], "a.json")
    write_pages([PAGE + " More."], "b.json")
    return configure(*UNITS, path=str(tmp_path / "*.json"))


def told(caplog: pytest.LogCaptureFixture, beginning: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.getMessage().startswith(beginning)]


def test_the_log_tells_what_is_done_how_far_and_how_long_still(
    spark: Any, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "prox_spark")
    read, stages, done = run(spark, config)
    said = [record.getMessage() for record in caplog.records]

    # What was resolved.
    assert any(line.startswith("ingest: store ") and "2 of 2 json files are new" in line for line in said), said
    (start,) = told(caplog, "generate chunk: refiner rules (")
    assert start.getMessage().startswith(f"generate chunk: refiner rules ({stages[1].refiner[:8]}), engine rules, ")
    assert "2 documents in 2 units pending" in start.getMessage()
    (start,) = told(caplog, "execute: refinement first:0 (")
    assert f"store {config.store}, documents version 2, programs version 4" in start.getMessage()
    assert "document refiner rules (" in start.getMessage()
    # Leases.
    for lease in ("ingest", f"generate/{stages[0].refiner}/document", "execute"):
        assert f"took lease {lease} (token 1)" in said
        assert f"gave back lease {lease} (token 1)" in said
    # Commits, and how long still after each.
    committed = [record for record in caplog.records if hasattr(record, "seconds_left") and hasattr(record, "table")]
    assert [(r.table, r.done, r.total) for r in committed if r.getMessage().startswith("generate chunk")] == [  # type: ignore[attr-defined]
        ("programs", 1, 2),
        ("programs", 2, 2),
    ]
    assert [bool(r.seconds_left) for r in told(caplog, "ingest: ") if hasattr(r, "seconds_left")] == [True, False]
    assert {r.table for r in told(caplog, "execute: ") if hasattr(r, "table")} >= {"refined", "dropped_lines"}  # type: ignore[attr-defined]
    assert all(r.rate > 0 for r in committed)  # type: ignore[attr-defined]
    # The end.
    assert any(
        line.startswith("ingest finished: 2 files read, 0 already in the store, 3 documents, 0 quarantined")
        for line in said
    )
    (end,) = told(caplog, "execute finished: ")
    assert end.getMessage().startswith("execute finished: first:0 has 3 documents: 2 refined, 1 dropped, 0 quarantined")
    assert end.counts == done.counts  # type: ignore[attr-defined]
    assert read.documents == 3

    caplog.clear()
    run(spark, config)
    said = [record.getMessage() for record in caplog.records]
    assert any(line.endswith("no document is pending") for line in said)
    assert "execute: first:0 covers every document; nothing to do" in said
    assert not any(line.startswith("took lease") for line in said)


@pytest.mark.slow
def test_every_line_of_a_json_log_is_an_object(
    spark: Any, config: Config, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = [
        f"store={config.store}",
        "refinement=first",
        "document.engine.kind=rules",
        "chunk.engine.kind=rules",
        *UNITS,
    ]
    words += [f"input.path={tmp_path / '*.json'}", "input.format=json", "--output", "json"]
    assert main(["--log-format", "json", "refine", *words, "spark={spark.hidden.key: not-to-be-seen}"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["counts"]["documents"] == 3
    lines = [json.loads(line) for line in err.splitlines()]
    assert len(lines) > 20
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert all(line["logger"].startswith("prox_spark.") for line in lines)
    assert "not-to-be-seen" not in err
    commits = [line for line in lines if line["message"].startswith("generate chunk") and "rate" in line]
    assert [(line["stage"], line["table"], line["done"]) for line in commits] == [
        ("chunk", "programs", 1),
        ("chunk", "programs", 2),
    ]
    assert {line["level"] for line in lines} == {"INFO"}

    assert main(["refine", *words, "execution.min_words=21", "--log-format", "json"]) == 2
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (last["level"], last["exit_code"]) == ("ERROR", 2)
    assert "exists with another configuration" in last["message"]


def test_a_lease_that_was_never_given_back_is_taken_over_by_name(
    spark: Any, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "prox_spark")
    store = open_store(spark, config.store)

    def dies() -> None:
        with hold(store, "execute") as lease:
            lease.next_version("refined")
            raise KeyboardInterrupt(lease.holder)

    with pytest.raises(KeyboardInterrupt) as death:
        dies()
    with hold(store, "execute"):
        pass
    first, let_go, second, again = [record.getMessage() for record in caplog.records if "lease" in record.getMessage()]
    assert first == "took lease execute (token 1)"
    assert let_go == "ended with an error and let go of lease execute (token 1)"
    assert second.startswith(f"took lease execute (token 2) over from {death.value}, which had it until ")
    assert again.startswith("ended with an error") or again == "gave back lease execute (token 2)"
