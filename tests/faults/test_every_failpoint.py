"""A verb is killed at every point where it changes something, and run again: the store is that of an undisturbed run.

The points are listed by the package (``prox_spark.failpoints``); which of them a verb reaches, and how often, is recorded. Slow:
some hundred processes are killed, and each verb is run again after each, in an hour or more.
"""

import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from annotator import annotator
from deltas import Rows, differences, store_faults
from drivers import Drivers
from small_stores import VERBS, Place, Stages

from prox_spark.failpoints import KILLED, NAMES, WHEN
from prox_spark.schemas import VERSIONED
from prox_spark.tables.refinements import last_version
from prox_spark.tables.store import open_store

OF_SCHEMAS = {f"create schema {when}" for when in WHEN}
OF_CATALOGS = OF_SCHEMAS | {f"view {table} {when}" for table in VERSIONED for when in WHEN}
"""Points of stores in a catalog, which have a test of their own."""

OF_OBJECT_STORES = {f"file delete {when}" for when in WHEN}
"""Points of exports to an object store: tests/unit/export has them."""

CATALOG = "spark_catalog.every_failpoint"

MAY_DIFFER = {"forget --history": ("refinements",)}
"""A run that died while it deleted files is followed by one that commits one more version of the same rows."""

REPRESENTATIVE = (
    ("ingest", "write documents after#1"),
    ("generate", "write programs after#1"),
    ("execute", "write refined after#2"),
    ("execute after a retry", "merge dropped_lines after#1"),
    ("rollback", "restore refined after#1"),
    ("pin --copy", "write pinned_refined after#1"),
)


@dataclass
class Proof:
    """The stages to begin with, and for each verb what an undisturbed run comes to and which points it reaches."""

    drivers: Drivers
    stages: Stages
    calm: dict[str, tuple[dict[str, Rows], list[str]]] = field(default_factory=dict)

    def undisturbed(self, verb: str) -> tuple[dict[str, Rows], list[str]]:
        """The store's contents after the verb, and the points that it went through, in order."""
        if verb not in self.calm:
            place = self.stages.at(VERBS[verb].stage).copy(self.stages.folder / "calm" / verb.replace(" ", "_"))
            log, record = place.folder.with_suffix(".log"), place.folder.with_suffix(".points")
            assert self.drivers.run(VERBS[verb].words(place), log, f"*=record:{record}") == 0, log.read_text()
            self.calm[verb] = place.contents(), record.read_text().splitlines()
        return self.calm[verb]

    def after_a_kill(self, verb: str, point: str) -> list[str]:
        """What is wrong with the store after the verb was killed at a point and run again."""
        expected, _ = self.undisturbed(verb)
        # A name of its own: Delta remembers the log of a path, in the JVM that all drivers share.
        folder = self.stages.folder / "killed" / uuid.uuid4().hex
        place = self.stages.at(VERBS[verb].stage).copy(folder)
        words, log = VERBS[verb].words(place), folder.with_suffix(".log")
        try:
            code = self.drivers.run(words, log, f"{point}=kill")
            if code != KILLED:
                return [f"it was not killed there, but ended with {code}: {log.read_text()[-300:]}"]
            code = self.drivers.run(words, log)
            if code != 0:
                return [f"run again it ended with {code}: {log.read_text()[-500:]}"]
            found = place.contents()
            apart = {table: found[table] for table in MAY_DIFFER.get(verb, ())}
            return differences({**expected, **apart}, found) + store_faults(place.store)
        finally:
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def proof(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    with annotator() as server:
        drivers = Drivers.of(spark)
        stages = Stages(drivers, tmp_path_factory.mktemp("stages"), server.url)
        stages.write_corpus()
        yield Proof(drivers, stages)


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "point"), REPRESENTATIVE, ids=lambda value: value)
def test_a_verb_that_is_killed_at_a_point_and_run_again_leaves_what_an_undisturbed_one_leaves(
    proof: Proof, verb: str, point: str
) -> None:
    assert proof.after_a_kill(verb, point) == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_is_killed_at_any_point_and_run_again_leaves_what_an_undisturbed_one_leaves(
    proof: Proof, verb: str
) -> None:
    _, points = proof.undisturbed(verb)
    assert points
    wrong = {point: found for point in points if (found := proof.after_a_kill(verb, point))}
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_catalogs_views_read_the_newest_refinement_after_a_kill_at_any_point(
    spark: Any, proof: Proof, tmp_path: Path
) -> None:
    place, log = Place(tmp_path, proof.stages.corpus), tmp_path / "log"

    def run(verb: str, refinement: str, point: str | None = None) -> int:
        words = [verb, *place.config(f"store={CATALOG}", refinement=refinement)]
        return proof.drivers.run(words, log, None if point is None else f"{point}=kill")

    for when in WHEN:
        assert run("ingest", "r", f"create schema {when}") == KILLED, log.read_text()
    assert run("refine", "r") == 0, log.read_text()
    store = open_store(spark, CATALOG)
    for number, point in enumerate(("write refinements after", *sorted(OF_CATALOGS - OF_SCHEMAS))):
        name = f"r{number}"
        assert run("execute", name, point) == KILLED, log.read_text()
        assert run("execute", name) == 0, log.read_text()
        row = last_version(store, None)
        assert row is not None
        assert (row["refinement"], row["version"]) == (name, 0), point
        for table in VERSIONED:
            described = spark.sql(f"DESCRIBE TABLE EXTENDED {CATALOG}.current_{table}").collect()
            (text,) = [one["data_type"] for one in described if one["col_name"] == "View Text"]
            assert f" VERSION AS OF {row[f'{table}_version']} " in text, (point, table)
    spark.sql(f"DROP SCHEMA {CATALOG} CASCADE")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_point_is_reached_by_a_verb(proof: Proof) -> None:
    reached = Counter(point.partition("#")[0] for verb in VERBS for point in proof.undisturbed(verb)[1])
    assert set(NAMES) - reached.keys() == OF_CATALOGS | OF_OBJECT_STORES
