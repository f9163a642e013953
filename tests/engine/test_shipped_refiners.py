"""The refiners that ship with the package: small, complete, credited, and better than leaving a page as it is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_helpers import end_engine, run

from prox_spark.engines.models import SHIPPED, resolve_model
from prox_spark.engines.settings import TransformersSettings
from prox_spark.errors import RefinerError
from prox_spark.generation.refiner import load_refiner

PROSE = (
    "The old harbour lies an hour's walk from the town, behind a wall of grey stone that the fishermen built by hand.",
    "In winter nobody comes here, and the boats stand on the beach under covers of green cloth until the storms are over.",
    "On clear days you can see the islands from the end of the pier, and the ferry that goes to them twice a week.",
    "The museum in the old school keeps a model of the harbour as it was when two hundred people lived from fishing.",
    "We walked back along the cliffs in the evening, and the lamps of the village came on one after the other below us.",
    "My grandmother told me that the wall once saved the village, when the sea rose higher than anyone remembered.",
)
MENU = ("Home", "About us", "Contact", "Log in", "Subscribe")
FOOTER = ("Share this", "Privacy policy", "Terms of use", "© 2024 All rights reserved")


@pytest.fixture
def _engine_ends() -> Iterator[None]:
    yield
    end_engine()


@pytest.mark.parametrize(
    "folder", sorted(path for path in SHIPPED.iterdir() if path.is_dir()), ids=lambda path: path.name
)
def test_a_shipped_refiner_is_small_complete_and_has_a_card(folder: Path) -> None:
    assert resolve_model(folder.name, None) == folder.resolve()
    assert sum(file.stat().st_size for file in folder.glob("*.safetensors")) <= 20_000_000
    stages = json.loads((folder / "refiner.json").read_text()).keys() & {"document", "chunk"}
    for stage in stages:
        assert load_refiner(stage, TransformersSettings(kind="transformers", model=folder.name)).kind == "model"
    card = (folder / "README.md").read_text()
    for word in ("Scores", "Recipe", "credits", "Limits"):
        assert word in card


def test_a_model_of_no_such_name_is_refused_with_the_names_that_ship() -> None:
    with pytest.raises(RefinerError, match="web-lines-1"):
        resolve_model("web-lines", None)


@pytest.mark.engine
@pytest.mark.usefixtures("_engine_ends")
def test_the_line_scorer_tells_prose_from_menus() -> None:
    text = "\n".join([*MENU, *PROSE, *FOOTER])
    rows = run("chunk", TransformersSettings(kind="transformers", model="web-lines-1"), [text])
    (row,) = rows.values()
    scores = row["line_scores"]
    assert row["status"] == "ok"
    assert len(scores) == len(MENU) + len(PROSE) + len(FOOTER)
    prose = scores[len(MENU) : len(MENU) + len(PROSE)]
    # How sure it is depends on the page; that prose comes before all else does not.
    assert min(prose) > 2 * max(scores[: len(MENU)] + scores[-len(FOOTER) :])
