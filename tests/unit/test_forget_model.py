"""A model of ``forget`` beside other jobs, checked exhaustively: every order of their steps, with crashes and stopped jobs.

A refiner that the store has never seen generates programs, a ``pin --copy`` copies a version, and ``forget --history`` removes a
document; it may run a second time. The steps are those of ``leases.hold``, ``forget``, ``pin`` and ``generate``. Any job may
stand still until its lease has run out, and go on; the commit that it was about to make may still arrive. Where the lease of
``forget`` has run out, it makes no further one: it knows by its own clock. Other jobs are not trusted to look at theirs. VACUUM
is one step with the look at the lease before it: it removes no file that was written after it began.

What holds: once there is a receipt, no table has rows of the document, and no commit names files that VACUUM removed.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import pytest

RUNS = 2


@dataclass(frozen=True)
class Protocol:
    """The parts that the promise rests on; each can be left out, to see what it is for."""

    shows_itself_first: bool = True
    others_look: bool = True
    knows_its_clock: bool = True
    creates_before_looking: bool = True
    fences_copies: bool = True


@dataclass(frozen=True)
class Forget:
    """``at`` is the next step. ``seen``: its heartbeat says that it is under way."""

    at: str = "show"
    runs: int = 1
    seen: bool = False
    expired: bool = False


@dataclass(frozen=True)
class Job:
    """A ``generate`` or a ``pin``: what it read or copied has the document (``read``); ``fenced``: its lease was taken over."""

    at: str = "take"
    leased: bool = False
    expired: bool = False
    fenced: bool = False
    read: bool = False


@dataclass(frozen=True)
class World:
    """Which tables have the document, what ``forget`` wrote, and files of the refiner that no commit names yet."""

    forget: Forget = Forget()
    refiner: Job = Job()
    pin: Job = Job()
    hashes: bool = False
    receipt: bool = False
    documents: bool = True
    programs: bool = False
    created: bool = False
    fenced: bool = False
    copy: bool = False
    files: str = "none"
    damaged: bool = False


def forgetting(world: World, rules: Protocol) -> Iterator[World]:
    """Every next world after a step of ``forget``."""
    job = world.forget
    first = ("show", "take") if rules.shows_itself_first else ("take", "show")
    order = (*first, "hash", "delete", "documents", "vacuum", "receipt", "hide", "done")
    if job.at in ("done", "failed"):
        if job.at == "failed" and job.runs < RUNS:
            yield replace(world, forget=Forget(first[0], job.runs + 1, job.seen))
        return
    # It dies, and its heartbeat stays as it was.
    yield replace(world, forget=replace(job, at="failed"))
    done = replace(job, at=order[order.index(job.at) + 1])
    after = replace(world, forget=done)
    match job.at:
        case "show":
            after = replace(after, forget=replace(done, seen=True))
        case "take":
            others = [world.refiner, world.pin]
            if any(one.leased and not one.expired for one in others):
                unfinished = world.hashes and not world.receipt
                yield replace(world, forget=replace(job, at="failed", seen=job.seen and unfinished))
                return
            refiner, pin = (replace(one, fenced=one.fenced or one.leased) for one in others)
            after = replace(after, refiner=refiner, pin=pin)
        case "hash":
            after = replace(after, hashes=True)
        case "delete":
            fenced = world.fenced or (world.created and rules.fences_copies)
            after = replace(after, programs=False, copy=False, fenced=fenced)
        case "documents":
            after = replace(after, documents=False)
        case "vacuum":
            after = replace(after, files="removed" if world.files == "there" else world.files)
        case "receipt":
            after = replace(after, receipt=True)
        case "hide":
            after = replace(after, forget=replace(done, seen=False))
    if job.expired and rules.knows_its_clock:
        # What was under way arrives.
        yield replace(world if job.at == "vacuum" else after, forget=replace(after.forget, at="failed"))
        return
    yield after
    yield replace(after, forget=replace(after.forget, expired=True))


def refused(world: World, rules: Protocol) -> bool:
    """Whether a job that has its lease sees a ``forget`` that is under way.

    It also stops where one was not finished, which is not needed here: that keeps it from building on half of its work.
    """
    forget = world.forget
    return rules.others_look and forget.seen and not forget.expired and forget.at not in ("done", "failed")


def generating(world: World, rules: Protocol) -> Iterator[World]:
    """Every next world after a step of the refiner."""
    job = world.refiner

    def go(at: str, **more: bool) -> World:
        return replace(world, refiner=replace(job, at=at, **more))

    match job.at:
        case "take":
            yield go("look", leased=True)
        case "look":
            yield go("failed", leased=False) if refused(world, rules) else go("read")
        case "read":
            yield go("write", read=world.documents)
        case "write":
            yield replace(go("commit"), files="there")
        case "commit" if job.fenced:
            yield replace(go("failed", leased=False), files="none")
        case "commit":
            damaged, programs = world.files == "removed", world.programs or job.read
            yield replace(go("done", leased=False), programs=programs, damaged=damaged, files="none")


def pinning(world: World, rules: Protocol) -> Iterator[World]:
    """Every next world after a step of ``pin --copy``."""
    job = world.pin
    middle = ("create", "check") if rules.creates_before_looking else ("check", "create")
    order = ("take", "look", *middle, "copy", "row", "done")
    if job.at in ("done", "failed"):
        return
    done, failed = (replace(job, at=at) for at in (order[order.index(job.at) + 1], "failed"))
    after, stopped = replace(world, pin=done), replace(world, pin=replace(failed, leased=False))
    match job.at:
        case "take":
            yield replace(after, pin=replace(done, leased=True))
        case "look":
            yield stopped if refused(world, rules) else after
        case "create":
            yield replace(after, created=True)
        case "check":
            yield stopped if world.hashes else after
        case "copy":
            # The version that it copies has the document.
            yield stopped if world.fenced else replace(after, copy=True)
        case "row":
            yield stopped if job.fenced else replace(after, pin=replace(done, leased=False))


def nexts(world: World, rules: Protocol) -> Iterator[World]:
    """Every next world: a step of a job, or a lease that runs out."""
    yield from forgetting(world, rules)
    yield from generating(world, rules)
    yield from pinning(world, rules)
    if world.refiner.leased and not world.refiner.expired:
        yield replace(world, refiner=replace(world.refiner, expired=True))
    if world.pin.leased and not world.pin.expired:
        yield replace(world, pin=replace(world.pin, expired=True))


def broken(world: World) -> str | None:
    """The promise that this world breaks."""
    if world.damaged:
        return "a commit names files that are gone"
    if world.receipt and (world.documents or world.programs or world.copy):
        return "what was forgotten is there"
    return None


def check(rules: Protocol) -> set[World]:
    """Everything that can be reached. Raises ``AssertionError`` with the steps to a broken promise."""
    before: dict[World, World | None] = {World(): None}
    queue = deque(before)
    while queue:
        world = queue.popleft()
        if (why := broken(world)) is not None:
            way: list[World] = [world]
            while (last := before[way[-1]]) is not None:
                way.append(last)
            raise AssertionError(f"{why}:\n" + "\n".join(map(str, reversed(way))))
        for step in nexts(world, rules):
            if step not in before:
                before[step] = world
                queue.append(step)
    return set(before)


def test_nothing_that_was_forgotten_comes_back_in_any_order() -> None:
    reached = check(Protocol())
    ends = {(world.forget.at, world.refiner.at, world.pin.at) for world in reached}
    assert {("done", "done", "done"), ("done", "failed", "failed"), ("failed", "done", "done")} <= ends
    assert len(reached) > 40_000


@pytest.mark.parametrize("part", [one.name for one in fields(Protocol)])
def test_no_part_of_it_can_be_left_out(part: str) -> None:
    with pytest.raises(AssertionError, match=r"names files that are gone|what was forgotten is there"):
        check(replace(Protocol(), **{part: False}))
