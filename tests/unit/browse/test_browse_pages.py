"""Pages of ``browse``: page text is never markup in them, and links keep what was asked."""

import json
import re
from html.parser import HTMLParser

import browse_values
import pytest
import report_values as values

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

from prox_spark.browsing import pages
from prox_spark.browsing.charts import charts
from prox_spark.browsing.queries import Answer

NAMES = ["", "version", "documents", "lines", "document", "sql", "failure"]


class Elements(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def made(name: str, text: str) -> str:
    request = browse_values.Request(name, {}, False, lambda: False)
    return browse_values.site(text)(request).body.decode()


@pytest.mark.parametrize("name", NAMES)
def test_hostile_text_adds_no_element_and_no_attribute(name: str) -> None:
    page = made(name, browse_values.HOSTILE)
    # How many pieces a changed line has depends on its text.
    shapes = (
        [(tag, set(own)) for tag, own in Elements(one).found if tag not in ("del", "ins")]
        for one in (page, made(name, "x"))
    )
    assert next(shapes) == next(shapes)
    assert "\u202e" not in page
    assert "\x00" not in page


@pytest.mark.parametrize("name", NAMES)
def test_a_page_loads_its_own_files_and_links_within_the_site(name: str) -> None:
    for tag, attributes in Elements(made(name, browse_values.HOSTILE)).found:
        for key, value in attributes.items():
            assert not key.startswith("on")
            assert key not in ("style", "srcset", "srcdoc", "formaction")
            if key in ("href", "src", "action"):
                assert re.match(r"(#|\./|[a-z]+(\.(css|js|svg))?(\?|$))", value or ""), (tag, key, value)
    assert all(pages.file(one)[1] for one in pages.FILES)


def test_no_script_makes_markup_from_text() -> None:
    script = re.sub(r"^\s*//.*$", "", pages.file("script.js")[1].decode(), flags=re.MULTILINE)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|eval|document\.write|fetch|XMLHttp|DOMParser", script)


def test_the_next_page_and_a_document_keep_the_filters() -> None:
    page = browse_values.documents(given={"text": "a&b", "source": "c4", "after": "0.-1.x"})
    links = [own.get("href") or "" for tag, own in Elements(page).found if tag == "a"]
    assert "documents?text=a%26b&source=c4&after=2.-1.page-0049&version=careful%3A0" in links
    assert "documents?text=a%26b&source=c4&version=careful%3A0" in links
    assert "document?text=a%26b&source=c4&version=careful%3A0&unit=0&id=page-0000" in links


def test_a_document_is_data_for_the_script() -> None:
    page = browse_values.document(hostile=True)
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    shown = json.loads(data)
    assert shown["versions"] == ["web-lines:0", "careful:0"]
    assert shown["document"]["lines"] == [line.text for line in values.hostile(2)[0].lines]


def test_charts_are_drawn_of_columns_of_numbers() -> None:
    rows = tuple((f"row {number}", number, str(number), number / 3, None) for number in range(40))
    drawn = charts(Answer(("name", "n", "text", "share", "nothing"), rows, False))
    assert [picture.title for picture in drawn] == ["n by name", "share by name"]
    assert all(picture.note == "The first 30 rows." for picture in drawn)
    assert drawn[0].rows[:2] == (("row 0", "0"), ("row 1", "1"))


@pytest.mark.parametrize(
    "rows", [(), (("a", 1),), (("a", "x"), ("b", "y")), (("a", float("nan")), ("b", 1.0)), (("a", True), ("b", False))]
)
def test_what_cannot_be_drawn_is_a_table_alone(rows: tuple[tuple[object, ...], ...]) -> None:
    assert charts(Answer(("a", "b"), rows, False)) == ()


def test_negative_numbers_are_drawn() -> None:
    (drawn,) = charts(Answer(("a", "b"), (("x", -5), ("y", -7)), False))
    assert drawn.rows == (("x", "-5"), ("y", "-7"))
