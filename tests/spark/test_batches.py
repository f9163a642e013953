"""``execute`` in batches of units: the same result as in one, conserved by keys, and going on where a run died."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, PROSE, check_conservation, check_once, check_rederivation, rows, verbs
from pyspark.sql import functions as F

from prox_spark.config import Config, load_config
from prox_spark.errors import FuseError, IncompleteError
from prox_spark.ingestion.ingest import ingest
from prox_spark.pipeline import generate
from prox_spark.refinement import execute as verb
from prox_spark.refinement import work, writing
from prox_spark.refinement.dry_run import dry_run
from prox_spark.refinement.execute import execute
from prox_spark.tables.store import open_store, spark_schema

UNITS = 4
ALL = ("refined", "dropped_lines", "dropped_documents")


def pages(folder: Path) -> None:
    """A file for each unit, with pages that are refined and ones that are dropped."""
    folder.mkdir(parents=True, exist_ok=True)
    for unit in range(UNITS):
        lines = [f'{{"text": "{_escaped(PAGE)} Page {unit}-{n}."}}' for n in range(3)]
        lines.append(f'{{"text": "Menu {unit} | Login"}}')
        (folder / f"{unit}.jsonl").write_text("\n".join(lines) + "\n")


def _escaped(text: str) -> str:
    return text.replace("\n", "\\n")


def words(folder: Path, *more: str) -> list[str]:
    """The configuration of a refinement; batches of execution are of one unit unless told otherwise."""
    return [
        *(f"store={folder / 'store'}", f"input.path={folder}/corpus/*.jsonl", "input.format=json"),
        *("document.engine.kind=rules", "chunk.engine.kind=rules", "refinement=one"),
        *("ingest.unit_bytes=5000", "execute.batch_bytes=1", *more),
    ]


@pytest.fixture(scope="module")
def generated(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a corpus and of a store with its documents and programs."""
    folder = tmp_path_factory.mktemp("generated")
    pages(folder / "corpus")
    config = load_config(None, words(folder))
    ingest(spark, config)
    generate(spark, config)
    return folder


@pytest.fixture
def made(generated: Path, tmp_path: Path) -> Callable[..., Config]:
    """A configuration of a copy of that store, with overrides."""
    store = shutil.copytree(generated / "store", tmp_path / "store")
    return lambda *overrides: load_config(None, words(generated, f"store={store}", *overrides))


def interrupt(*_: Any) -> None:
    """What a kill does to the call in whose place this is."""
    raise KeyboardInterrupt


def content(spark: Any, config: Config, table: str) -> list[Any]:
    return sorted((row.asDict(recursive=True) for row in rows(spark, config, table)), key=str)


def test_a_batch_each_unit_gives_what_one_batch_gives(spark: Any, made: Callable[..., Config]) -> None:
    config = made()
    done = execute(spark, config)
    assert done.counts["documents"] == 4 * UNITS
    assert verbs(Path(config.store), "refined").count("execute") == UNITS
    check_conservation(spark, config)
    check_once(spark, config)
    assert check_rederivation(spark, config) == done.counts["refined"]
    batched = {table: content(spark, config, table) for table in ALL}
    one = made("execute.batch_bytes=1000000", "refinement=another")
    assert execute(spark, one).counts == done.counts
    assert verbs(Path(config.store), "refined").count("execute") == UNITS + 1
    assert {table: content(spark, one, table) for table in ALL} == batched
    assert dry_run(spark, config).documents["refined"] == done.counts["refined"]


