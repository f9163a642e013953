"""Selection in a store: fitted, generated, executed at a threshold; by chance and by a column over the same documents.

Slow: a second refinement and a second fit, for what the unit tests tell of chance.
"""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from claims import check_conservation, rows

from prox_spark.adapt.selection import fit
from prox_spark.cli import main
from prox_spark.config import Config, load_config
from prox_spark.costs.estimate import estimate
from prox_spark.errors import ConfigError, TrainingError
from prox_spark.generation.columns import with_score
from prox_spark.generation.plan import plan_stages
from prox_spark.ingestion.ingest import ingest
from prox_spark.pipeline import generate
from prox_spark.refinement.execute import execute
from prox_spark.selection.chance import uniform
from prox_spark.selection.dsir import Dsir, bins, fit_log_ratio, fit_quantiles, noisy_weights
from prox_spark.selection.folder import load_dsir
from prox_spark.selection.ngrams import BUCKETS, add_counts
from prox_spark.tables.store import open_store
from prox_spark.versions.questions import question
from prox_spark.versions.sql import query

SEA = ["tide", "harbour", "boat", "wave", "sail", "storm", "coast", "gull", "anchor", "rope", "mast", "salt"]
SHOP = ["cart", "price", "offer", "shoes", "sale", "order", "discount", "shipping", "brand", "buy", "deal", "coupon"]
COMMON = ["the", "of", "and", "to", "in", "a", "is", "that", "it", "was", "for", "on"]
N = 400
IDS = [f"d{number}" for number in range(N)]
KEEP = 0.3


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


def target() -> list[str]:
    chance = random.Random(9)
    return [page(SEA, 150, chance) for _ in range(40)]


