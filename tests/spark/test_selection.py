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
from prox_spark.generation.estimate import estimate
from prox_spark.generation.job import generate
from prox_spark.ingestion.job import find_files, ingest
from prox_spark.refinement.job import execute
from prox_spark.selection.chance import uniform
from prox_spark.selection.dsir import fit_log_ratio
from prox_spark.selection.folder import FILE, WEIGHTS, load_dsir
from prox_spark.selection.job import Fitted, fit
from prox_spark.selection.ngrams import BUCKETS, add_counts

SEA = ["tide", "harbour", "boat", "wave", "sail", "storm", "coast", "gull", "anchor", "rope", "mast", "salt"]
SHOP = ["cart", "price", "offer", "shoes", "sale", "order", "discount", "shipping", "brand", "buy", "deal", "coupon"]
COMMON = ["the", "of", "and", "to", "in", "a", "is", "that", "it", "was", "for", "on"]
N = 400
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


def counts(some: list[str]) -> Any:
    counted = np.zeros(BUCKETS, np.int64)
    add_counts(some, counted)
    return counted


def alone(config: Config, spark: Any) -> tuple[dict[str, float | None], dict[str, str | None], Any]:
    """Generate and execute a document stage: scores and errors by document, and what was committed."""
    (stage,) = generate(spark, config)
    programs = [row for row in rows(spark, config, "programs") if row["refiner"] == stage.refiner]
    assert len(programs) == stage.documents
    done = execute(spark, config)
    check_conservation(spark, config)
    return ({r["doc_id"]: r["keep_score"] for r in programs}, {r["doc_id"]: r["error"] for r in programs}, done)


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
    corpus = write_pages(texts(), id=[f"d{n}" for n in range(N)], quality=qualities())
    adapting = [
        *("adapt.name=sea", "adapt.task=selection", f"adapt.output={tmp_path / 'sea'}"),
        *(f"adapt.target.path={tmp_path / 'target.json'}", "adapt.target.format=json"),
    ]
    dsir = ["document.engine.kind=dsir", f"document.engine.model={tmp_path / 'sea'}", "chunk=null"]
    threshold = f"execution.drop_document_below={1 - KEEP}"
    config = configure(*adapting, *dsir, threshold, path=corpus)
    ingest(spark, config, find_files(config))

    # The command line fits; the same again gives the same bytes.
    assert main(["adapt", f"store={config.store}", *adapting, "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    again = fit(spark, changed(config, output=str(tmp_path / "again")))
    for name in (FILE, WEIGHTS):
        assert (tmp_path / "sea" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert Fitted(**{**told, "target": again.target, "raw": again.raw, "output": "", "seconds": 0}) == Fitted(
        **{**vars_of(again), "output": "", "seconds": 0}
    )
    loaded = load_dsir(tmp_path / "sea")
    assert loaded.log_ratio == pytest.approx(fit_log_ratio(counts(target), counts(texts())), abs=1e-12)
    assert (again.target.documents, again.raw.documents, again.documents) == (40, N, N)
    assert again.short == loaded.short == pytest.approx(0.2)
    card = (tmp_path / "sea" / "README.md").read_text()
    assert f"| {again.target.ngrams:,} |" in card
    assert "20.0% of the raw corpus" in card

    scores, _, done = alone(config, spark)

    direct = loaded.keep_scores(texts(), [f"d{n}" for n in range(N)])
    assert scores == {f"d{n}": score for n, score in enumerate(direct.tolist())}
    assert done.counts["refined"] == pytest.approx(KEEP * N, abs=2)
    kept = {int(row["doc_id"][1:]) for row in rows(spark, config, "refined")}
    assert all(n % 2 and n % 10 > 1 for n in kept)

    # By chance, over the same documents.
    by_chance = reconfigured(config, "random", kind="random", seed=5)
    assert [one.engine_hours for one in estimate(spark, by_chance).stages] == [0.0]
    scores, _, done = alone(by_chance, spark)
    ids = [f"d{n}" for n in range(N)]
    assert [scores[name] for name in ids] == uniform(ids, 5, "random").tolist()
    assert done.counts["refined"] == pytest.approx(KEEP * N, abs=4 * np.sqrt(N * KEEP * (1 - KEEP)))

    # By the column that the corpus brings; documents without a number are quarantined.
    by_column = reconfigured(config, "column", kind="column", column="quality")
    scores, errors, done = alone(by_column, spark)
    assert {name: error for name, error in errors.items() if error} == {
        "d10": "quality is 'high', no number",
        "d11": "quality is 1.5, outside of [0, 1]: give engine.scale",
        "d12": "quality is null",
    }
    assert scores["d100"] == 0.25
    assert (done.counts["refined"], done.counts["quarantined"]) == (KEEP * N, 3)
    with pytest.raises(ConfigError, match="did you mean 'quality'"):
        generate(spark, reconfigured(config, "none", kind="column", column="qualty"))
    # A column of the table itself: by position in the file.
    first = reconfigured(config, "position", kind="column", column="position", scale=[N, 0])
    scores, _, _ = alone(first, spark)
    assert (scores["d0"], scores["d100"]) == (1.0, 0.75)

    # Towards the documents that a refinement kept: those by the column are the last ones, of both kinds.
    of_a_refinement = {"path": config.store, "format": "store", "refinement": "first"}
    found = fit(spark, changed(config, output=str(tmp_path / "kept"), target=of_a_refinement, raw_documents=200))
    assert found.target.documents == len(kept)
    assert found.raw.documents == pytest.approx(200, abs=40)
    assert found.documents == N


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


def vars_of(done: Fitted) -> dict[str, Any]:
    return {name: getattr(done, name) for name in Fitted.__dataclass_fields__}


def changed(config: Config, **changes: Any) -> Config:
    assert config.adapt is not None
    given = config.adapt.model_dump() | changes
    return config.model_copy(update={"adapt": type(config.adapt).model_validate(given)})


def reconfigured(config: Config, refinement: str, **engine: Any) -> Config:
    given = config.model_dump() | {"refinement": refinement, "document": {"engine": engine}}
    return Config.model_validate(given)