@pytest.mark.slow
def test_programs_too_large_for_a_broadcast_give_the_same(
    spark: Any, made: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    broadcast = execute(spark, made("execute.batch_bytes=3000"))
    texts = content(spark, made(), "refined")
    monkeypatch.setattr(work, "BROADCAST_BYTES", 0)
    shuffled = execute(spark, made("execute.batch_bytes=3000", "refinement=shuffled"))
    assert shuffled.counts == broadcast.counts
    assert content(spark, made(), "refined") == texts


@pytest.mark.parametrize(
    "table",
    [
        "dropped_lines",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("refined", "dropped_documents", "refinements")),
    ],
)
def test_a_run_that_dies_goes_on_after_its_last_whole_batch(
    spark: Any, made: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    config = made()
    batches: list[int] = []
    write_batch, commit = writing.write_batch, writing.commit

    def counted(work: Any, batch: Any, *args: Any, **options: Any) -> Any:
        batches.append(batch.first)
        return write_batch(work, batch, *args, **options)

    def dying(store: Any, lease: Any, name: str, *args: Any, **options: Any) -> Any:
        done = commit(store, lease, name, *args, **options)
        if name == table and len(batches) == 2:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(verb, "write_batch", counted)
    with monkeypatch.context() as death:
        death.setattr(writing, "commit", dying)
        if table == "refinements":
            death.setattr(verb, "append_refinement", interrupt)
        with pytest.raises(KeyboardInterrupt):
            execute(spark, config)
    assert rows(spark, config, "refinements") == []
    before, batches[:] = list(batches), []
    done = execute(spark, config)
    # Its last batch says nothing of itself, as the row of `refinements` does.
    gone_on_at = {"dropped_documents": 2, "refinements": UNITS - 1}.get(table, 1)
    assert (before[0], batches[0], batches[-1]) == (0, gone_on_at, UNITS - 1)
    check_conservation(spark, config)
    check_once(spark, config)
    check_rederivation(spark, config)
    fresh = execute(spark, made("refinement=fresh"))
    assert fresh.counts == done.counts


@pytest.mark.slow
def test_a_run_of_other_settings_does_not_go_on_with_it(
    spark: Any, made: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as death:
        death.setattr(verb, "append_refinement", interrupt)
        with pytest.raises(KeyboardInterrupt):
            execute(spark, made())
    config = made("execution.max_removed_share=0.01")
    assert execute(spark, config).counts["refined"] == 0
    assert rows(spark, config, "dropped_lines") == rows(spark, config, "refined") == []
    check_conservation(spark, config)


@pytest.mark.slow
def test_a_run_that_died_is_finished_and_what_came_since_is_the_next_version(
    spark: Any, made: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as death:
        death.setattr(verb, "append_refinement", interrupt)
        with pytest.raises(KeyboardInterrupt):
            execute(spark, made())
    more = tmp_path / "more.jsonl"
    more.write_text(f'{{"text": "{PROSE} One page more."}}\n')
    config = made(f"input.path={more}")
    ingest(spark, config)
    generate(spark, config)
    done = execute(spark, config)
    assert (done.version, done.counts["documents"]) == (1, 4 * UNITS + 1)
    first = open_store(spark, config.store).read("refinements").where("version = 0").first()
    assert (first["counts"]["documents"], first["documents_version"]) == (
        4 * UNITS,
        done and first["documents_version"],
    )
    check_conservation(spark, config)
    check_once(spark, config)


def test_the_fuse_blows_as_soon_as_enough_documents_are_through(
    spark: Any, made: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made("fuse.min_documents=8", "fuse.kept_documents=[0.99, 1.0]")
    with pytest.raises(FuseError, match="kept_documents"):
        execute(spark, config)
    assert verbs(Path(config.store), "refined").count("execute") == 2
    with pytest.raises(FuseError, match="kept_documents"):
        execute(spark, config)
    # Of another opinion, the run goes on with what there is.
    execute(spark, made("fuse.min_documents=8", "fuse.kept_documents=[0.5, 1.0]"))
    assert verbs(Path(config.store), "refined").count("execute") <= UNITS + 1
    check_conservation(spark, config)


def _orphan(spark: Any, config: Config, doc_id: str) -> None:
    """Programs of a document that the store does not have."""
    store = open_store(spark, config.store)
    one = store.read("programs").where("unit = 2").orderBy("doc_id").limit(1).select("doc_id")
    copied = store.read("programs").join(one, "doc_id", "left_semi").withColumn("doc_id", F.lit(doc_id))
    columns = spark_schema("programs").names
    copied.select(*columns).write.format("delta").mode("append").save(f"{config.store}/programs")


@pytest.mark.slow
def test_orphaned_programs_are_left_alone(spark: Any, made: Callable[..., Config]) -> None:
    config = made("execute.batch_bytes=100000")
    plain = execute(spark, config)
    for doc_id in ("gone", "away"):
        _orphan(spark, config, doc_id)
    again = execute(spark, made("execute.batch_bytes=100000", "refinement=orphans"))
    assert again.counts == plain.counts
    check_conservation(spark, made("refinement=orphans"))


@pytest.mark.parametrize("orphaned", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_missing_program_is_found_beside_an_orphaned_one(
    spark: Any, made: Callable[..., Config], orphaned: int
) -> None:
    config = made("execute.batch_bytes=100000")
    for number in range(orphaned):
        _orphan(spark, config, f"gone {number}")
    store = open_store(spark, config.store)
    one = store.read("documents").where("unit = 2").orderBy("doc_id").first()["doc_id"]
    spark.sql(f"DELETE FROM {store.table('programs')} WHERE doc_id = '{one}'")
    for run in (execute, dry_run):
        with pytest.raises(IncompleteError, match=r"\b1 documents lack programs"):
            run(spark, config)
    assert rows(spark, config, "refinements") == []
    generate(spark, config)
    execute(spark, config)
    check_conservation(spark, config)
    check_once(spark, config)
