"""What the documents say is what the code says."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("prox_spark/refiners/*/README.md")])


def test_the_configuration_page_is_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "document_configuration.py"))
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == script["document"](), (
        "run `python scripts/document_configuration.py`"
    )


def test_the_page_of_rules_is_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "document_rules.py"))
    assert (ROOT / "docs" / "rules.md").read_text(encoding="utf-8") == script["document"](), (
        "run `python scripts/document_rules.py`"
    )


def anchors(page: Path) -> set[str]:
    """What a link may name in a page: its headings, in lower case, without marks, with dashes for spaces."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!http)([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text(encoding="utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"