def write(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def direct() -> Dsir:
    log_ratio = fit_log_ratio(counts(target()), counts(texts()))
    weights = noisy_weights(texts(), IDS, log_ratio, 100, 0)
    table = fit_quantiles(*np.unique(bins(weights[np.isfinite(weights)]), return_counts=True))
    return Dsir(log_ratio, table, 0.2, 100, 0)


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


@pytest.fixture(scope="module")
def config(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A store with the texts, and a selection towards the sea that the command line fitted to it."""
    folder = tmp_path_factory.mktemp("selection")
    write(folder / "target.json", [{"text": text} for text in target()])
    rows_ = [
        {"id": name, "text": text, "quality": quality}
        for name, text, quality in zip(IDS, texts(), qualities(), strict=True)
    ]
    write(folder / "pages.json", rows_)
    keys = [
        *(f"store={folder / 'store'}", "refinement=first", "chunk=null", f"execution.drop_document_below={1 - KEEP}"),
        *("adapt.name=sea", "adapt.task=selection", f"adapt.output={folder / 'sea'}"),
        *(f"adapt.target.path={folder / 'target.json'}", "adapt.target.format=json"),
        *(f"input.path={folder / 'pages.json'}", "input.format=json"),
        *("document.engine.kind=dsir", f"document.engine.model={folder / 'sea'}"),
    ]
    made = load_config(None, keys)
    ingest(spark, made)
    assert main(["adapt", *keys]) == 0
    return made


def test_what_spark_fits_is_to_the_bit_what_numpy_makes_of_all_texts_at_once(config: Config) -> None:
    assert config.adapt is not None
    folder = Path(config.adapt.output)
    expected, fitted = direct(), load_dsir(folder)
    assert (fitted.log_ratio == expected.log_ratio).all()
    assert (fitted.quantiles == expected.quantiles).all()
    assert (fitted.short, fitted.min_words, fitted.seed) == (0.2, 100, 0)
    told, card = json.loads((folder / "training.json").read_text()), (folder / "README.md").read_text()
    assert (told["target"]["documents"], told["raw"]["documents"], told["documents"]) == (40, N, N)
    assert f"| {counts(target()).sum():,} |" in card
    assert "20.0% of the raw corpus" in card


def test_a_threshold_keeps_its_share_of_what_resembles_the_target(spark: Any, config: Config) -> None:
    scores, errors = scores_of(spark, config)
    done = execute(spark, config)
    assert (scores, errors) == (direct().keep_scores(texts(), IDS).tolist(), {})
    assert done.counts["refined"] == pytest.approx(KEEP * N, abs=2)
    kept = {int(row["doc_id"][1:]) for row in rows(spark, config, "refined")}
    assert all(n % 2 and n % 10 > 1 for n in kept), "long documents of the sea alone"


def test_a_column_chooses_and_a_document_without_a_number_there_fails(spark: Any, config: Config) -> None:
    scores, errors = scores_of(spark, reconfigured(config, kind="column", column="quality"))
    assert errors == {
        "d10": "quality is 'high', not a number",
        "d11": "quality is 1.5, outside of [0, 1]: set engine.scale",
        "d12": "quality is null",
    }
    assert (scores[100], scores[11]) == (0.25, None)
    with pytest.raises(ConfigError, match=r"unknown column or key of metadata 'qualty' \(did you mean 'quality'"):
        generate(spark, reconfigured(config, kind="column", column="qualty"))
    by_position = plan_stages(reconfigured(config, kind="column", column="position")).document
    assert by_position is not None
    documents = open_store(spark, config.store).read("documents").where("position = 7")
    assert [row["score"] for row in with_score(documents, by_position).collect()] == ["7"]


@pytest.mark.slow
def test_chance_keeps_its_share_and_a_refinement_can_be_the_target(spark: Any, config: Config, tmp_path: Path) -> None:
    by_chance = reconfigured(config, refinement="random", kind="random", seed=5)
    generate(spark, config)
    execute(spark, config)
    assert [one.engine_hours for one in estimate(spark, by_chance).stages] == [0.0]
    scores, errors = scores_of(spark, by_chance)
    done = execute(spark, by_chance)
    assert (scores, errors) == (uniform(IDS, 5, "random").tolist(), {})
    assert done.counts["refined"] == pytest.approx(KEEP * N, abs=4 * np.sqrt(N * KEEP * (1 - KEEP)))
    check_conservation(spark, by_chance)
    # The threshold that has the first one's size.
    (equal,) = query(spark, config.store, question("equal-size")).collect()
    assert (equal.refinement, equal.drop_document_below) == ("first", pytest.approx(1 - KEEP, abs=0.1))
    assert 0.95 * equal.characters_kept < equal.characters <= equal.characters_kept

    # Towards what the first one kept, with a part of the store as the raw corpus.
    of_a_refinement = {"path": config.store, "format": "store", "refinement": "first:0"}
    found = fit(spark, changed(config, output=str(tmp_path / "kept"), target=of_a_refinement, raw_documents=200))
    assert (found.target.documents, found.documents) == (pytest.approx(KEEP * N, abs=2), N)
    assert found.raw.documents == pytest.approx(200, abs=40)


def test_nothing_to_learn_from_is_said_with_its_place(spark: Any, config: Config, tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    write(tmp_path / "wordless.json", [{"text": ""}, {"text": "  \n"}])
    write(tmp_path / "empty.json", [])
    for name, message in (("empty", "no documents in"), ("wordless", "2 documents without words")):
        nothing = {"path": str(tmp_path / f"{name}.json"), "format": "json"}
        with pytest.raises(TrainingError, match=f"adapt.target: {message}"):
            fit(spark, changed(config, output=output, target=nothing))
    with pytest.raises(TrainingError, match=f"none of {N} documents has 1000 words"):
        fit(spark, changed(config, output=output, min_words=1000))
    with pytest.raises(ConfigError, match=r"adapt\.target is not set"):
        fit(spark, config.model_copy(update={"adapt": None}))
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]
    with pytest.raises(TrainingError, match="exists"):
        fit(spark, config)


def changed(config: Config, **changes: Any) -> Config:
    assert config.adapt is not None
    given = config.adapt.model_dump() | changes
    return config.model_copy(update={"adapt": type(config.adapt).model_validate(given)})


def reconfigured(config: Config, refinement: str | None = None, **engine: Any) -> Config:
    return Config.model_validate(config.model_dump() | {"refinement": refinement, "document": {"engine": engine}})
