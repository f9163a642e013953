"""Two jobs at once, in every order of three points of each: rows are conserved, and readers see what a refinement names.

Both jobs wait at each of their points until it is their turn, so that one job alone works between two points. Slow:
twenty orders of each pair, each with two to four jobs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from annotator import annotator
from deltas import places_of, store_faults
from drivers import Drivers, ended
from processes import wait_for
from small_stores import EXECUTE, GENERATE, MORE, Place, Stages, Words


@dataclass(frozen=True)
class Job:
    """A verb and the points at which it waits for its turn."""

    words: Words
    points: tuple[str, str, str]


OTHER = "chunk.engine.default='remove_lines(line_start=0, line_end=0)'"


@dataclass(frozen=True)
class Pair:
    """Two jobs, and the stage of the store that they begin with. What is ``forgotten`` is nowhere afterwards."""

    stage: str
    one: Job
    other: Job
    forgotten: tuple[str, ...] = ()


_RUN = ("write leases before", "write refined after", "write refinements before")
_GENERATE = ("write leases before", "write programs before", "write programs after")
_INGEST = ("write leases before", "write documents before", "write files before")
_FORGET = ("write forgotten before", "merge documents after", "vacuum programs before")


def _forget(place: Place) -> list[str]:
    return ["forget", "d0", "--history", *place.at]


def _another_execute(place: Place) -> list[str]:
    return ["execute", *place.config("execution.min_words=4", refinement="second")]


def _another_generate(place: Place) -> list[str]:
    return ["generate", *place.config(OTHER)]


PAIRS = {
    "execute, execute": Pair("generated", Job(EXECUTE, _RUN), Job(EXECUTE, _RUN)),
    "execute X, execute Y": Pair("generated", Job(EXECUTE, _RUN), Job(_another_execute, _RUN)),
    "generate X, generate Y": Pair("ingested", Job(GENERATE, _GENERATE), Job(_another_generate, _GENERATE)),
    "forget, generate": Pair("pinned", Job(_forget, _FORGET), Job(_another_generate, _GENERATE), ("d0",)),
    "pin --copy, forget": Pair(
        "second",
        Job(
            lambda place: ["pin", "first", "--copy", *place.at],
            ("write leases before", "create pinned_documents after", "write pins before"),
        ),
        Job(_forget, _FORGET),
        ("d0",),
    ),
    "optimize, execute": Pair(
        "grown",
        Job(
            lambda place: ["optimize", *place.at],
            ("optimize refined before", "optimize refined after", "write refinements before"),
        ),
        Job(_another_execute, _RUN),
    ),
    "ingest, ingest": Pair(
        "",
        Job(lambda place: ["ingest", *place.config()], _INGEST),
        Job(lambda place: ["ingest", *place.config(files=f"{MORE}/*.json")], _INGEST),
    ),
    "rollback, execute": Pair(
        "second",
        Job(
            lambda place: ["rollback", "first:0", *place.at],
            ("write leases before", "restore refined after", "write refinements before"),
        ),
        Job(_another_execute, _RUN),
    ),
}

pytestmark = pytest.mark.slow

ORDERS = sorted({"".join(order) for order in permutations("AAABBB")})


def _cases() -> Iterator[Any]:
    for pair in PAIRS:
        for order in ORDERS:
            yield pytest.param(pair, order, id=f"{pair}, {order}")


@pytest.fixture(scope="module")
def stages(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    with annotator() as server:
        made = Stages(Drivers.of(spark), tmp_path_factory.mktemp("stages"), server.url)
        made.write_corpus()
        yield made


@dataclass
class Running:
    """A job that has been started, and which of its points it was let through."""

    process: BaseProcess
    folder: Path
    log: Path
    points: list[str]

    def wait(self) -> None:
        """Until it is at its next point, or has ended."""
        here = self.folder / f"{self.points[0]}#1.here" if self.points else None
        wait_for(lambda: self.process.exitcode is not None or (here and here.exists()), f"{self.log}: {here}", 300)

    def step(self) -> None:
        """Let it go on to its next point."""
        if self.points and self.process.exitcode is None:
            (self.folder / f"{self.points.pop(0)}#1.go").touch()
        self.wait()


def _start(stages: Stages, place: Place, job: Job, name: str) -> Running:
    folder, log = place.folder.parent / f"barriers-{name}", place.folder.parent / f"{name}.log"
    folder.mkdir()
    failpoints = ";".join(f"{point}#1=barrier:{folder}" for point in job.points)
    return Running(stages.drivers.start(job.words(place), log, failpoints), folder, log, list(job.points))


@pytest.mark.parametrize(("pair", "order"), list(_cases()))
def test_two_jobs_in_any_order_lose_no_row_and_double_none(
    stages: Stages, tmp_path: Path, pair: str, order: str
) -> None:
    given = PAIRS[pair]
    place = stages.at(given.stage).copy(tmp_path / "place")
    jobs = {"A": given.one, "B": given.other}
    running = {name: _start(stages, place, job, name) for name, job in jobs.items()}
    for one in running.values():
        one.wait()

    for name in order:
        running[name].step()

    for name, one in running.items():
        # A job that met the other in its way says so and changes nothing; run again, it finishes.
        if ended(one.process) != 0:
            assert "run the command again" in one.log.read_text() or "another job" in one.log.read_text()
            again = tmp_path / f"{name}-again.log"
            assert stages.drivers.run(jobs[name].words(place), again) == 0, again.read_text()
    assert store_faults(place.store) == []
    assert places_of(place.store, given.forgotten, history=True) == []
