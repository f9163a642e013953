"""The refiners that ship with the package: small, complete, credited, and better than leaving a page as it is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_helpers import end_engine, run

from prox_spark.config.engines import StatisticsSettings, TransformersSettings
from prox_spark.engines.models import SHIPPED, local_folder, resolve_model
from prox_spark.errors import RefinerError
from prox_spark.generation.kinds import load_refiner

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
    assert local_folder(folder.name) == folder.resolve()
    assert sum(file.stat().st_size for file in folder.glob("*.safetensors")) <= 20_000_000
    if (folder / "statistics.json").is_file():
        assert load_refiner("document", StatisticsSettings(kind="statistics", model=folder.name)).kind == "statistics"
    else:
        for stage in json.loads((folder / "refiner.json").read_text()).keys() & {"document", "chunk"}:
            assert load_refiner(stage, TransformersSettings(kind="transformers", model=folder.name)).kind == "model"
    card = (folder / "README.md").read_text()
    for word in ("Scores", "Recipe", "credits", "Limits"):
        assert word in card


def test_a_model_of_no_such_name_is_refused_with_the_names_that_ship() -> None:
    with pytest.raises(RefinerError, match="web-lines-2"):
        resolve_model("web-lines", None)


@pytest.mark.engine
@pytest.mark.usefixtures("_engine_ends")
def test_the_line_scorer_tells_prose_from_menus() -> None:
    text = "\n".join([*MENU, *PROSE, *FOOTER])
    rows = run("chunk", TransformersSettings(kind="transformers", model="web-lines-2"), [text])
    (row,) = rows.values()
    scores = row["line_scores"]
    assert row["status"] == "ok"
    assert len(scores) == len(MENU) + len(PROSE) + len(FOOTER)
    prose = scores[len(MENU) : len(MENU) + len(PROSE)]
    # How sure it is depends on the page; that prose comes before all else does not.
    assert min(prose) > 2 * max(scores[: len(MENU)] + scores[-len(FOOTER) :])


@pytest.mark.engine
@pytest.mark.usefixtures("_engine_ends")
def test_the_program_writer_removes_frames_and_keeps_prose() -> None:
    text = "\n".join([*MENU, *PROSE, *FOOTER])
    (row,) = run("chunk", TransformersSettings(kind="transformers", model="web-programs-1"), [text]).values()
    assert row["status"] == "ok"
    calls = [call for call in row["calls"] if call["operation"] == "remove_lines"]
    gone = {number for call in calls for number in range(call["line_start"], call["line_end"] + 1)}
    assert all(0 < call["confidence"] <= 1 for call in calls)
    prose = set(range(len(MENU), len(MENU) + len(PROSE)))
    # It knows far longer pages than this one: it may miss, but not by much.
    assert len(gone - prose) >= 5
    assert len(gone & prose) <= 1
