"""Write test results by verb and version of Spark into docs/platforms.md: ``make versions`` after ``make test-spark``."""

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "platforms.md"
BEGIN, END = "<!-- versions: written by make versions -->", "<!-- end of versions -->"
OTHER = "other tests"


def read(file: Path) -> dict[str, Counter[str]]:
    """For each verb, and for all other tests together, the numbers of passed, failed and skipped tests."""
    found: dict[str, Counter[str]] = {}
    for case in ElementTree.parse(file).iter("testcase"):
        name = case.get("name") or ""
        row = name.partition("[")[2].rstrip("]").partition("-")[2] if name.startswith("test_verb[") else OTHER
        tags = {child.tag for child in case}
        outcome = "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
        found.setdefault(row, Counter())[outcome] += 1
    return found


def shown(counts: Counter[str]) -> str:
    """The text of a cell."""
    parts = [f"{counts['passed']} passed" if counts["passed"] else ""]
    parts += [f"{counts[outcome]} {outcome}" for outcome in ("failed", "skipped") if counts[outcome]]
    return ", ".join(filter(None, parts))


def table(files: Sequence[Path]) -> str:
    """The Markdown table of these results, one column each."""
    results = {file.stem: read(file) for file in sorted(files)}
    rows = list(dict.fromkeys(row for result in results.values() for row in result))
    rows = [*(row for row in rows if row != OTHER), OTHER]
    lines = [f"| verb | {' | '.join(f'Spark {version}' for version in results)} |", "|---" * (len(results) + 1) + "|"]
    for row in rows:
        cells = (shown(result.get(row, Counter())) or "not run" for result in results.values())
        lines.append(f"| {row if row == OTHER else f'`{row}`'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(files: Sequence[Path]) -> int:
    """Replace the table on the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(files)}\n\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main([Path(word) for word in sys.argv[1:]]))
