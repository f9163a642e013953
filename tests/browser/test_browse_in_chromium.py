"""``browse`` in a real browser: hostile text is harmless, everything works by keyboard, it is readable in light and dark.

Slow: a page is opened dozens of times.
"""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browse_values
import pytest
from browser_helpers import CONTRAST, Watched

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

from prox_spark.browsing.server import Request, Response, bind

pytestmark = pytest.mark.slow

NAMES = ["", "version", "documents", "lines", "document", "sql", "failure"]

Open = Callable[..., Watched]


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Open]:
    """Serve the pages of ``browse_values`` and open one."""
    ends: list[Callable[[], None]] = []

    def open_(name: str, text: str = "", **options: Any) -> Watched:
        bound = bind(browse_values.site(text))
        thread = threading.Thread(target=bound.serve, daemon=True)
        thread.start()
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        ends.extend((context.close, bound.server.shutdown, thread.join))
        watched = Watched(context.new_page())
        watched.page.goto(bound.url + name)
        return watched

    yield open_
    for end in ends:
        end()


def focused(page: Any) -> str:
    """What has the focus: its id, or its tag and text."""
    return page.evaluate(
        "() => { const e = document.activeElement; return e.id || `${e.tagName} ${e.textContent.slice(0, 20)}`; }"
    )


@pytest.mark.parametrize("name", NAMES)
def test_hostile_text_is_shown_and_nothing_runs(open_page: Open, name: str) -> None:
    watched = open_page(name, browse_values.HOSTILE)
    page = watched.page
    for summary in page.locator("summary").all():
        summary.click()
    page.mouse.click(600, 400)
    assert page.evaluate("window.hacked") is None
    assert page.locator("iframe, img, object, embed, base").count() == 0
    assert watched.troubles == []
    site = page.url.rpartition("/")[0]
    assert all(url.startswith(site) for url in watched.requests)
    if name in ("documents", "lines", "sql"):
        assert "<script>window.hacked" in page.locator("tbody").first.inner_text()


def test_what_a_page_would_load_or_run_is_refused(open_page: Open) -> None:
    watched = open_page("documents")
    blocked = watched.page.evaluate(
        """() => new Promise((done) => {
            const refused = [];
            document.addEventListener("securitypolicyviolation", (event) => {
                refused.push(event.effectiveDirective);
                if (refused.length === 3) done(refused.sort());
            });
            const image = new Image();
            image.src = "http://127.0.0.1:9/x.png";
            document.body.append(image);
            document.body.setAttribute("style", "color: red");
            try { document.body.innerHTML = "<b>x</b>"; } catch (error) { window.refused = error.name; }
        })"""
    )
    assert blocked == ["img-src", "require-trusted-types-for", "style-src-attr"]
    assert watched.page.evaluate("window.refused") == "TypeError"


def test_a_list_is_read_by_keys(open_page: Open) -> None:
    page = open_page("documents").page
    page.keyboard.press("j")
    assert focused(page).startswith("A page-0000")
    for key, expected in (("j", "A page-0001"), ("k", "A page-0000"), ("k", "A page-0000")):
        page.keyboard.press(key)
        assert focused(page).startswith(expected)
    page.keyboard.press("/")
    assert focused(page) == "source"
    page.keyboard.type("jn/?")
    assert page.locator("#source").input_value() == "jn/?"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.get_by_role("dialog", name="Keys").is_visible()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="hidden")
    with page.expect_navigation(url="**/documents?*after=2.-1.page-0049"):
        page.keyboard.press("n")
    with page.expect_navigation():
        page.keyboard.press("b")
    page.keyboard.press("j")
    with page.expect_navigation(url="**/document?*id=page-0000*"):
        page.keyboard.press("Enter")
    with page.expect_navigation(url="**/documents"):
        page.keyboard.press("u")
    for key, path in (("2", "documents"), ("3", "lines"), ("4", "sql"), ("1", "")):
        with page.expect_navigation():
            page.keyboard.press(key)
        assert page.url.rpartition("/")[2].partition("?")[0] == path


def test_a_document_shows_its_removed_lines_struck_through_in_both_versions(open_page: Open) -> None:
    page = open_page("document").page
    assert page.locator(".lines thead th").all_inner_texts() == ["Line", "web-lines:0", "careful:0"]
    removed = page.locator(".lines td.removed del").first
    assert "line-through" in removed.evaluate("e => getComputedStyle(e).textDecorationLine")
    before = page.locator(".lines tbody tr").count()
    page.keyboard.press("c")
    assert page.locator(".lines tbody tr").count() < before


def test_a_line_of_the_list_is_found_in_its_document(open_page: Open) -> None:
    watched = open_page("document?line=2")
    assert watched.page.locator(".lines tr.chosen .at").inner_text() == "2"


def test_the_tab_key_visits_every_control_and_shows_where_it_is(open_page: Open) -> None:
    page = open_page("sql").page
    order = []
    for _ in range(40):
        page.keyboard.press("Tab")
        order.append(focused(page))
        if order[-1].startswith("BODY"):
            break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", order[-1]
    assert order[0].startswith("A Skip")
    assert order[1:6] == ["A Versions", "A Documents", "A Dropped lines", "A SQL", "help"]
    assert order[6:12] == ["question", "version", "from", "BUTTON Take", "select", "BUTTON Run"]


def test_a_query_is_sent_by_ctrl_enter(open_page: Open) -> None:
    page = open_page("sql").page
    page.locator("#select").focus()
    with page.expect_request(lambda request: request.method == "POST") as sent:
        page.keyboard.press("Control+Enter")
    assert sent.value.headers["origin"] == page.url.partition("/")[0] + "//" + page.url.split("/")[2]


def test_esc_stops_reading_and_the_page_stays(chromium: Any) -> None:
    asked, gone = threading.Event(), threading.Event()

    def site(request: Request) -> Response:
        if request.path != "lines":
            return browse_values.site()(request)
        asked.set()
        while not request.gone():
            threading.Event().wait(0.01)
        gone.set()
        raise ConnectionAbortedError("nobody waits")

    bound = bind(site)
    threading.Thread(target=bound.serve, daemon=True).start()
    page = chromium.new_page()
    page.goto(bound.url + "documents")
    # Until the page that is asked for comes, nothing can be sent to this one: it presses the key itself.
    page.evaluate(
        """() => new MutationObserver(() => {
            const busy = document.getElementById("busy");
            if (!busy.hidden && busy.textContent.includes("Esc stops"))
                document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
        }).observe(document.getElementById("busy"), { childList: true, attributes: true })"""
    )
    page.keyboard.press("3")
    assert asked.wait(30)
    assert gone.wait(30)
    assert page.url.endswith("documents")
    assert page.locator("#busy").is_hidden()
    page.context.close()
    bound.server.shutdown()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_text_is_readable_and_fits_in_light_and_dark(open_page: Open, scheme: str, width: int) -> None:
    viewport = {"width": width, "height": 800}
    for name in NAMES:
        for text in ("", browse_values.HOSTILE):
            page = open_page(name, text, color_scheme=scheme, viewport=viewport).page
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            assert page.evaluate(CONTRAST) == [], name
            dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 26)"
            assert dark == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_no_serious_fault(open_page: Open, name: str, scheme: str) -> None:
    """``AXE`` is the path of axe.min.js (npm: axe-core), which is not part of this repository."""
    script = os.environ.get("AXE")
    if not script:
        pytest.skip("AXE does not name axe.min.js (npm pack axe-core)")
    page = open_page(name, color_scheme=scheme).page
    page.evaluate(Path(script).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then((result) => result.violations)")
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in serious] == []
