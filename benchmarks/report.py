"""Time to open a report of many documents and to search in it, in a real Chromium driven by Playwright.

``open_seconds``: from loading the file until a click shows the next document; ``search_seconds``: from typing a
document's name until the list shows only that document. Documents of about 8 kB, two versions of each. The pages are those of the
browser's tests.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

from timing import arguments, report

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--documents", type=int, default=500)
    options = parser.parse_args()
    import report_values as values
    from playwright.sync_api import sync_playwright

    from prox_spark.reporting.page import render, write
    from prox_spark.reporting.pictures import pictures

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("no Chromium on this machine (Debian: apt-get install chromium)")
    last = f"page-{options.documents - 1:04}"
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        file = Path(scratch) / "report.html"
        facts = values.two()
        write(render(facts, pictures(facts), values.pages(options.documents), seed=0), file)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        began = time.monotonic()
        page.goto(file.as_uri(), wait_until="commit")
        page.wait_for_selector("#list li[aria-selected=true]")
        page.locator("#next").click()
        assert page.locator("#document-title").inner_text() == "page-0001"
        opened = time.monotonic()
        page.locator("#search").fill(last)
        page.get_by_text(f"1 of {options.documents} documents").first.wait_for()
        searched = time.monotonic()
        size = file.stat().st_size
        browser.close()
    result = {"open_seconds": opened - began, "search_seconds": searched - opened, "megabytes": size / 1e6}
    report({"benchmark": "report", **result, "documents": options.documents}, options.output)


if __name__ == "__main__":
    main()
