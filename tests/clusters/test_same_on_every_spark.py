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

PAIRS = [(first, then) for first in dict.fromkeys((MAIN, OLDEST)) for then in SPARKS]
"""Versions of Spark that begin a store and continue it: from the main and the oldest one to each."""

Rows = dict[str, list[str]]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str | None], Rows]:
    """All compared rows of each store, by the versions that began and continued it; None where nobody continued it."""
    folder, here = tmp_path_factory.mktemp("sparks"), lanes()
    if len(here) == 1:
        pytest.skip(missing("3.5, 4.0 or 4.2"))
    (folder / "corpus").mkdir()
    corpus = write_corpus(folder / "corpus")
    half = corpus.replace("*", f"[0-{FILES // 2 - 1}]")
    stores: dict[tuple[str, str | None], Path] = {}
    for spark, python in here.items():
        stores[spark, None] = folder / f"{spark}-begun"
        (answer,) = steps(python, folder, {"run": ["refine", *keys(stores[spark, None], half)]})
        assert answer["code"] == 0, (spark, answer["err"])
    for spark, python in here.items():
        words = []
        for first in (first for first, then in PAIRS if then == spark and first in here):
            stores[first, spark] = folder / f"{first}-{spark}"
            shutil.copytree(stores[first, None], stores[first, spark])
            words.append({"run": ["refine", *keys(stores[first, spark], corpus)]})
        for answer in steps(python, folder, *words):
            assert answer["code"] == 0, (spark, answer["err"])
    reader = here.get(READER, here[MAIN])
    return dict(zip(stores, steps(reader, folder, *({"read": str(store)} for store in stores.values())), strict=True))


def compared(rows: dict[tuple[str, str | None], Rows], store: tuple[str, str | None]) -> None:
    """The store's rows are those of the main version's, which nobody else wrote to."""
    for spark in filter(None, store):
        if (spark, None) not in rows:
            pytest.skip(missing(spark))
    expected = rows[MAIN, MAIN if store[1] else None]
    assert {name for name, found in rows[store].items() if found != expected[name]} == set()
    assert all(expected[table] for table in TABLES)


@pytest.mark.parametrize("spark", [spark for spark in SPARKS if spark != MAIN])
def test_every_version_of_spark_writes_the_same_rows(rows: dict[tuple[str, str | None], Rows], spark: str) -> None:
    compared(rows, (spark, None))


@pytest.mark.parametrize(("first", "then"), [pair for pair in PAIRS if pair != (MAIN, MAIN)])
def test_a_store_begun_by_one_version_is_continued_by_another(
    rows: dict[tuple[str, str | None], Rows], first: str, then: str
) -> None:
    compared(rows, (first, then))
    assert len(rows[first, then]["refinements"]) == 2
    assert len(rows[first, then]["documents"]) > len(rows[first, None]["documents"])
