"""Every answer to a commit is lost, in each verb that writes: the job finds its own commit in the history and continues.

The fault is made between this package and Spark: the commit is there, and then the call raises what a broken connection
does. Slow: nine verbs, each of whose commits is looked for in the history.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from claims import PROSE, check_conservation, check_once, check_rederivation, run
from pyspark.sql import SparkSession

from prox_spark.config import Config
from prox_spark.pipeline import generate
from prox_spark.refinement.execute import execute
from prox_spark.tables.leases import keys
from prox_spark.tables.store import Store, open_store
from prox_spark.versions.forget import forget
from prox_spark.versions.optimize import optimize
from prox_spark.versions.pin import pin
from prox_spark.versions.rollback import rollback

pytestmark = pytest.mark.slow

COMMITTING = ("CREATE TABLE", "MERGE", "RESTORE", "OPTIMIZE", "VACUUM", "ALTER TABLE")
SAVE, SQL = Store.save, SparkSession.sql


class LostAnswerError(RuntimeError):
    """As the object store's client says it."""

    def __init__(self) -> None:
        super().__init__("java.net.SocketException: Connection reset")


@contextmanager
def without_answers() -> Iterator[Counter[str]]:
    """A block in which each commit raises after it is there; how many of them, by table or by command.

    A command that is run again succeeds.
    """
    lost: Counter[str] = Counter()
    seen: set[str] = set()

    def save(store: Store, writer: Any, name: str) -> None:
        SAVE(store, writer, name)
        lost[name] += 1
        raise LostAnswerError

    def sql(spark: SparkSession, text: str, *more: Any, **named: Any) -> Any:
        done = SQL(spark, text, *more, **named)
        for command in COMMITTING:
            if text.startswith(command) and text not in seen:
                seen.add(text)
                lost[command] += 1
                raise LostAnswerError
        return done

    with patch.object(Store, "save", save), patch.object(SparkSession, "sql", sql):
        yield lost


def pages(folder: Path, file: int, *texts: str) -> None:
    folder.mkdir(exist_ok=True)
    rows = [{"id": f"{file}-{n}", "text": f"Head\n{PROSE} {text}"} for n, text in enumerate(texts)]
    (folder / f"{file}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_job_whose_every_answer_is_lost_writes_everything_once(
    spark: Any, configure: Callable[..., Config], tmp_path: Path
) -> None:
    pages(tmp_path / "pages", 0, "One.", "Another.", "Poison")
    failing = ["document=null", "chunk.engine.kind=scripted", "chunk.engine.default=remove_lines(start=0, end=0)"]
    quarantine = "execution.on_failed_chunk=quarantine"
    config = configure(*failing, quarantine, "chunk.engine.error_on=Poison", path=tmp_path / "pages")
    config = config.model_copy(update={"store": str(tmp_path / "new")})
    kept = config.model_copy(update={"refinement": "kept"})

    with without_answers() as lost:
        run(spark, config)
        store = open_store(spark, config.store)
        # The file that the engine fails on is the same refiner's: its fingerprint leaves faults out or not.
        pages(tmp_path / "pages", 1, "Late.")
        assert run(spark, config)[2].version == 1
        generate(spark, config, retry_failed=True)
        assert execute(spark, kept).version == 0
        assert rollback(spark, config.store, "first:0").new
        assert pin(spark, config.store, "first:0", copy=True).new
        optimize(spark, config.store)
        assert forget(spark, config.store, ["0-0"], history=True).documents == 1
        done = execute(spark, config)

    assert {"documents", "programs", "refined", "dropped_lines", "refinements", "leases", "pins", "forgotten"} <= set(
        lost
    )
    assert {*COMMITTING} <= set(lost)
    assert done.counts["documents"] == 3
    check_once(spark, config)
    assert check_conservation(spark, config).documents == 3
    check_rederivation(spark, config)
    rows = store.read("refinements").select("refinement", "version").collect()
    assert len(rows) == len(set(rows)), "a row was written twice"
    taken = store.read("leases").select("key", "token").collect()
    assert len(taken) == len(set(taken))
    assert "execute" in keys(store)
