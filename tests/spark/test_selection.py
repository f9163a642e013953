"""Selection in a store: fitted, generated, executed at a threshold; by chance and by a column over the same documents."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from claims import check_conservation, rows

from prox_spark.cli import main
from prox_spark.config import Config
from prox_spark.errors import ConfigError, TrainingError
from prox_spark.generation.columns import with_score
from prox_spark.generation.estimate import estimate
from prox_spark.generation.job import generate, plan
from prox_spark.ingestion.job import find_files, ingest
from prox_spark.refinement.job import execute
from prox_spark.selection.chance import uniform
from prox_spark.selection.dsir import Dsir, bins, fit_log_ratio, fit_quantiles, noisy_weights
from prox_spark.selection.folder import load_dsir
from prox_spark.selection.job import fit
from prox_spark.selection.ngrams import BUCKETS, add_counts
from prox_spark.tables.store import open_store
from prox_spark.versions.sql import query

SEA = ["tide", "harbour", "boat", "wave", "sail", "storm", "coast", "gull", "anchor", "rope", "mast", "salt"]
SHOP = ["cart", "price", "offer", "shoes", "sale", "order", "discount", "shipping", "brand", "buy", "deal", "coupon"]
COMMON = ["the", "of", "and", "to", "in", "a", "is", "that", "it", "was", "for", "on"]
N = 400
IDS = [f"d{number}" for number in range(N)]
KEEP = 0.3
EQUAL_SIZE = Path(__file__).resolve().parents[2] / "conf" / "sql" / "equal-size.sql"


def page(words: list[str], count: int, chance: random.Random) -> str:
    return " ".join(chance.choices([*words, *COMMON], k=count))


def texts(seed: int = 0) -> list[str]:
    """Half of the sea, half of a shop; each tenth short."""
    chance = random.Random(seed)
    return [
        page(SEA if number % 2 else SHOP, 60 if number % 10 < 2 else chance.randint(120, 200), chance)
        for number in range(N)
    ]


def qualities() -> list[Any]:
    """A score for nearly each: of them some are no numbers, one is out of range, one is not there."""
    given: list[Any] = [number / N for number in range(N)]
    given[10], given[11], given[12] = "high", 1.5, None
    return given


def counts(some: list[str]) -> Any:
    counted = np.zeros(BUCKETS, np.int64)
    add_counts(some, counted)
    return counted


def scores_of(spark: Any, config: Config) -> tuple[list[float | None], dict[str, str]]:
    """Generate a document stage: each document's score, and the errors."""
    (stage,) = generate(spark, config)
    programs = {row["doc_id"]: row for row in rows(spark, config, "programs") if row["refiner"] == stage.refiner}
    assert len(programs) == stage.documents == N
    errors = {name: row["error"] for name, row in programs.items() if row["error"]}
    assert stage.failed == len(errors)
    return [programs[name]["keep_score"] for name in IDS], errors


