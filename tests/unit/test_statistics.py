"""Statistics of a text, and the scorer that is made of them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prox_spark.config.engines import StatisticsSettings
from prox_spark.engines.models import SHIPPED
from prox_spark.engines.protocol import Request
from prox_spark.errors import RefinerError
from prox_spark.generation.kinds import load_refiner, open_engine
from prox_spark.generation.refiner import fingerprint
from prox_spark.statistics.scorer import FILE, Scorer, load_scorer, save_scorer
from prox_spark.statistics.text import NAMES, buckets

PROSE = (
    "The old harbour lies an hour's walk from the town, behind a wall that the fishermen built by hand. In winter nobody comes "
    "here, and the boats stand on the beach until the storms are over. My grandmother told me that the wall once saved them."
)
SHOP = "Cheap Shoes 50% Off | Add to cart | Free Shipping | Log in to see prices\n" * 20
SHIPPED_SCORER = StatisticsSettings(kind="statistics", model="web-documents-1")


@given(st.text(max_size=400))
def test_any_text_has_one_bucket_for_each_statistic(text: str) -> None:
    assert len(buckets(text)) == len(NAMES)


def test_labels_of_menus_are_overlooked() -> None:
    assert buckets(f"Home\nAbout us\n{PROSE}\nContact\nLog in") == buckets(PROSE)


def test_the_shipped_scorer_tells_prose_from_a_shop() -> None:
    scorer = load_scorer(SHIPPED / "web-documents-1")
    assert scorer.score(PROSE) > 0.5 > 0.1 > scorer.score(SHOP)


def test_a_scorer_is_written_and_read(tmp_path: Path) -> None:
    scorer = Scorer(tuple(float(number) for number in range(len(NAMES))), -1.5)
    save_scorer(scorer, tmp_path)
    assert load_scorer(tmp_path) == scorer


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 0}, "was fitted with statistics version 0"),
        ({"weights": {}}, "was fitted with"),
        ({"weights": dict.fromkeys(NAMES, "much")}, "not a document scorer"),
        ({"weights": {**dict.fromkeys(NAMES, 1.0), "mood": 1.0}}, "was fitted with"),
        ({"intercept": float("nan")}, "not numbers"),
        ({"intercept": "high"}, "not a document scorer"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    save_scorer(Scorer((0.0,) * len(NAMES), 0.0), tmp_path)
    whole = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**whole, **change}))
    with pytest.raises(RefinerError, match=message):
        load_scorer(tmp_path)


def test_the_engine_answers_a_score_for_each_document() -> None:
    refiner = load_refiner("document", SHIPPED_SCORER)
    engine = open_engine(SHIPPED_SCORER, refiner)
    texts = [PROSE, SHOP, "", "\n"]
    found = list(engine.stream(Request(id=n, stage="document", text=text) for n, text in enumerate(texts)))
    assert [one.id for one in found] == [0, 1, 2, 3]
    assert all(one.keep_score is not None and 0 <= one.keep_score <= 1 for one in found)


def test_its_fingerprint_is_that_of_its_weights(tmp_path: Path) -> None:
    save_scorer(load_scorer(SHIPPED / "web-documents-1"), tmp_path)
    moved = StatisticsSettings(kind="statistics", model=str(tmp_path))
    assert fingerprint(load_refiner("document", moved)) == fingerprint(load_refiner("document", SHIPPED_SCORER))
    save_scorer(Scorer((0.0,) * len(NAMES), 0.0), tmp_path)
    assert fingerprint(load_refiner("document", moved)) != fingerprint(load_refiner("document", SHIPPED_SCORER))


def test_it_is_refused_for_chunks_and_where_there_is_none() -> None:
    with pytest.raises(RefinerError, match=r"use it in document\.engine"):
        load_refiner("chunk", SHIPPED_SCORER)
    with pytest.raises(RefinerError, match="web-documents-1"):
        load_refiner("document", StatisticsSettings(kind="statistics", model="nowhere"))
