"""What was forgotten does not come back: by a job that begins meanwhile, one that wakes up later, or one that died before.

Slow: `forget` takes every lease and writes to every table, and VACUUM lists all files.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from claims import PAGE, check_conservation, check_once, run

from prox_spark.config import Config, load_config
from prox_spark.errors import LeaseError, StoreError
from prox_spark.ingestion.ingest import ingest
from prox_spark.pipeline import generate
from prox_spark.refinement import execute as executing
from prox_spark.refinement.execute import execute
from prox_spark.tables import leases
from prox_spark.tables.leases import hold
from prox_spark.tables.store import Store, open_store
from prox_spark.versions import forget as forgetting
from prox_spark.versions import pin as pinning
from prox_spark.versions import rollback as rolling
from prox_spark.versions.forget import forget
from prox_spark.versions.pin import pin, pinned_tables
from prox_spark.versions.rollback import rollback
from prox_spark.versions.sql import query

pytestmark = pytest.mark.slow

ACQUIRE = leases._acquire


@dataclass(frozen=True)
class Made:
    """A store with refinement ``first:0`` of four documents; ``poison`` is in quarantine, ``gone`` is what is forgotten."""

    folder: Path

    @property
    def store(self) -> str:
        return str(self.folder / "store")

    def config(self, refinement: str = "first", **chunk: str) -> Config:
        answer = chunk.get("default", "remove_lines(start=0, end=0)")
        return load_config(
            None,
            [
                f"store={self.store}",
                f"refinement={refinement}",
                f"input.path={self.folder / 'pages'}",
                "input.format=json",
                "chunk.engine.kind=scripted",
                f"chunk.engine.default={answer}",
                "chunk.engine.error_on=Poison",
                "execution.on_failed_chunk=quarantine",
            ],
        )

    def write(self, file: str, **pages: str) -> None:
        (self.folder / "pages").mkdir(exist_ok=True)
        rows = [{"id": name, "text": f"Head\n{text}\n{PAGE}"} for name, text in pages.items()]
        (self.folder / "pages" / file).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def base(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = Made(tmp_path_factory.mktemp("forgetting"))
    made.write("1.json", kept="Kept.", gone="Gone.", other="Other.", poison="Poison")
    run(spark, made.config())
    return made


@pytest.fixture
def made(base: Made, tmp_path: Path) -> Made:
    shutil.copytree(base.folder, tmp_path, dirs_exist_ok=True)
    return Made(tmp_path)


@pytest.fixture
def store(spark: Any, made: Made) -> Store:
    return open_store(spark, made.store)


@contextmanager
def before(module: Any, name: str, meanwhile: Callable[[], object], table: str | None = None) -> Iterator[None]:
    """A block in which ``meanwhile`` runs just before the first call of a function, of all or of those for a table."""
    function, waiting = getattr(module, name), [meanwhile]

    def first(*arguments: Any, **named: Any) -> Any:
        if waiting and (table is None or table in arguments):
            waiting.pop()()
        return function(*arguments, **named)

    with patch.object(module, name, first):
        yield


@contextmanager
def standing_still() -> Iterator[None]:
    """A block whose first job takes a lease that has run out when others look: as if it stood still for that long."""
    taken: list[str] = []

    def acquire(store: Store, key: str) -> leases.Lease:
        expiry = leases.EXPIRY if taken else timedelta(milliseconds=1)
        taken.append(key)
        with patch.object(leases, "EXPIRY", expiry):
            return ACQUIRE(store, key)

    with patch.object(leases, "_acquire", acquire):
        yield


@contextmanager
def dying(module: Any, name: str) -> Iterator[None]:
    """A block in which one function dies when it is called."""
    with patch.object(module, name, side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        yield


def refused(error: type[Exception], match: str, *jobs: Callable[[], object]) -> None:
    for job in jobs:
        with pytest.raises(error, match=match):
            job()


def nowhere(store: Store, doc_id: str) -> None:
    """The document is in no table's head, pinned copies and their beginnings among them."""
    for table in ("documents", *forgetting._OWN, *pinned_tables(store)):
        assert store.read(table).where(f"doc_id = '{doc_id}'").isEmpty(), table


