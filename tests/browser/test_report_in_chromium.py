"""The report in a real browser: hostile text is harmless, everything works by keyboard, it opens fast and looks right."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import report_values as values
from browser_helpers import CONTRAST, Watched

Open = Callable[..., Watched]


def visible(page: Any) -> list[str]:
    """Ids of the listed documents."""
    return page.locator("#list li b").all_inner_texts()


def says(page: Any, status: str) -> None:
    """Wait until the status line says this."""
    page.locator("#status").get_by_text(status, exact=True).wait_for()


def focused(page: Any) -> str:
    """What has the focus: its id, or its tag and text."""
    return page.evaluate(
        "() => { const e = document.activeElement; return e.id || `${e.tagName} ${e.textContent.slice(0, 20)}`; }"
    )


@pytest.mark.parametrize("versions", [1, 2])
def test_hostile_text_is_shown_and_nothing_runs(open_report: Open, versions: int) -> None:
    documents = values.hostile(versions)
    watched = open_report(documents, values.two() if versions == 2 else values.facts())
    page = watched.page
    for document in documents:
        # As a browser lays text out, a space at its end is not there.
        assert page.locator("#document-title").text_content() == document.doc_id
        shown = page.locator(".lines tbody tr td:nth-child(2) .shown")
        assert shown.count() == len(document.lines)
        assert shown.nth(0).text_content().startswith(document.lines[0].text[:100])
        for summary in page.locator("#outcomes summary").all():
            summary.click()
        page.locator("#search").fill(document.lines[0].text[:30])
        page.locator("#search").fill("")
        page.locator("#next").click() if document is not documents[-1] else None
    page.locator("#folded").check()
    for select in ("#source", "#operation", "#change"):
        for number in range(page.locator(f"{select} option").count()):
            page.locator(select).select_option(index=number)
    page.mouse.click(700, 500)
    assert page.evaluate("window.hacked") is None
    assert page.locator("iframe, img, object, embed, link, base").count() == 0
    assert page.locator("script").count() == 2
    assert watched.troubles == []
    assert watched.requests == [page.url]


def test_what_a_page_would_load_is_refused(open_report: Open) -> None:
    watched = open_report(values.pages(1))
    failed = {}
    watched.page.on("requestfailed", lambda request: failed.update({request.url: request.failure}))
    blocked = watched.page.evaluate(
        """() => new Promise((done) => {
            const refused = [];
            document.addEventListener("securitypolicyviolation", (event) => {
                refused.push(event.effectiveDirective);
                if (refused.length === 3) done(refused.sort());
            });
            const image = new Image();
            image.src = "http://127.0.0.1:9/x.png";
            const script = document.createElement("script");
            script.textContent = "window.hacked = 1";
            document.body.append(image, script);
            document.body.setAttribute("style", "color: red");
        })"""
    )
    assert blocked == ["img-src", "script-src-elem", "style-src-attr"]
    assert watched.page.evaluate("window.hacked") is None
    assert failed == {"http://127.0.0.1:9/x.png": "csp"}
    assert watched.requests == [watched.page.url, *failed]


def test_the_tab_key_visits_every_control_in_order(open_report: Open) -> None:
    page = open_report(values.pages(5)).page
    order = []
    for _ in range(60):
        page.keyboard.press("Tab")
        order.append(focused(page))
        if order[-1] == "text":
            break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", f"{order[-1]} has the focus and does not show it"
    assert order[0] == "A Skip to the document"
    browser = order[order.index("change") :]
    assert [name for name in browser if not name.startswith("SUMMARY")] == [
        *("change", "operation", "source", "search", "BUTTON Clear", browser[5]),
        *("folded", "next", "text"),
    ]
    assert browser[5].startswith("LI page-0000")
    assert sum(name.startswith("SUMMARY Numbers") for name in order) == page.locator("figure").count()


def test_the_list_the_filters_and_the_buttons_work_by_keyboard(open_report: Open) -> None:
    page = open_report(values.pages(30)).page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "documents"
    page.locator("#list li").first.focus()
    title = page.locator("#document-title")
    for key, expected in [
        *(("ArrowDown", 1), ("j", 2), ("k", 1), ("ArrowUp", 0), ("ArrowUp", 0)),
        *(("End", 29), ("PageUp", 19), ("Home", 0), ("PageDown", 10)),
    ]:
        page.keyboard.press(key)
        assert title.inner_text() == f"page-{expected:04}"
        assert focused(page).startswith(f"LI page-{expected:04}")
        assert page.locator("#list li[aria-selected=true]").count() == 1
        assert page.locator("#list li[tabindex='0']").count() == 1
    page.locator("#next").focus()
    page.keyboard.press("Enter")
    assert title.inner_text() == "page-0011"
    page.locator("#folded").focus()
    before = page.locator(".lines tbody tr").count()
    page.keyboard.press("Space")
    assert page.locator(".lines tbody tr").count() < before
    assert page.locator(".lines .skipped").count() > 0
    page.locator("#change").focus()
    page.keyboard.type("Newly")
    says(page, "6 of 30 documents")


def test_filters_and_search_find_what_is_there(open_report: Open) -> None:
    documents = values.pages(40)
    page = open_report(documents).page
    status = page.locator("#status")
    assert status.get_attribute("role") == "status"
    assert status.inner_text() == "40 of 40 documents"
    for name in ("change", "source"):
        for value in {getattr(document, name) for document in documents}:
            page.locator(f"#{name}").select_option(f"={value}")
            expected = [document.doc_id for document in documents if getattr(document, name) == value]
            assert visible(page) == expected
            label = page.locator(f"#{name} option:checked").inner_text()
            assert label.endswith(f"({len(expected)})")
        page.locator(f"#{name}").select_option("")
    page.locator("#operation").select_option("=normalize")
    assert visible(page) == [document.doc_id for document in documents if "normalize" in document.operations]
    page.locator("#search").fill("PAGE-0007")
    says(page, "1 of 40 documents")
    assert page.locator("#document-title").inner_text() == "page-0007"
    page.locator("#search").fill("no page says this")
    says(page, "0 of 40 documents")
    assert not page.locator("#document").is_visible()
    page.get_by_role("button", name="Clear").click()
    says(page, "40 of 40 documents")
    assert page.locator("#document").is_visible()


def test_removed_lines_and_edits_are_told_by_markup_and_not_by_colour_alone(open_report: Open) -> None:
    page = open_report(values.pages(1)).page
    cells = page.locator(".lines td.removed").first
    assert cells.locator("del").count() == 1
    assert re.fullmatch(r"Removed: P\(keep\) 0\.\d\d < 0\.35", cells.locator(".why").text_content())
    assert "line-through" in cells.locator("del").evaluate("e => getComputedStyle(e).textDecorationLine")
    edited = page.locator(".lines td.rewritten").first
    assert "the" in edited.locator("del").all_inner_texts()
    assert "a" in edited.locator("ins").all_inner_texts()
    assert edited.locator(".why").text_content() == 'Rewritten: normalize("the ", "a ") confidence 0.93'
    assert page.locator(".lines thead th").all_inner_texts() == ["Line", "web-lines:0", "careful:0"]


def test_a_screen_reader_finds_landmarks_names_and_states(open_report: Open) -> None:
    page = open_report(values.pages(2)).page
    for role in ("main", "banner", "contentinfo", "search", "article"):
        assert page.get_by_role(role).count() == 1, role
    for name in ("Outcome", "Operation", "Source", "Search", "Only changed lines"):
        assert page.get_by_label(name, exact=True).count() == 1, name
    assert page.get_by_role("listbox", name="Documents").count() == 1
    assert page.get_by_role("listbox").get_by_role("option", selected=True).count() == 1
    assert page.get_by_role("img").count() == page.locator("figure").count()
    assert page.get_by_role("img", name="Share of characters kept, by source").count() == 1
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((e) => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_text_is_readable_and_fits_in_light_and_dark(open_report: Open, scheme: str, width: int) -> None:
    for documents in (values.pages(3), values.hostile(2)):
        viewport = {"width": width, "height": 800}
        page = open_report(documents, color_scheme=scheme, viewport=viewport).page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CONTRAST) == []
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 26)"
        assert dark == (scheme == "dark")


def test_500_documents_of_8_kb_are_all_there(open_report: Open) -> None:
    page = open_report(values.pages(500)).page
    page.wait_for_selector("#list li[aria-selected=true]")
    page.locator("#next").click()
    assert page.locator("#document-title").inner_text() == "page-0001"
    page.locator("#search").fill("page-0499")
    says(page, "1 of 500 documents")
