"""``annotate`` over a store: what is asked, what an interruption costs, what stands in the table and in the files.

Slow: interruptions, retries and forgetting are runs of their own over the same steps.
"""

import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
from annotator import FOOTER, LINK, MENU, PROSE, annotator, says, sensible
from claims import rows, versions
from endpoint import Endpoint, status
from pyspark.errors import PySparkException

from prox_spark.annotation.annotate import annotate
from prox_spark.annotation.sample import sample
from prox_spark.cli import main
from prox_spark.config import Config, load_config
from prox_spark.corpora.labels import read_pages
from prox_spark.errors import ConfigError, LeaseError
from prox_spark.ingestion.ingest import ingest
from prox_spark.tables import commits
from prox_spark.tables.leases import hold
from prox_spark.tables.store import open_store
from prox_spark.versions.forget import forget

PAGES = 12
TASKS = ("footer", "links", "navigation", "scores")


def text(number: int) -> str:
    lines = [MENU, f"Page {number}", *([PROSE] if number % 3 else []), LINK, "The end of it.", FOOTER]
    return "\n".join(lines)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with annotator() as server:
        yield server


@pytest.fixture(scope="module")
def ingested(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a dozen pages of as many sites, in several units. Tests work on copies."""
    folder = tmp_path_factory.mktemp("ingested")
    pages = [{"id": f"p{n}", "url": f"http://site-{n}.example/page", "text": text(n)} for n in range(PAGES)]
    (folder / "pages.json").write_text("".join(json.dumps(page) + "\n" for page in pages))
    keys = [f"input.path={folder / 'pages.json'}", "input.format=json", "ingest.unit_bytes=500"]
    config = load_config(None, [f"store={folder / 'store'}", *keys])
    ingest(spark, config)
    return folder / "store"


@pytest.fixture
def make(ingested: Path, endpoint: Endpoint, tmp_path: Path) -> Callable[..., Config]:
    """A configuration with a copy of that store, and overrides."""
    shutil.copytree(ingested, tmp_path / "store")
    own = [
        f"store={tmp_path / 'store'}",
        "annotate.endpoint.model=large",
        f"annotate.endpoint.base_url={endpoint.url}",
        "annotate.endpoint.retries=1",
        "annotate.endpoint.timeout_seconds=5",
        f"annotate.output={tmp_path / 'labels'}",
        "annotate.validation_share=0.25",
    ]
    return lambda *overrides: load_config(None, [*own, *overrides])


def asked(endpoint: Endpoint) -> Counter[tuple[str, str]]:
    """What the endpoint was asked since the last time, by task and page."""
    found = Counter(endpoint.about(payload) for payload in endpoint.seen)
    endpoint.seen.clear()
    return found


def files(config: Config) -> dict[str, bytes]:
    assert config.annotate is not None
    return {path.name: path.read_bytes() for path in Path(config.annotate.output).iterdir()}


def once(spark: Any, config: Config) -> list[Any]:
    """All annotations, whose keys are there once each."""
    found = rows(spark, config, "annotations")
    keys = Counter((r["doc_id"], r["task"], r["chunk"], r["prompt_version"], r["model"]) for r in found)
    assert set(keys.values()) <= {1}
    return found


def test_a_store_is_annotated_once_and_becomes_training_files(
    spark: Any, make: Callable[..., Config], endpoint: Endpoint, tmp_path: Path
) -> None:
    config = make()

    done = annotate(spark, config)

    assert asked(endpoint) == {(task, f"Page {n}"): 1 for task in TASKS for n in range(PAGES)}
    assert (done.documents, done.answers, done.retries) == (PAGES, 4 * PAGES, 0)
    assert [(one.task, one.ok, one.refused + one.malformed + one.failed) for one in done.tasks] == [
        (task, PAGES, 0) for task in ("scores", "navigation", "links", "footer")
    ]
    assert done.tasks[0].prompt_tokens == 700 * PAGES
    found = once(spark, config)
    assert {row["status"] for row in found} == {"ok"}
    assert {row["model"] for row in found} == {"large"}
    documents = {row["doc_id"]: row for row in rows(spark, config, "documents")}
    assert all(row["content_hash"] == documents[row["doc_id"]]["content_hash"] for row in found)

    folder = tmp_path / "labels"
    labelled = [
        r for part in ("train", "validation") for r in pq.read_table(folder / f"documents-{part}.parquet").to_pylist()
    ]
    assert {r["doc_id"]: r["gold_keep_doc"] for r in labelled} == {f"p{n}": int(n % 3 > 0) for n in range(PAGES)}
    pages = [r for part in ("train", "validation") for r in pq.read_table(folder / f"pages-{part}.parquet").to_pylist()]
    assert {r["doc_id"]: r["raw_content"] for r in pages} == {f"p{n}": text(n) for n in range(PAGES)}
    for page in pages:
        gone = [line for line, keep in zip(page["raw_content"].split("\n"), page["gold_keep"], strict=True) if not keep]
        assert gone == [MENU, LINK, FOOTER]
    train, validation = (read_pages([str(folder / f"pages-{part}.parquet")]) for part in ("train", "validation"))
    assert len(train) + len(validation) == PAGES
    assert min(len(train), len(validation)) > 0
    assert done.training.rows["pages-train.parquet"] == len(train)

    # Again: nothing is asked, no table gets a version, the files are the same byte for byte.
    before, standing = files(config), versions(Path(config.store))
    again = annotate(spark, config)
    assert (again.answers, again.tasks, again.training) == (0, done.tasks, done.training)
    assert (files(config), versions(Path(config.store))) == (before, standing)
    assert asked(endpoint) == {}


@pytest.mark.slow
def test_the_command_tells_the_same_and_another_prompt_or_model_is_another_question(
    spark: Any, make: Callable[..., Config], endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make()
    capsys.readouterr()
    assert main(["annotate", *words(config), "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["annotate"]
    assert (told["documents"], told["answers"], told["tasks"][0]["ok"]) == (PAGES, 4 * PAGES, PAGES)
    asked(endpoint)

    other = annotate(spark, make("annotate.document_characters=100"))
    assert {task for task, _ in asked(endpoint)} == {"scores"}
    assert other.answers == PAGES
    annotate(spark, make("annotate.endpoint.model=larger", "annotate.tasks=[scores]"))
    assert len(asked(endpoint)) == PAGES
    once(spark, config)


def words(config: Config) -> list[str]:
    assert config.annotate is not None
    address = config.annotate.endpoint
    return [
        f"store={config.store}",
        f"annotate.endpoint.model={address.model}",
        f"annotate.endpoint.base_url={address.base_url}",
        f"annotate.output={config.annotate.output}",
        f"annotate.validation_share={config.annotate.validation_share}",
    ]


def test_without_its_section_the_verb_says_what_it_needs(spark: Any, make: Callable[..., Config]) -> None:
    with pytest.raises(ConfigError, match="set endpoint and output"):
        annotate(spark, make().model_copy(update={"annotate": None}))


def test_a_sample_is_the_same_again_and_a_larger_one_holds_it(spark: Any, make: Callable[..., Config]) -> None:
    documents = open_store(spark, make().store).read("documents")

    def drawn(*overrides: str) -> set[str]:
        settings = make(*overrides).annotate
        assert settings is not None
        return {row["doc_id"] for row in sample(documents.repartition(3), settings).collect()}

    five = drawn("annotate.documents=5")
    assert len(five) == 5
    assert five == drawn("annotate.documents=5")
    assert five < drawn("annotate.documents=8")
    assert five != drawn("annotate.documents=5", "annotate.seed=1")
    half = drawn("annotate.share=0.5")
    assert 0 < len(half) < PAGES
    assert half <= drawn("annotate.share=0.8") <= drawn("annotate.share=1.0") == {f"p{n}" for n in range(PAGES)}
    # Both are the lowest places.
    assert half == drawn(f"annotate.documents={len(half)}")


@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_what_is_missing(
    spark: Any, make: Callable[..., Config], endpoint: Endpoint
) -> None:
    config = make("annotate.batch_documents=4")
    written: list[str] = []

    def dies_later(*given: Any, **more: Any) -> Any:
        written.append(given[2])
        if written.count("annotations") == 3:
            raise KeyboardInterrupt
        return commits.commit(*given, **more)

    with patch("prox_spark.annotation.annotate.commit", dies_later), pytest.raises(KeyboardInterrupt):
        annotate(spark, config)
    first = asked(endpoint)
    assert sum(first.values()) == 4 * PAGES
    kept = {row["doc_id"] for row in once(spark, config)}
    assert len(kept) == 8
    # Then the endpoint itself goes down in the midst of it.
    endpoint.usual = status(401, "no more")
    with pytest.raises(PySparkException, match="requires an API key"):
        annotate(spark, config)
    endpoint.seen.clear()
    endpoint.usual = sensible

    done = annotate(spark, config)

    missing = {f"Page {n}" for n in range(PAGES) if f"p{n}" not in kept}
    assert asked(endpoint) == {(task, page): 1 for task in TASKS for page in missing}
    assert done.answers == 4 * len(missing)
    assert len(once(spark, config)) == 4 * PAGES


@pytest.mark.slow
def test_what_failed_is_counted_and_asked_again_on_demand(
    spark: Any, make: Callable[..., Config], endpoint: Endpoint
) -> None:
    config = make()
    endpoint.behaviours = {
        ("scores", "Page 1"): itertools.repeat(says(None, refusal="I would rather not.")),
        ("scores", "Page 2"): itertools.repeat(says("Lovely!")),
        ("links", "Page 4"): itertools.repeat(says('{"program": "remove_lines(line_start=0, line_end=99)"}')),
        ("footer", "Page 5"): itertools.repeat(status(500, "out of memory")),
        ("scores", "Page 7"): iter([status(429, "slow down")]),
    }

    done = annotate(spark, config)

    counts = {one.task: one for one in done.tasks}
    first = counts["scores"]
    assert (first.ok, first.refused, first.malformed, first.failed) == (PAGES - 2, 1, 1, 0)
    assert (counts["links"].malformed, counts["footer"].failed) == (1, 1)
    assert done.retries == 2
    assert done.training.left_out == {"incomplete": 2, "unscored": 2}
    refused = [row for row in once(spark, config) if row["status"] == "refused"]
    assert [(row["doc_id"], row["answer"]) for row in refused] == [("p1", "I would rather not.")]
    before = versions(Path(config.store))
    assert annotate(spark, config).answers == 0
    assert versions(Path(config.store)) == before
    asked(endpoint)

    endpoint.behaviours = {("footer", "Page 5"): itertools.repeat(status(500, "still"))}
    again = annotate(spark, config, retry_failed=True)

    # The footer that fails again twice over, as often as it may be sent.
    assert asked(endpoint) == {("scores", "Page 2"): 1, ("links", "Page 4"): 1, ("footer", "Page 5"): 2}
    counts = {one.task: one for one in again.tasks}
    assert (counts["scores"].ok, counts["scores"].refused) == (PAGES - 1, 1)
    assert (counts["links"].malformed, counts["footer"].failed) == (0, 1)
    (failed,) = [row for row in once(spark, config) if row["status"] == "failed"]
    assert "out of memory" in failed["error"]

    endpoint.behaviours = {}
    last = annotate(spark, config, retry_failed=True)
    assert last.training.left_out == {"unscored": 1}
    assert len(once(spark, config)) == 4 * PAGES


@pytest.mark.slow
def test_one_job_annotates_at_a_time(spark: Any, make: Callable[..., Config], endpoint: Endpoint) -> None:
    config = make("annotate.documents=2")
    with hold(open_store(spark, config.store), "annotate"), pytest.raises(LeaseError, match="lease annotate"):
        annotate(spark, config)
    assert asked(endpoint) == {}


@pytest.mark.slow
def test_forgotten_documents_leave_annotations_and_files(
    spark: Any, make: Callable[..., Config], endpoint: Endpoint
) -> None:
    config = make()
    annotate(spark, config)
    asked(endpoint)

    done = forget(spark, config.store, ["p3", "p4"])

    assert done.rows["annotations"] == 8
    assert {row["doc_id"] for row in once(spark, config)} == {f"p{n}" for n in range(PAGES)} - {"p3", "p4"}
    again = annotate(spark, config)
    assert asked(endpoint) == {}
    assert again.documents == PAGES - 2
    assert sum(n for name, n in again.training.rows.items() if name.startswith("pages")) == PAGES - 2