def test_a_refiner_never_seen_before_waits_for_a_forget_that_removes_files(
    spark: Any, made: Made, store: Store
) -> None:
    new = made.config("second", default="keep_chunk()")

    def begin() -> None:
        refused(LeaseError, "documents are being forgotten", lambda: generate(spark, new))

    with before(forgetting, "vacuum", begin):
        done = forget(spark, made.store, ["gone"], history=True)

    assert done.documents == 1
    nowhere(store, "gone")
    assert len(generate(spark, new)) == 1
    assert execute(spark, new).counts["documents"] == 3
    check_once(spark, new)
    check_conservation(spark, new)


def test_a_forget_waits_for_a_refiner_that_began_before(spark: Any, made: Made, store: Store) -> None:
    key = "generate/never-seen/chunk"
    with hold(store, key):
        refused(LeaseError, f"another job holds the lease {key}", lambda: forget(spark, made.store, ["gone"]))
        assert store.read("forgotten").isEmpty()
    assert forget(spark, made.store, ["gone"]).documents == 1


def test_after_a_forget_that_died_everybody_waits_for_its_end(spark: Any, made: Made, store: Store) -> None:
    made.write("2.json", late="Late.")
    with dying(forgetting, "_renew"):
        forget(spark, made.store, ["gone"])

    refused(
        StoreError,
        "a `forget` ended before it was done",
        lambda: ingest(spark, made.config()),
        lambda: generate(spark, made.config("second", default="keep_chunk()")),
        lambda: execute(spark, made.config("other")),
        lambda: pin(spark, made.store, "first:0", copy=True),
    )
    assert forget(spark, made.store, ["gone"]).receipt is not None

    nowhere(store, "gone")
    done = run(spark, made.config())[2]
    assert (done.version, done.counts["documents"]) == (2, 4)
    check_conservation(spark, made.config())


@pytest.mark.parametrize(
    ("moment", "table"),
    [("create_table", None), ("check_unforgotten", None), ("_copy", None), ("commit", "pins")],
    ids=["before its tables", "before its look", "before its rows", "before its pin"],
)
def test_a_copy_that_stood_still_while_its_document_was_forgotten_brings_nothing_back(
    spark: Any, made: Made, store: Store, moment: str, table: str | None
) -> None:
    def meanwhile() -> None:
        assert forget(spark, made.store, ["gone"], history=moment == "_copy").documents == 1

    with standing_still(), before(pinning, moment, meanwhile, table), pytest.raises((LeaseError, StoreError)):
        pin(spark, made.store, "first:0", copy=True)

    assert store.read("pins").isEmpty()
    nowhere(store, "gone")


def test_a_rollback_that_stood_still_names_no_version_with_what_was_forgotten(
    spark: Any, made: Made, store: Store
) -> None:
    execute(spark, made.config("second"))

    def meanwhile() -> None:
        assert forget(spark, made.store, ["gone"]).documents == 1

    with standing_still(), before(rolling, "settle", meanwhile), pytest.raises(LeaseError, match="lost lease execute"):
        rollback(spark, made.store, "first:0")

    nowhere(store, "gone")
    done = execute(spark, made.config("second"))
    assert query(spark, made.store, "SELECT * FROM refined WHERE doc_id = 'gone'").isEmpty()
    assert done.counts["documents"] == 3


def test_what_a_run_that_died_left_in_quarantine_is_in_no_version_that_forget_makes(
    spark: Any, made: Made, store: Store
) -> None:
    made.write("2.json", worse="Poison too")
    with dying(executing, "append_refinement"):
        run(spark, made.config())
    # The copy's files have another path, so that ingest read their records again.
    assert store.read("quarantine").where("refinement = 'first'").count() == 2

    forget(spark, made.store, ["gone"])

    check_conservation_of_newest(spark, made, 3, 1)
    done = execute(spark, made.config())
    assert (done.counts["documents"], done.counts["quarantined"]) == (4, 2)
    check_conservation(spark, made.config())


def check_conservation_of_newest(spark: Any, made: Made, documents: int, quarantined: int) -> None:
    own = f"refinement = '{made.config().refinement}'"
    counts = query(spark, made.store, "SELECT counts.* FROM refinements WHERE verb = 'forget'").first()
    assert (counts["documents"], counts["quarantined"]) == (documents, quarantined)
    found = query(spark, made.store, f"SELECT * FROM `quarantine@first` WHERE {own}").count()
    assert found == quarantined
