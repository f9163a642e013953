"""Points at which a test stops this process: before and after each step that another process can see.

A point does nothing unless the environment variable ``PROX_SPARK_FAILPOINT`` names it. Its value is a list of
``NAME=ACTION``, separated by semicolons; ``NAME#2`` is the second time that this process reaches the point, ``*`` every point:

* ``kill`` ends the process at once, with exit status ``KILLED``: nothing is tidied up.
* ``barrier:FOLDER`` makes the file ``NAME#N.here`` in the folder and waits for ``NAME#N.go``, N being which time it is.
* ``record:FILE`` appends ``NAME#N`` to the file.
"""

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from prox_spark.errors import ConfigError, ProxSparkError
from prox_spark.schemas import RESULT_TABLES, TABLES, VERSIONED

VARIABLE = "PROX_SPARK_FAILPOINT"

KILLED = 86
"""Exit status of a process that a failpoint ended; no verb has it."""

_PINNED = tuple(f"pinned_{table}" for table in VERSIONED)
_ROWS = ("annotations", "programs", "signatures", *RESULT_TABLES, "quarantine")

STEPS = {
    "create": ("schema", *TABLES, *_PINNED),
    "write": (*TABLES, *_PINNED, "compared"),
    "merge": ("documents", *_ROWS, *_PINNED),
    "restore": RESULT_TABLES,
    "optimize": tuple(table for table in TABLES if table != "migrations"),
    "vacuum": ("documents", *_ROWS, *_PINNED),
    "view": VERSIONED,
    "properties": ("leases", "refinements"),
    "columns": ("files", "metrics"),
    "file": ("put", "move", "delete", "replace"),
    "folder": ("rename", "remove"),
}
"""What changes, and which tables (or files and folders) it changes. DELETE is a ``merge``, a lease's heartbeat and its end are
``properties``."""

WHEN = ("before", "after")

NAMES = tuple(f"{step} {what} {when}" for step, things in STEPS.items() for what in things for when in WHEN)
"""Every failpoint of the package."""

_WAIT_SECONDS = 300.0
"""Until a barrier gives up."""

_COPY = re.compile(r"pinned_[0-9a-f]{12}_")


@dataclass(frozen=True)
class _Order:
    """What to do at a point: on its ``hit``-th time, or each time where that is 0."""

    name: str
    hit: int
    action: str
    path: str


_hits: Counter[str] = Counter()
_lock = threading.Lock()


@contextmanager
def around(step: str, what: str) -> Iterator[None]:
    """The failpoints before and after a step; where it raises, the second is not reached."""
    if VARIABLE not in os.environ:
        yield
        return
    name = f"{step} {_COPY.sub('pinned_', what)}"
    failpoint(f"{name} before")
    yield
    failpoint(f"{name} after")


def failpoint(name: str) -> None:
    """Do what the environment variable says of the point ``name``.

    Raises ``ConfigError`` where it names a point or an action that does not exist, or where this point is not in ``NAMES``, and
    ``ProxSparkError`` where nobody opens a barrier.
    """
    given = os.environ.get(VARIABLE)
    if given is None:
        return
    orders = _parse(given)
    if name not in NAMES:
        raise ConfigError(f"failpoint {name!r} is not in the list of prox_spark/failpoints.py; add it there")
    with _lock:
        _hits[name] += 1
        hit = _hits[name]
    for order in orders:
        if order.name in (name, "*") and order.hit in (hit, 0):
            _obey(order, f"{name}#{hit}")


@lru_cache(maxsize=8)
def _parse(given: str) -> tuple[_Order, ...]:
    return tuple(_order(entry.strip()) for entry in given.split(";") if entry.strip())


def _order(entry: str) -> _Order:
    point, _, rest = entry.partition("=")
    name, _, hit = point.partition("#")
    action, _, path = rest.partition(":")
    if name != "*" and name not in NAMES:
        raise ConfigError(f"{VARIABLE}: unknown failpoint {name!r}; prox_spark/failpoints.py lists them")
    if action not in ("kill", "barrier", "record") or (action == "kill") == bool(path) or (hit and not hit.isdigit()):
        raise ConfigError(f"{VARIABLE}: expected NAME=kill, NAME=barrier:FOLDER or NAME=record:FILE, not {entry!r}")
    return _Order(name, int(hit or 0), action, path)


def _obey(order: _Order, here: str) -> None:
    if order.action == "kill":
        os._exit(KILLED)
    if order.action == "record":
        with Path(order.path).open("a") as file:
            file.write(f"{here}\n")
        return
    Path(order.path, f"{here}.here").touch()
    deadline = time.monotonic() + _WAIT_SECONDS
    while not Path(order.path, f"{here}.go").exists():
        if time.monotonic() > deadline:
            raise ProxSparkError(f"failpoint {here}: nobody opened the barrier within {_WAIT_SECONDS:.0f} s")
        time.sleep(0.005)
