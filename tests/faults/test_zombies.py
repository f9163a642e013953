"""A driver is stopped during a write until its lease has expired, and then continued: it writes nothing that counts.

Slow: a driver of its own, with a JVM, and a wait for each lease.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import started, wait_for
from rows_by_hand import ids, row

from prox_spark.errors import LeaseError
from prox_spark.tables.commits import commit, fence
from prox_spark.tables.leases import Lease, hold
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.refinements import settle
from prox_spark.tables.store import Store, create_store

pytestmark = pytest.mark.slow

TABLE = "dropped_documents"
VERBS = ("append", "merge", "restore")

DRIVER = """
import sys, time
from datetime import timedelta
from pathlib import Path
from prox_spark.errors import LeaseError
from prox_spark.session import get_session
from prox_spark.tables import commits, leases
from prox_spark.tables.purpose import Purpose
from prox_spark.tables.store import open_store, spark_schema

location, folder, table, *verbs = sys.argv[1:]
leases.EXPIRY, leases.HEARTBEAT = timedelta(seconds=20), timedelta(seconds=2)
spark = get_session({"spark.master": "local[2]", "spark.sql.shuffle.partitions": "2", "spark.driver.memory": "1g"})
store, schema = open_store(spark, location), spark_schema(table)

def rows(verb, slowly):
    values = {"doc_id": verb, "unit": 0}
    made = spark.createDataFrame([tuple(values.get(name) for name in schema.names)], schema)

    def wait(batches):
        for batch in batches:
            Path(folder, verb + ".begun").touch()
            while not Path(folder, verb + ".go").exists():
                time.sleep(0.05)
            yield batch

    return made.mapInArrow(wait, schema) if slowly else made

def write(verb, lease):
    if verb == "append":
        commits.commit(store, lease, table, rows("late append", True), Purpose(verb))
    elif verb == "merge":
        commits.merge(store, lease, table, rows("late merge", True), ["doc_id"], Purpose(verb))
    else:
        next(rows_of_driver("late restore"))
        spark.sql(f"RESTORE TABLE {store.table(table)} TO VERSION AS OF {base}")
        commits.commit(store, lease, table, rows("late restore", False), Purpose(verb))

def rows_of_driver(verb):
    Path(folder, verb + ".begun").touch()
    while not Path(folder, verb + ".go").exists():
        time.sleep(0.05)
    yield

for verb in verbs:
    try:
        with leases.hold(store, verb) as lease:
            commits.fence(store, lease, [table])
            base = commits.commit(store, lease, table, rows("early " + verb, False), Purpose(verb)).version
            write(verb, lease)
            print("WROTE", verb, flush=True)
    except LeaseError as error:
        print("STOPPED", verb, error, flush=True)
"""


def take_over(store: Store, key: str, stack: ExitStack) -> Lease:
    """The lease as soon as it has run out."""
    taken: list[Lease] = []

    def free() -> bool:
        try:
            taken.append(stack.enter_context(hold(store, key)))
        except LeaseError:
            return False
        return True

    wait_for(free, "the lease runs out")
    return taken[0]


def test_a_driver_that_was_stopped_past_its_lease_writes_nothing_that_counts_and_says_so(
    spark: Any, tmp_path: Path
) -> None:
    store = create_store(spark, str(tmp_path / "store"))
    log, versions = tmp_path / "log", {}
    words = [sys.executable, "-c", DRIVER, store.location, str(tmp_path), TABLE, *VERBS]
    with started(words, log) as driver:
        for verb in VERBS:
            begun = tmp_path / f"late {verb}.begun"

            def under_way(begun: Path = begun) -> bool:
                assert driver.status() != psutil.STATUS_ZOMBIE, log.read_text()
                return begun.exists()

            wait_for(under_way, f"the {verb} is under way", 240)
            family = [driver, *driver.children(recursive=True)]
            for process in family:
                process.suspend()
            with ExitStack() as stack:
                lease = take_over(store, verb, stack)
                assert lease.contested
                fence(store, lease, [TABLE])
                done = commit(store, lease, TABLE, row(store, TABLE, f"second {verb}"), Purpose("second"))
                versions[verb] = done.version
            (tmp_path / f"late {verb}.go").touch()
            for process in family:
                process.resume()

            def told(verb: str = verb) -> bool:
                return f"STOPPED {verb}" in log.read_text() or f"WROTE {verb}" in log.read_text()

            wait_for(told, f"the {verb} ends", 240)
        assert driver.wait(120) == 0, log.read_text()

    said = [line for line in log.read_text().splitlines() if line.startswith(("STOPPED", "WROTE"))]
    assert [line.split()[:2] for line in said] == [["STOPPED", verb] for verb in VERBS]
    assert all("lost lease" in line or "expired" in line for line in said), said
    for verb, version in versions.items():
        assert {f"early {verb}", f"second {verb}"} <= ids(store, TABLE, version)
    # The head may be what the RESTORE made; the version that counts is made the head by whoever writes next.
    with hold(store, "restore") as lease:
        settle(store, lease, TABLE, versions["restore"])
    assert {f"{who} {verb}" for who in ("early", "second") for verb in VERBS} == ids(store, TABLE)
