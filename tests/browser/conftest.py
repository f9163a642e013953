"""A real Chromium, driven by Playwright; tests skip where one of the two is missing."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import report_values as values
from browser_helpers import Watched

from prox_spark.reporting.documents import ReportDocument
from prox_spark.reporting.figures import Facts

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser of this machine; it may reach nothing outside it."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    # Chromium's sandbox refuses to run as root, as containers do.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@pytest.fixture
def open_report(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Write a report and open it as a file."""
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    from prox_spark.reporting.page import render, write
    from prox_spark.reporting.pictures import pictures

    contexts = []

    def open_(documents: Sequence[ReportDocument], facts: Facts | None = None, **options: Any) -> Watched:
        facts = facts or values.two()
        file = tmp_path / "report.html"
        write(render(facts, pictures(facts), documents, seed=0), file)
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        watched = Watched(context.new_page())
        watched.page.goto(file.as_uri())
        return watched

    yield open_
    for context in contexts:
        context.close()
