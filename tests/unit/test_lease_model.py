"""A model of leases and fencing, checked exhaustively: every order of the steps of two jobs, with everything that goes wrong.

The steps are those of ``leases.hold``, ``commits.fence``, ``commit``, ``refinements.settle``, ``check_chain`` and
``append_refinement``, for one result table and two batches of documents that come one after the other. Between any two steps
a job may stand still for ever, which is also its death, or wake up after another has taken its lease over. Clocks are not
modelled: any may be wrong by any amount, so a lease that was not given back is found held or expired as it happens. A PUT of
a commit is answered; or it arrives and its answer is lost; or it is late, its job hears of an error, and it arrives whenever
its version is still free.

Slow: the same with three jobs, half a million states in two minutes.

What holds: never two refinements of the same documents; each names a version with the rows of all writers that count, once;
and from every state that can be reached a job that comes later finishes the work, whatever is still on its way.
"""

import ast
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest

import prox_spark

PACKAGE = Path(prox_spark.__file__).parent
DONE, FAILED = "done", "failed"
BATCHES = 2


@dataclass(frozen=True)
class Protocol:
    """The parts that the promises rest on; each can be left out, to see what it is for."""

    fences: bool = True
    looks_after_fence: bool = True
    checks_chain: bool = True
    knows_lost_answers: bool = True
    gives_back_only_finished: bool = True


@dataclass(frozen=True)
class Commit:
    """An entry of a table's log. ``kind``: fence, write, restore or row; ``version`` is what restore and row name."""

    kind: str
    token: int
    version: int = 0


@dataclass(frozen=True, order=True)
class Job:
    """Where a job stands, and what it has read so far."""

    at: str = "acquire"
    token: int = 0
    contested: bool = False
    batch: int = 0
    stands: int = 0
    base: int = 0
    seen: int = 0
    head: int = 0


Log = tuple[Commit, ...]


@dataclass(frozen=True)
class World:
    """The leases' tokens (given back: negative), the logs of two tables, PUTs on their way (table, version, commit), jobs."""

    leases: tuple[int, ...] = ()
    refined: Log = ()
    refinements: Log = ()
    late: frozenset[tuple[str, int, Commit]] = frozenset()
    jobs: tuple[Job, ...] = ()

    def log(self, table: str) -> Log:
        found: Log = getattr(self, table)
        return found

    def put(self, table: str, commit: Commit) -> "World":
        return replace(self, **{table: (*self.log(table), commit)})

    def step(self, number: int, job: Job) -> "World":
        return replace(self, jobs=(*self.jobs[:number], job, *self.jobs[number + 1 :]))

    def rows(self) -> list[Commit]:
        return [one for one in self.refinements if one.kind == "row"]


def last_token(log: Log) -> int:
    """The transaction version of the lease's id in a table's newest snapshot; RESTORE carries none."""
    return max((one.token for one in log if one.kind != "restore"), default=0)


def content(log: Log, version: int) -> tuple[Commit, ...]:
    """The rows of a version of the table: who wrote them."""
    rows: tuple[Commit, ...] = ()
    for one in log[:version]:
        if one.kind == "restore":
            rows = content(log, one.version)
        elif one.kind == "write":
            rows = (*rows, one)
    return rows


def committing(
    world: World, number: int, job: Job, table: str, commit: Commit, after: Job, rules: Protocol
) -> Iterator[World]:
    """Every way in which a commit with the lease's transaction may end; ``job.seen`` is what its snapshot had."""
    log = world.log(table)
    if last_token(log) > commit.token or last_token(log) != job.seen:
        # Skipped by Delta, or a conflict: the history has no such commit, so the lease is another's.
        yield world.step(number, replace(job, at=FAILED))
        return
    there = world.put(table, commit)
    after = replace(after, head=len(log) + 1)
    yield there.step(number, after)
    late = replace(world, late=world.late | {(table, len(log), commit)})
    yield late.step(number, replace(job, at="release failed"))
    # The answer is lost. A job that does not look for its own commit in the history writes it again.
    again = replace(job, seen=last_token(there.log(table)))
    yield there.step(number, after if rules.knows_lost_answers else again)