def test_a_selection_of_each_kind_keeps_its_share(
    spark: Any,
    configure: Callable[..., Config],
    write_pages: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chance = random.Random(9)
    target = [page(SEA, 150, chance) for _ in range(40)]
    write_pages(target, "target.json")
    folder = tmp_path / "sea"
    adapting = [
        *("adapt.name=sea", "adapt.task=selection", f"adapt.output={folder}"),
        *(f"adapt.target.path={tmp_path / 'target.json'}", "adapt.target.format=json"),
    ]
    dsir = ["document.engine.kind=dsir", f"document.engine.model={folder}", "chunk=null"]
    threshold = f"execution.drop_document_below={1 - KEEP}"
    corpus = write_pages(texts(), id=IDS, quality=qualities())
    config = configure(*adapting, *dsir, threshold, path=corpus)
    ingest(spark, config, find_files(config))

    # What Spark fits is, to the bit, what numpy makes of all texts at once.
    assert main(["adapt", f"store={config.store}", *adapting, "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    log_ratio = fit_log_ratio(counts(target), counts(texts()))
    weights = noisy_weights(texts(), IDS, log_ratio, 100, 0)
    long = np.isfinite(weights)
    direct = Dsir(log_ratio, fit_quantiles(*np.unique(bins(weights[long]), return_counts=True)), 0.2, 100, 0)
    fitted = load_dsir(folder)
    assert (fitted.log_ratio == direct.log_ratio).all()
    assert (fitted.quantiles == direct.quantiles).all()
    assert (fitted.short, fitted.min_words, fitted.seed) == (0.2, 100, 0)
    assert (told["target"]["documents"], told["raw"]["documents"], told["documents"]) == (40, N, N)
    card = (folder / "README.md").read_text()
    assert f"| {counts(target).sum():,} |" in card
    assert "20.0% of the raw corpus" in card

    scores, errors = scores_of(spark, config)
    done = execute(spark, config)
    assert (scores, errors) == (direct.keep_scores(texts(), IDS).tolist(), {})
    assert done.counts["refined"] == pytest.approx(KEEP * N, abs=2)
    kept = {int(row["doc_id"][1:]) for row in rows(spark, config, "refined")}
    assert all(n % 2 and n % 10 > 1 for n in kept), "long documents of the sea alone"
    check_conservation(spark, config)

    # By chance, over the same documents, and at the threshold that has the first one's size.
    by_chance = reconfigured(config, "random", kind="random", seed=5)
    assert [one.engine_hours for one in estimate(spark, by_chance).stages] == [0.0]
    scores, errors = scores_of(spark, by_chance)
    done = execute(spark, by_chance)
    assert (scores, errors) == (uniform(IDS, 5, "random").tolist(), {})
    assert done.counts["refined"] == pytest.approx(KEEP * N, abs=4 * np.sqrt(N * KEEP * (1 - KEEP)))
    (equal,) = query(spark, config.store, EQUAL_SIZE.read_text()).collect()
    assert (equal.refinement, equal.drop_document_below) == ("first", pytest.approx(1 - KEEP, abs=0.1))
    assert 0.95 * equal.characters_kept < equal.characters <= equal.characters_kept

    # By the column that the corpus brings; a document without a number there fails.
    by_column = reconfigured(config, "column", kind="column", column="quality")
    scores, errors = scores_of(spark, by_column)
    assert errors == {
        "d10": "quality is 'high', no number",
        "d11": "quality is 1.5, outside of [0, 1]: give engine.scale",
        "d12": "quality is null",
    }
    assert (scores[100], scores[11]) == (0.25, None)
    with pytest.raises(ConfigError, match=r"no document has 'qualty'.*did you mean 'quality'"):
        generate(spark, reconfigured(config, "none", kind="column", column="qualty"))
    by_position = plan(reconfigured(config, "none", kind="column", column="position")).document
    assert by_position is not None
    documents = open_store(spark, config.store).read("documents").where("position = 7")
    assert [row["score"] for row in with_score(documents, by_position).collect()] == ["7"]

    # Towards what a refinement kept, with a part of the store as the raw corpus.
    of_a_refinement = {"path": config.store, "format": "store", "refinement": "first:0"}
    found = fit(spark, changed(config, output=str(tmp_path / "kept"), target=of_a_refinement, raw_documents=200))
    assert (found.target.documents, found.documents) == (len(kept), N)
    assert found.raw.documents == pytest.approx(200, abs=40)


def test_nothing_to_learn_from_is_said_with_its_place(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path
) -> None:
    write_pages(["", "  \n"], "wordless.json")
    write_pages([], "empty.json")
    write_pages(["Some words."], "target.json")
    config = configure(
        *("adapt.name=n", "adapt.task=selection", f"adapt.output={tmp_path / 'out'}"),
        *(f"adapt.target.path={tmp_path / 'target.json'}", "adapt.target.format=json"),
        path=write_pages(["Only four words here.", "And five words are here."]),
    )
    with pytest.raises(TrainingError, match="no words in 0 documents"):
        fit(spark, config)
    ingest(spark, config, find_files(config))
    for name, message in (("empty", "no documents in"), ("wordless", "2 documents without a word")):
        target = {"path": str(tmp_path / f"{name}.json"), "format": "json"}
        with pytest.raises(TrainingError, match=f"adapt.target: {message}"):
            fit(spark, changed(config, target=target))
    with pytest.raises(TrainingError, match="none of 2 documents has 100 words"):
        fit(spark, config)
    with pytest.raises(ConfigError, match=r"adapt\.target: .*did you mean 'json'"):
        fit(spark, changed(config, target={"path": "t", "format": "jso"}))
    with pytest.raises(ConfigError, match=r"adapt\.target is not set"):
        fit(spark, config.model_copy(update={"adapt": None}))
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]
    (tmp_path / "out").mkdir()
    with pytest.raises(TrainingError, match="exists"):
        fit(spark, config)


def changed(config: Config, **changes: Any) -> Config:
    assert config.adapt is not None
    given = config.adapt.model_dump() | changes
    return config.model_copy(update={"adapt": type(config.adapt).model_validate(given)})


def reconfigured(config: Config, refinement: str, **engine: Any) -> Config:
    given = config.model_dump() | {"refinement": refinement, "document": {"engine": engine}}
    return Config.model_validate(given)
