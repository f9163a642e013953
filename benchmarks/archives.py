"""Archives of other projects' tests, read by this package and by warcio: the table in ``docs/corpora.md``.

``archives.py FOLDER…``: for each file below with an archive's name: records, pages, skipped and quarantined records by reason,
beside warcio's counts of records and of responses with status 200 and a content type of pages; and the differences between
the two. For pages that both read, the text is compared with the text that this package extracts from warcio's body.
"""

import argparse
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from timing import machine
from warcio.archiveiterator import ArchiveIterator

from prox_spark.corpora.encodings import decode_page
from prox_spark.corpora.extraction_process import NoText, html_to_text
from prox_spark.corpora.read import read_file
from prox_spark.corpora.records import Tally

NAME = re.compile(r"\.(warc|wet|arc)(\.(gz|zst|bz2|xz|lz4))?$")
CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';,]+)""", re.IGNORECASE)
COLUMNS = (
    "archive", "records", "pages", "the rest, by reason",
    "warcio: records", "warcio: pages", "other texts", "warcio: remarks",
)  # fmt: skip
PAGES = ("text/html", "application/xhtml+xml", "text/plain")


class Seen(NamedTuple):
    """A reader's results: records, pages, texts by record id, and the rest by reason."""

    records: int
    pages: int
    texts: dict[str, str]
    reasons: Counter[str]


def ours(path: Path) -> Seen:
    tally, texts = Tally(), {}
    pages, reasons = 0, Counter[str]()
    for batch in read_file(str(path), "wet" if ".wet" in path.name else "warc", tally=tally):
        for row in batch.to_pylist():
            if row["text"] is None:
                reasons[row["error_class"]] += 1
            else:
                texts[row["doc_id"]] = row["text"]
                pages += 1
    reasons += tally.passed
    return Seen(pages + reasons.total(), pages, texts, reasons)


def text_of(record: Any, content_type: str) -> str | None:
    """The text that this package extracts from the body as decoded by warcio; ``None`` if warcio cannot decode it."""
    found = CHARSET.search(content_type)
    charset = found[1] if found else None
    try:
        body = record.content_stream().read()
        return (
            decode_page(body, charset, html=False) if "plain" in content_type else html_to_text(body, charset, "text")
        )
    except (NoText, AttributeError):  # warcio 1.8 and brotli's newest decompressor
        return None


def theirs(path: Path) -> Seen:
    texts: dict[str, str] = {}
    records = pages = 0
    reasons = Counter[str]()
    with path.open("rb") as file:
        try:
            for record in ArchiveIterator(file, arc2warc=True):
                records += 1
                head = record.http_headers
                content_type = (head.get_header("content-type") or "").lower() if head else ""
                if (
                    record.rec_type == "response"
                    and head
                    and head.get_statuscode() == "200"
                    and content_type.startswith(PAGES)
                ):
                    pages += 1
                    text = text_of(record, content_type)
                    if text is None:
                        reasons["body not decoded"] += 1
                    else:
                        texts[record.rec_headers.get_header("WARC-Record-ID")] = text
                record.raw_stream.read()
        except Exception as error:  # noqa: BLE001 -- where it stops is the result
            reasons[f"stops: {type(error).__name__}"] += 1
    return Seen(records, pages, texts, reasons)


def shown(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--differences", action="store_true", help="only archives where the two differ")
    options = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    sums = Counter[str]()
    for folder in options.folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and NAME.search(path.name)):
            we, they = ours(path), theirs(path)
            other = sum(text != we.texts[one] for one, text in they.texts.items() if one in we.texts)
            differs = we[:2] != they[:2] or other > 0
            sums += Counter(archives=1, differ=differs, records=we.records, pages=we.pages, other_texts=other)
            sums += Counter(warcio_records=they.records, warcio_pages=they.pages)
            if differs or not options.differences:
                row = (path.relative_to(folder), *we[:2], shown(we.reasons), *they[:2], other, shown(they.reasons))
                print(f"| {' | '.join(map(str, row))} |")
    print(f"\n{dict(sums)}\n{machine()}")


if __name__ == "__main__":
    main()
