"""Verbs in any order, some of them killed on their way, between what other programs do to the tables: no row is lost or doubled.

Hypothesis chooses the histories; what it prints of a failure repeats it. Slow, but for one short history: each step is a verb.
"""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from annotator import annotator
from deltas import files, places_of, read, store_faults
from drivers import Drivers, ended
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from small_stores import FAULTS, Place, Stages

from prox_spark.failpoints import KILLED, NAMES
from prox_spark.schemas import RESULT_TABLES

OTHER = "chunk.engine.default='remove_lines(line_start=0, line_end=0)'"
REFINERS = {"first": (), "other": (OTHER,), "strict": ("execution.drop_document_below=0.05",)}
"""Refinements, each with what its configuration adds: another refiner, another threshold."""

AT_ONCE = ("ingest", "generate", "generate --retry-failed", "execute", "refine", "optimize")
"""What two drivers do at the same time."""

TOUCHED = ("documents", "programs", *RESULT_TABLES, "quarantine", "refinements")

kills = st.none() | st.tuples(st.sampled_from(NAMES), st.integers(1, 2))
names = st.sampled_from(sorted(REFINERS))


class AnyHistory(RuleBasedStateMachine):
    """A store's life. ``stages`` and ``spark`` are those of the test."""

    stages: Stages
    spark: Any
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        # A name of its own: Delta remembers the log of a path, in the JVM that all drivers share.
        self.place: Place = self.stages.at("executed").copy(self.folder / uuid.uuid4().hex)
        self.documents = {row["doc_id"] for row in read(self.place.store / "documents")}
        self.forgotten: set[str] = set()
        self.erased: set[str] = set()
        self.died = False

    def run(self, words: list[str], kill: tuple[str, int] | None = None) -> bool:
        """Run a verb; whether it succeeded. A verb may refuse, in a line that this package wrote."""
        log = self.place.folder.with_suffix(".log")
        point = None if kill is None else f"{kill[0]}#{kill[1]}=kill"
        code = self.stages.drivers.run(words, log, point)
        self.died |= code == KILLED
        assert code in (0, 1, 2, KILLED), log.read_text()
        assert "PROX_SPARK_TRACE" not in log.read_text(), log.read_text()
        return code == 0

    def config(self, name: str, *more: str) -> list[str]:
        return self.place.config(*REFINERS[name], *more, refinement=name, files="*/*.json")

    def teardown(self) -> None:
        shutil.rmtree(self.place.folder)

    @rule(kill=kills)
    def ingest(self, kill: tuple[str, int] | None) -> None:
        self.run(["ingest", *self.config("first")], kill)

    @rule(name=names, fails=st.booleans(), kill=kills)
    def generate(self, name: str, fails: bool, kill: tuple[str, int] | None) -> None:
        self.run(["generate", *self.config(name, *(FAULTS if fails else ()))], kill)

    @rule(name=names, kill=kills)
    def retry(self, name: str, kill: tuple[str, int] | None) -> None:
        self.run(["generate", "--retry-failed", *self.config(name)], kill)

    @rule(name=names, kill=kills)
    def execute(self, name: str, kill: tuple[str, int] | None) -> None:
        if self.run(["execute", *self.config(name)], kill):
            self.died = False

    @rule(name=names, kill=kills)
    def rollback(self, name: str, kill: tuple[str, int] | None) -> None:
        self.run(["rollback", f"{name}:0", *self.place.at], kill)

    @rule(name=names, copy=st.booleans(), kill=kills)
    def pin(self, name: str, copy: bool, kill: tuple[str, int] | None) -> None:
        self.run(["pin", name, *(["--copy"] if copy else []), *self.place.at], kill)

    @rule(doc_id=st.sampled_from(["d0", "spam", "poison"]), history=st.booleans(), kill=kills)
    def forget(self, doc_id: str, history: bool, kill: tuple[str, int] | None) -> None:
        if self.run(["forget", doc_id, *(["--history"] if history else []), *self.place.at], kill):
            self.forgotten.add(doc_id)
            if history:
                self.erased |= self.forgotten

    @rule(kill=kills)
    def optimize(self, kill: tuple[str, int] | None) -> None:
        self.run(["optimize", *self.place.at], kill)

    @rule(verbs=st.lists(st.sampled_from(sorted(AT_ONCE)), min_size=2, max_size=2), name=names)
    def two_at_once(self, verbs: list[str], name: str) -> None:
        """Two drivers work at the same time; one may refuse, as the other holds the lease."""
        logs = [self.place.folder.with_suffix(f".log{number}") for number in range(len(verbs))]
        words = [
            [*verb.split(), *self.config(name)] if verb != "optimize" else [verb, *self.place.at] for verb in verbs
        ]
        drivers = [self.stages.drivers.start(*pair) for pair in zip(words, logs, strict=True)]
        codes = [ended(driver) for driver in drivers]
        told = "".join(log.read_text() for log in logs)
        assert {*codes} <= {0, 1, 2}, told
        assert "PROX_SPARK_TRACE" not in told, told

    @rule(table=st.sampled_from(TOUCHED), vacuum=st.booleans())
    def others(self, table: str, vacuum: bool) -> None:
        """Another program compacts a table, or deletes files that no version needs."""
        self.spark.sql(f"{'VACUUM' if vacuum else 'OPTIMIZE'} delta.`{self.place.store}/{table}`")

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        assert store_faults(self.place.store, at_rest=False) == []

    @invariant()
    def documents_stay_until_they_are_forgotten(self) -> None:
        found = {row["doc_id"] for row in read(self.place.store / "documents")}
        assert found >= self.documents - {"d0", "spam", "poison"}
        self.documents = found

    @invariant()
    def what_was_forgotten_is_nowhere(self) -> None:
        assert places_of(self.place.store, self.forgotten) == []
        # Files that no version has are those of a run that died, or of versions since.
        if not self.died:
            assert places_of(self.place.store, self.erased, history=True) == []

    @invariant()
    def every_file_of_a_table_is_there(self) -> None:
        for table in TOUCHED:
            assert all((self.place.store / table / name).is_file() for name in files(self.place.store / table))


@pytest.fixture(scope="module")
def machine(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[AnyHistory]]:
    with annotator() as server:
        stages = Stages(Drivers.of(spark), tmp_path_factory.mktemp("stages"), server.url)
        stages.write_corpus()
        values = {"stages": stages, "spark": spark, "folder": tmp_path_factory.mktemp("histories")}
        yield type("OneHistory", (AnyHistory,), values)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("histories", "steps"), [(2, 5), (20, 15)], ids=["short", "long"])
def test_no_history_loses_or_doubles_a_row(machine: type[AnyHistory], histories: int, steps: int) -> None:
    chosen = settings(
        max_examples=histories,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)
