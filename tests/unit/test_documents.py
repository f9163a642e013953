"""What the documents say is what the code says."""

import re
import runpy
from pathlib import Path

import pyarrow as pa
import pytest

from prox_spark import schemas

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


@pytest.mark.parametrize("page", ["verbs", "api"])
def test_the_pages_of_verbs_and_functions_are_up_to_date(page: str) -> None:
    script = runpy.run_path(str(ROOT / "scripts" / f"document_{page}.py"))
    assert (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8") == script["document"](), (
        f"run `python scripts/document_{page}.py`"
    )


def shown(kind: pa.DataType) -> str:
    """An Arrow type as docs/tables.md writes it."""
    if kind == schemas.CALL:
        return "call"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_list(kind):
        return f"list<{shown(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{shown(kind.key_type)}, {shown(kind.item_type)}>"
    if pa.types.is_struct(kind):
        return "struct<int64 …>"
    return {"double": "float64", "float": "float32"}.get(str(kind), str(kind))


def test_the_page_of_tables_has_every_column_with_its_type() -> None:
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    found = {
        name: re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]{2,} \|$", body.partition("\nA call:")[0], flags=re.MULTILINE)
        for name, body in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    }
    wanted = {name: [(field.name, shown(field.type)) for field in schema] for name, schema in schemas.TABLES.items()}
    assert found == wanted
    calls = re.findall(
        r"^\| `(\w+)` \| (\w+) \|", text.partition("\nA call:")[2].partition("\n## ")[0], flags=re.MULTILINE
    )
    assert calls == [(field.name, shown(field.type)) for field in schemas.CALL]
