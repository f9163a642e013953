"""Random archives, written by warcio and by FastWARC with oddities of the web: warcio and this package read the same pages."""

import gzip
import io
import tempfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import brotli
import pytest
import zstandard
from corpora_helpers import read
from fastwarc.warc import WarcRecord, WarcRecordType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prox_spark.corpora.extraction_process import html_to_text
from prox_spark.corpora.records import Tally

warcio = pytest.importorskip("warcio")

from warcio.archiveiterator import ArchiveIterator  # noqa: E402
from warcio.recordloader import ArcWarcRecord  # noqa: E402
from warcio.statusandheaders import StatusAndHeaders  # noqa: E402
from warcio.warcwriter import WARCWriter  # noqa: E402


def chunked(body: bytes) -> bytes:
    pieces = [body[start : start + 7] for start in range(0, len(body), 7)]
    return b"".join(b"%x;a=b\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


CODINGS = {
    "": ("", bytes),
    "gzip": ("Content-Encoding: gzip", gzip.compress),
    "gzip and more bytes": ("Content-Encoding: gzip", lambda body: gzip.compress(body) + b"more"),
    "gzip, declared only": ("Content-Encoding: gzip", bytes),
    "deflate": ("Content-Encoding: deflate", zlib.compress),
    "raw deflate": ("content-encoding: deflate", raw_deflate),
    "br": ("Content-Encoding: br", brotli.compress),
    "none": ("Content-Encoding: none", bytes),
    "a charset": ("Content-Encoding: UTF-8", bytes),
    "chunked": ("Transfer-Encoding: chunked", chunked),
    "chunked, declared only": ("Transfer-Encoding: chunked", bytes),
    "chunked and gzip": (
        "Transfer-Encoding: chunked\r\nContent-Encoding: gzip",
        lambda body: chunked(gzip.compress(body)),
    ),
}
STATUS_LINES = ("HTTP/1.1 200 OK", "HTTP/1.0 200", "http/1.1 200 OK", "HTTP/1.1  200  OK", "HTTP/1.1 404 Not Found", "")
TYPES = (
    "text/html",
    "text/html; charset=utf-8",
    "TEXT/HTML",
    "application/xhtml+xml",
    "image/png",
    None,
    "text/html, a/b",
)


class Made(NamedTuple):
    """A record to be written, and the text of its page; none where it is to be passed over or refused."""

    kind: str
    status: str
    media_type: str | None
    coding: str
    text: str

    def block(self) -> bytes:
        if self.kind != "response":
            return b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
        field, encode = CODINGS[self.coding]
        fields = [self.status, f"Content-Type: {self.media_type}" if self.media_type else "X: y", field]
        return "\r\n".join(filter(None, fields)).encode() + b"\r\n\r\n" + encode(self.body)

    @property
    def body(self) -> bytes:
        return f"<html><body><p>{self.text}</p></body></html>".encode()

    @property
    def is_page(self) -> bool:
        return self.kind == "response" and "200" in self.status and self.media_type != "image/png"


records = st.builds(
    Made,
    st.sampled_from(["response", "response", "response", "request"]),
    st.sampled_from(STATUS_LINES),
    st.sampled_from(TYPES),
    st.sampled_from(list(CODINGS)),
    st.text("ab é語", min_size=1, max_size=40),
)


def written_by_warcio(made: list[Made]) -> list[bytes]:
    found = []
    for number, one in enumerate(made):
        stream = io.BytesIO()
        writer = WARCWriter(stream, gzip=False)
        headers = StatusAndHeaders(
            "WARC/1.0",
            [
                ("WARC-Type", one.kind),
                ("WARC-Record-ID", f"<urn:uuid:{number}>"),
                ("WARC-Target-URI", f"https://example.org/{number}"),
                ("WARC-Date", "2024-01-02T03:04:05Z"),
                ("Content-Type", f"application/http; msgtype={one.kind}"),
                ("Content-Length", str(len(one.block()))),
            ],
        )
        block = io.BytesIO(one.block())  # written as it is, whatever HTTP it holds
        record = ArcWarcRecord("warc", one.kind, headers, block, None, None, len(one.block()))
        writer.write_record(record)
        found.append(stream.getvalue())
    return found


def written_by_fastwarc(made: list[Made]) -> list[bytes]:
    found = []
    for number, one in enumerate(made):
        record = WarcRecord()
        kind = WarcRecordType.response if one.kind == "response" else WarcRecordType.request
        record.init_headers(record_type=kind)
        record.headers["WARC-Record-ID"] = f"<urn:uuid:{number}>"
        record.headers["WARC-Target-URI"] = f"https://example.org/{number}"
        record.headers["Content-Type"] = f"application/http; msgtype={one.kind}"
        record.set_bytes_content(one.block())
        stream = io.BytesIO()
        record.write(stream)
        found.append(stream.getvalue())
    return found


WRITERS = {"warcio": written_by_warcio, "fastwarc": written_by_fastwarc}

PACKINGS = {
    "plain": b"".join,
    "a gzip member each": lambda parts: b"".join(map(gzip.compress, parts)),
    "one gzip member": lambda parts: gzip.compress(b"".join(parts)),
    "empty gzip members between": lambda parts: b"".join(gzip.compress(one) + gzip.compress(b"") for one in parts),
    "padding between": lambda parts: b"".join(gzip.compress(one) + bytes(512) for one in parts),
    "a zstd frame each": lambda parts: b"".join(map(zstandard.compress, parts)),
}
OF_WARCIO = ("plain", "a gzip member each")
"""What warcio reads as it is. The others hold the same records: warcio is given them in its own packing."""


def pages_of_warcio(data: bytes) -> dict[str, str]:
    """The pages that warcio finds: answers of status 200 that say that they are HTML."""
    found = {}
    for record in ArchiveIterator(io.BytesIO(data)):
        headers = record.http_headers
        if record.rec_type != "response" or headers is None or headers.get_statuscode() != "200":
            continue
        kind = (headers.get_header("Content-Type") or "").split(";")[0].strip().lower()
        if kind in ("text/html", "application/xhtml+xml"):
            try:
                body = record.content_stream().read()
            except AttributeError:  # of warcio with new versions of brotli
                continue
            found[record.rec_headers.get_header("WARC-Record-ID")] = html_to_text(body, "utf-8", "text")
    return found


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("writer", WRITERS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=st.lists(records, min_size=1, max_size=6))
def test_the_same_pages_as_warcio_or_a_reason(writer: str, packing: str, made: list[Made]) -> None:
    parts = WRITERS[writer](made)
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.warc")
        path.write_bytes(PACKINGS[packing](parts))
        rows: list[dict[str, Any]] = read(path, "warc", tally=tally)
    texts = {row["doc_id"]: row["text"] for row in rows if row["text"] is not None}
    assert len(rows) + tally.passed.total() == len(made)
    assert texts == {
        f"<urn:uuid:{number}>": html_to_text(one.body, "utf-8", "text")
        for number, one in enumerate(made)
        if one.is_page
    }
    theirs = pages_of_warcio(PACKINGS[packing if packing in OF_WARCIO else "plain"](parts))
    assert {name: texts.get(name) for name in theirs} == theirs


def test_cut_archives_give_the_pages_before_the_cut_and_a_row() -> None:
    made = [Made("response", STATUS_LINES[0], "text/html", "", f"page {number}") for number in range(4)]
    parts = written_by_warcio(made)
    for packing in OF_WARCIO:
        data = PACKINGS[packing](parts)
        for cut in range(len(data) - 1, 0, -101):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "x.warc")
                path.write_bytes(data[:cut])
                rows = read(path, "warc")
            read_whole = sum(len(PACKINGS[packing](parts[: n + 1])) <= cut for n in range(4))
            texts = [row["text"].strip() for row in rows if row["text"] is not None]
            assert texts[:read_whole] == [f"page {number}" for number in range(read_whole)]
            assert len(rows) == len(texts) or rows[-1]["error_class"] in ("TruncatedFile", "BrokenFile")
            assert rows
