"""One corpus refined by each supported version of Spark, and stores that one version began and another continued.

The rows are the same, read by one version. Slow: a JVM for each version, twice. ``bash scripts/lane.sh 3.5`` makes the
environment of a version; those that are absent are skipped.
"""

import shutil
from pathlib import Path

import pytest
from lanes import lanes, missing, steps
from same_rows import FILES, TABLES, keys, write_corpus

from prox_spark.spark_api import spark_version
from prox_spark.supported import SPARKS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

OLDEST, MAIN, READER = next(iter(SPARKS)), spark_version(), "4.0"

PAIRS = [*((MAIN, spark) for spark in SPARKS), (OLDEST, MAIN)]
"""Versions of Spark that begin a store and continue it: from the main one to each, and back from the oldest."""

Store = tuple[str, str | None]
"""The versions that began and continued a store; None where nobody continued it."""

Rows = dict[Store, dict[str, list[str]]]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """All compared rows of each store, read by one version of Spark."""
    folder, here = tmp_path_factory.mktemp("sparks"), lanes()
    if len(here) == 1:
        pytest.skip(missing("3.5, 4.0 or 4.2"))
    (folder / "corpus").mkdir()
    corpus = write_corpus(folder / "corpus")
    half = corpus.replace("*", f"[0-{FILES // 2 - 1}]")
    stores: dict[Store, Path] = {}

    def work(spark: str, *, begin: bool, continued: list[str]) -> None:
        """Let one process of this version begin a store, and continue copies of those that others began."""
        words = {}
        if begin:
            words[spark, None] = half
        for first in continued:
            shutil.copytree(stores[first, None], folder / f"{first}-{spark}")
            words[first, spark] = corpus
        stores.update((store, folder / "-".join(filter(None, store))) for store in words)
        runs = [{"run": ["refine", *keys(stores[store], pages)]} for store, pages in words.items()]
        for answer in steps(here[spark], folder, *runs):
            assert answer["code"] == 0, (spark, answer["err"])

    work(MAIN, begin=True, continued=[])
    for spark in [spark for spark in here if spark != MAIN]:
        work(spark, begin=True, continued=[MAIN])
    work(MAIN, begin=False, continued=[first for first, then in PAIRS if then == MAIN and first in here])
    reader = here.get(READER, here[MAIN])
    return dict(zip(stores, steps(reader, folder, *({"read": str(store)} for store in stores.values())), strict=True))


def compare(rows: Rows, store: Store) -> None:
    """The store's rows are those of the main version's, which nobody else wrote to."""
    for spark in filter(None, store):
        if (spark, None) not in rows:
            pytest.skip(missing(spark))
    expected = rows[MAIN, MAIN if store[1] else None]
    assert {name for name, found in rows[store].items() if found != expected[name]} == set()
    assert all(expected[table] for table in TABLES)


@pytest.mark.parametrize("spark", [spark for spark in SPARKS if spark != MAIN])
def test_every_version_of_spark_writes_the_same_rows(rows: Rows, spark: str) -> None:
    compare(rows, (spark, None))


@pytest.mark.parametrize(("first", "then"), [pair for pair in PAIRS if pair != (MAIN, MAIN)])
def test_a_store_begun_by_one_version_is_continued_by_another(rows: Rows, first: str, then: str) -> None:
    compare(rows, (first, then))
    assert len(rows[first, then]["refinements"]) == 2
    assert len(rows[first, then]["documents"]) > len(rows[first, None]["documents"])