def steps(world: World, number: int, rules: Protocol) -> Iterator[World]:
    """Every next world after one step of this job."""
    job, refined, refinements = world.jobs[number], world.refined, world.refinements
    go = lambda at, **more: world.step(number, replace(job, at=at, **more))  # noqa: E731
    first, second = ("fence", "look") if rules.looks_after_fence else ("look", "fence")
    match job.at:
        case "acquire":
            newest = max(world.leases, key=abs, default=0)
            yield go("append lease", token=abs(newest) + 1, contested=newest > 0)
        case "append lease":
            if any(abs(token) >= job.token for token in world.leases):
                yield go(FAILED)
                return
            taken = replace(world, leases=(*world.leases, job.token))
            yield taken.step(number, replace(job, at=first))
            yield taken.step(number, replace(job, at=FAILED))
        case "fence" | "fence row":
            table, following = ("refined", "fence row") if job.at == "fence" else ("refinements", "fenced")
            following = following if following == "fence row" else "settle" if second == "fence" else "look"
            if not (job.contested and rules.fences):
                yield go(following)
                return
            job = replace(job, seen=last_token(world.log(table)))
            after = replace(job, at=following, contested=job.at == "fence")
            yield from committing(world, number, job, table, Commit("fence", job.token), after, rules)
        case "look":
            rows = world.rows()
            following = "release" if len(rows) == BATCHES else "settle" if second == "look" else "fence"
            yield go(following, batch=len(rows), stands=rows[-1].version if rows else 0)
        case "settle":
            # Back to the version that the last refinement names: metadata only, and without a transaction.
            same = content(refined, len(refined)) == content(refined, job.stands)
            settled = world if same else world.put("refined", Commit("restore", job.token, job.stands))
            yield settled.step(number, replace(job, at="begin", base=len(settled.refined)))
        case "begin":
            yield go("write", seen=last_token(refined))
        case "write":
            write = Commit("write", job.token, job.batch)
            yield from committing(world, number, job, "refined", write, replace(job, at="check"), rules)
        case "check":
            changes = sum(one.kind in ("write", "restore") for one in refined[job.base : job.head])
            yield go("begin row" if changes == 1 or not rules.checks_chain else "release failed", stands=job.head)
        case "begin row":
            yield go("row", seen=last_token(refinements))
        case "row":
            row = Commit("row", job.token, job.stands)
            yield from committing(world, number, job, "refinements", row, replace(job, at="release"), rules)
        case "release" | "release failed":
            clean = not job.contested and (job.at == "release" or not rules.gives_back_only_finished)
            left = tuple(-token if clean and token == job.token else token for token in world.leases)
            yield replace(world, leases=left).step(number, Job(DONE if job.at == "release" else FAILED))
        case "done" if len(world.rows()) < BATCHES:
            # The next night.
            yield world.step(number, Job())


def nexts(world: World, rules: Protocol) -> Iterator[World]:
    """Every next world: a step of a job, or the arrival of a late PUT, which fails where its version is taken."""
    for number in range(len(world.jobs)):
        yield from steps(world, number, rules)
    for table, version, commit in world.late:
        rest = replace(world, late=world.late - {(table, version, commit)})
        yield rest.put(table, commit) if len(world.log(table)) == version else rest


def broken(world: World) -> str | None:
    """The promise that this world breaks."""
    rows = world.rows()
    if len(rows) > BATCHES:
        return "two writers count"
    for number, row in enumerate(rows):
        wanted = tuple(Commit("write", one.token, batch) for batch, one in enumerate(rows[: number + 1]))
        if content(world.refined, row.version) != wanted:
            return "a refinement does not name the rows of those that count, once"
    return None


def check(rules: Protocol, *, jobs: int = 2, progress: bool = False) -> dict[World, World | None]:
    """Everything that so many jobs can reach, and from where. Raises ``AssertionError`` with the steps to a broken promise."""
    before: dict[World, World | None] = {World(jobs=(Job(),) * jobs): None}
    queue = deque(before)
    while queue:
        world = queue.popleft()
        why = broken(world)
        assert why is None, f"{why}:\n{trace(before, world)}"
        assert not progress or finishes(world, rules), f"a later job does not finish:\n{trace(before, world)}"
        for step in nexts(world, rules):
            # Which job is which makes no difference.
            new = replace(step, jobs=tuple(sorted(step.jobs)))
            if new not in before:
                before[new] = world
                queue.append(new)
    return before


def trace(before: dict[World, World | None], world: World | None) -> str:
    """The worlds on the way to this one."""
    way = []
    while world is not None:
        way.append(f"{[(job.at, job.token) for job in world.jobs]} {world.refined} {world.refinements}")
        world = before[world]
    return "\n".join(reversed(way))


def finishes(world: World, rules: Protocol) -> bool:
    """Whether jobs that come later, one by one, finish the work, whether what is late has arrived before them or never does."""
    arrived = [world, *nexts(replace(world, jobs=()), rules)]
    return all(_finishes(replace(one, late=frozenset(), jobs=(Job(),)), rules) for one in arrived)


def _finishes(world: World, rules: Protocol) -> bool:
    while len(world.rows()) < BATCHES and world.jobs[0].at != FAILED:
        # The first way to go on is the one without trouble.
        world = next(steps(world, 0, rules))
    return len(world.rows()) == BATCHES


def test_no_two_writers_count_and_later_jobs_always_finish() -> None:
    reached = check(Protocol(), progress=True)
    assert len(reached) > 4_000
    ends = {tuple(job.at for job in world.jobs) for world in reached}
    assert ends >= {(DONE, DONE), (DONE, FAILED), (FAILED, FAILED)}


@pytest.mark.slow
def test_no_two_of_three_writers_count() -> None:
    assert len(check(Protocol(), jobs=3)) > 400_000


@pytest.mark.parametrize("part", [one.name for one in fields(Protocol)])
def test_no_part_of_the_protocol_can_be_left_out(part: str) -> None:
    with pytest.raises(AssertionError, match=r"two writers count|does not name the rows of those that count"):
        check(replace(Protocol(), **{part: False}))


def test_whoever_takes_a_lease_fences_earlier_holders_off_before_anything_else() -> None:
    """The model shows what happens otherwise: a row that an earlier holder commits after the look is not seen."""
    blocks = calls = 0
    for file in PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        calls += sum(isinstance(node, ast.Call) and ast.unparse(node.func) == "hold" for node in ast.walk(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.With) and any(
                ast.unparse(item.context_expr).startswith("hold(") for item in node.items
            ):
                assert ast.unparse(node.body[0]).startswith("fence("), f"{file.name}:{node.lineno}"
                blocks += 1
    # The other one is in `hold_all`, which fences each lease as it takes it.
    assert blocks == calls - 1 > 5
