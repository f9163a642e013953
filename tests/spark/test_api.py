"""The public API: the examples of its docstrings run, one after the other, over one small store. Slow: they are every verb."""

import doctest
import json
from pathlib import Path
from typing import Any

import pytest

import prox_spark
from prox_spark.session import started

ARTICLES = Path(prox_spark.__file__).parent / "demo" / "corpus" / "articles" / "history.txt"

ORDER = ("load_config", "ingest", "generate", "refine", "execute", "history", "compare", "export", "report")
"""Each builds on what those before it left in the folder."""


@pytest.mark.slow
def test_the_examples_of_the_docstrings_run_in_their_order(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sorted(ORDER) == prox_spark.__all__
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pages.json").write_text(pages(), encoding="utf-8")
    for name in ORDER:
        given = {"spark": spark, "prox_spark": prox_spark, "load_config": prox_spark.load_config}
        (example,) = doctest.DocTestFinder(recurse=False).find(getattr(prox_spark, name), name, globs=given)
        assert example.examples, name
        found = doctest.DocTestRunner().run(example)
        assert found.failed == 0, name


def pages() -> str:
    """Two articles between two lines that the rules remove, and a page that they drop."""
    articles = ARTICLES.read_text(encoding="utf-8").split("\n=== ")[:2]
    bodies = ("\n".join(line for line in article.split("\n") if len(line) > 100) for article in articles)
    texts = [*(f"Home | Articles | Contact\n{body}\nPrivacy policy" for body in bodies), "Spam"]
    return "".join(json.dumps({"id": f"p{n}", "text": text}) + "\n" for n, text in enumerate(texts))


def test_wrong_input_fails_before_the_session_is_asked_for() -> None:
    def start() -> Any:
        raise AssertionError("nothing may start")

    config = prox_spark.load_config("rules", ["store=s", "input.path=nowhere.json"])
    with pytest.raises(prox_spark.errors.InputError):
        prox_spark.refine(start, config)
    with pytest.raises(prox_spark.errors.InputError):
        prox_spark.ingest(start, config)
    with pytest.raises(prox_spark.errors.UsageError, match="unknown format 'cvs'"):
        prox_spark.export(start, "s", "rules", "folder", "cvs")


def test_a_session_is_taken_as_it_is_or_from_a_function(spark: Any) -> None:
    assert started(spark) is spark
    assert started(lambda: spark) is spark
