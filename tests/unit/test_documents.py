"""What the documents say is what the code says."""

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


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


def test_every_link_of_the_readme_leads_somewhere() -> None:
    import re

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)]+)\)", text):
        assert (ROOT / target).exists(), target
