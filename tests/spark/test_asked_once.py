"""Copies of a page are asked about once, wherever in the store they are, and each has its rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from claims import check_conservation, check_once, rows, run

from prox_spark.config import Config
from prox_spark.pipeline import generate

MENU = "Home | About | Contact\nA page that the site shows for every address."


def test_copies_of_a_page_are_asked_about_once_and_counted(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], tmp_path: Path
) -> None:
    # Given twenty copies of a page and of one that fails, between pages of their own,
    texts = [text for n in range(20) for text in (MENU, f"{MENU} bad", f"{MENU} Number {n}.")]
    calls = tmp_path / "calls"
    scripted = ["document=null", "chunk.engine.kind=scripted", f"chunk.engine.calls_file={calls}"]
    config = configure(*scripted, "chunk.engine.error_on=bad", path=write_pages(texts))
    # when they are refined,
    _, (stage,), _ = run(spark, config)
    # then the copies are asked about once, but for those that fail; each has its row, and the rest is counted.
    assert len(calls.read_text().splitlines()) == 1 + 20 + 20
    assert (stage.chunks, stage.failed, stage.repeated) == (60, 20, 19)
    assert [row["repeated"] for row in rows(spark, config, "metrics")] == [19]
    check_conservation(spark, config)
    check_once(spark, config)
    # A retry that gets an answer asks about the failed ones once.
    calls.unlink()
    healed = configure(*scripted, path=tmp_path / "pages.json")
    (stage,) = generate(spark, healed, retry_failed=True)
    assert len(calls.read_text().splitlines()) == 1
    assert (stage.failed, stage.repeated) == (0, 19)
    assert {row["status"] for row in rows(spark, config, "programs")} == {"ok"}
