"""Quality and speed of each extractor of ``input.extract``, which extract text from HTML.

Quality: ``--html FOLDER`` is a checkout of scrapinghub's article-extraction-benchmark (MIT), whose pages are in
../shared/gold/{train,dev}.jsonl.zst with human labels (``doc_id`` is ``sh-`` and the start of a page's name there). Of each
page's extracted text, the words are compared with those of ``gold_text``, each as often as it occurs: precision, recall and F1,
averaged over pages. Without ``--html`` this part is skipped.

Speed: pages per second of processor time, of this process and its children, from a synthetic WARC file to Arrow batches; the best
of ``ROUNDS``. ``…_without_child``: every page parsed in the reading process, without limits.
"""

import gzip
import io
import json
import random
import re
import resource
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard
from corpus import documents
from timing import SHARED, arguments, report

from prox_spark.corpora import extraction_process
from prox_spark.corpora.extraction import EXTRACTORS
from prox_spark.corpora.extraction_process import NoText, end_children, html_to_text
from prox_spark.corpora.read import read_file

PAGES = 500
SLOW_PAGES = 100
ROUNDS = 5
WORD = re.compile(r"\w+")


def labelled(folder: Path) -> Iterator[tuple[bytes, str]]:
    """The gold pages with HTML, each with its gold text."""
    names = {path.name[:16]: path for path in (folder / "html").glob("*.html.gz")}
    for part in ("dev", "train"):
        with zstandard.open(SHARED / "gold" / f"{part}.jsonl.zst") as file:
            for line in io.TextIOWrapper(file, encoding="utf-8"):
                record = json.loads(line)
                path = names.get(record["doc_id"].removeprefix("sh-"))
                if record["source"] == "scrapinghub" and path is not None:
                    yield gzip.decompress(path.read_bytes()), record["gold_text"]


def score(text: str, gold: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of words."""
    found, wanted = Counter(WORD.findall(text.lower())), Counter(WORD.findall(gold.lower()))
    both = (found & wanted).total()
    if not both:
        return 0.0, 0.0, 0.0
    return both / found.total(), both / wanted.total(), 2 * both / (found.total() + wanted.total())


def quality(folder: Path) -> dict[str, Any]:
    pages = list(labelled(folder))
    if not pages:
        raise SystemExit(f"{folder}: no html/*.html.gz of the gold's pages")
    result: dict[str, Any] = {"labelled_pages": len(pages)}
    for name in EXTRACTORS:
        scores, empty, refused = [], 0, 0
        for html, gold in pages:
            try:
                text = html_to_text(html, None, name)
            except NoText:
                text, refused = "", refused + 1
            empty += not text.strip()
            scores.append(score(text, gold))
        for kind, values in zip(("precision", "recall", "f1"), zip(*scores, strict=True), strict=True):
            result[f"{name}_{kind}"] = sum(values) / len(values)
        result |= {f"{name}_empty": empty, f"{name}_refused": refused}
    return result


def html_page(number: int, text: str) -> bytes:
    """A web page: some navigation, the text in paragraphs, a list and a table, scripts and a footer."""
    links = "".join(f'<li class="menu-item item-{n}"><a href="/section/{n}">Section {n}</a></li>' for n in range(60))
    paragraphs = "".join(f'<div class="block"><p>{line}</p></div>\n' for line in text.split("\n"))
    rows = "".join(f"<tr><td>row {n}</td><td><b>{n * number}</b></td></tr>" for n in range(30))
    script = "<script>" + "var x = [1, 2, 3]; if (x < 4) { x.push(5); }\n" * 150 + "</script>"
    return (
        f"<!doctype html><html><head><meta charset=utf-8><title>Page {number}</title>{script}</head><body>"
        f"<nav><ul>{links}</ul></nav><main><h1>Page {number}</h1>{paragraphs}<table>{rows}</table></main>"
        f"{script}<footer><ul>{links}</ul></footer></body></html>"
    ).encode()


def write_archive(path: Path, count: int) -> None:
    """Pages of log-normal sizes, about 50 kB, each with its request, one gzip member per record."""
    sizes = random.Random(0)
    texts = documents(count, 3_000)
    more = documents(100, 2_000)
    pool = list(more)
    with path.open("wb") as file:
        for number, text in enumerate(texts):
            longer = "\n".join([text, *sizes.choices(pool, k=int(sizes.lognormvariate(1.5, 1.0)))])
            block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + html_page(number, longer)
            for kind, data in (("request", b"GET / HTTP/1.1\r\n\r\n"), ("response", block)):
                head = (
                    f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:x:{kind}:{number}>\r\n"
                    f"WARC-Target-URI: https://a.example/{number}\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
                    "WARC-Identified-Payload-Type: text/html\r\n"
                    f"Content-Type: application/http; msgtype={kind}\r\nContent-Length: {len(data)}\r\n\r\n"
                )
                file.write(gzip.compress(head.encode() + data + b"\r\n\r\n", mtime=0))


def cpu_seconds_with_children() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def pages_per_cpu_second(path: Path, count: int, name: str, rounds: int = ROUNDS) -> float:
    best = 0.0
    for _ in range(rounds):
        start = cpu_seconds_with_children()
        rows = sum(batch.num_rows for batch in read_file(str(path), "warc", extract=name))
        end_children()
        assert rows == count
        best = max(best, count / (cpu_seconds_with_children() - start))
    return best


def speed() -> dict[str, Any]:
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path, short = Path(folder, "x.warc.gz"), Path(folder, "short.warc.gz")
        write_archive(path, PAGES)
        write_archive(short, SLOW_PAGES)
        result["archive_bytes_a_page"] = path.stat().st_size / PAGES
        for name, one in EXTRACTORS.items():
            key = f"{name}_pages_per_cpu_second"
            if one.apart:
                result[key] = pages_per_cpu_second(short, SLOW_PAGES, name, 1)
                continue
            limits = extraction_process._SMALL_PAGE, extraction_process._SMALL_PRODUCT
            for without in (False, True) * 2:
                extraction_process._SMALL_PAGE, extraction_process._SMALL_PRODUCT = (
                    (1 << 40, 1 << 80) if without else limits
                )
                full = f"{key}_without_child" if without else key
                result[full] = max(result.get(full, 0.0), pages_per_cpu_second(path, PAGES, name))
            extraction_process._SMALL_PAGE, extraction_process._SMALL_PRODUCT = limits
    return result


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--html", type=Path, help="a checkout of scrapinghub/article-extraction-benchmark")
    options = parser.parse_args()
    found = {"quality": "skipped: no --html"} if options.html is None else quality(options.html)
    report({"benchmark": "extractors", **found, **speed()}, options.output)


if __name__ == "__main__":
    main()
