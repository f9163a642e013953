"""HTTP answers as servers and crawlers write them: heads, media types and codings."""

import gzip
import random
import zlib
from pathlib import Path

import brotli
import pytest
import zstandard
from corpora_helpers import errors, read
from warc_helpers import HTML, one, packed, page, pages, record, response, write

from prox_spark.corpora import warc
from prox_spark.corpora.records import Tally


@pytest.mark.parametrize(
    "line",
    ["HTTP/1.1 200 OK", "http/1.1 200 OK", "HTTP/1.1  200  OK", "HTTP/1.1 200", "HTTP/2 200 ", "\r\nHTTP/1.0\t200 Ok"],
)
def test_odd_status_lines_are_read(tmp_path: Path, line: str) -> None:
    block = f"{line}\r\nContent-Type: text/html\r\n\r\n<p>x</p>".encode()
    assert pages(write(tmp_path, packed(record("response", block, 0, "application/http")))) == ["x"]


@pytest.mark.parametrize(
    "first",
    [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
        "HTTP/1.1 100 Continue\n\n",
    ],
)
def test_interim_responses_before_the_answer_are_skipped(tmp_path: Path, first: str) -> None:
    block = f"{first}HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>x</p>".encode()
    assert pages(write(tmp_path, packed(record("response", block, 0, "application/http")))) == ["x"]


@pytest.mark.parametrize("line", ["HTTP/1.1 OK", "200 OK", "<p>x</p>", ""])
def test_an_answer_without_status_is_a_row(tmp_path: Path, line: str) -> None:
    block = f"{line}\r\nContent-Type: text/html\r\n\r\n<p>x</p>".encode()
    rows = read(write(tmp_path, packed(record("response", block, 0, "application/http"), page(1))), "warc")
    assert errors(rows) == [(0, "MalformedHttp")]


@pytest.mark.parametrize(
    ("fields", "body", "media_type"),
    [
        ("", b"<!doctype html><p>x</p>", "text/html"),
        ("Content-Type:\r\n", b"  <!-- c --><div>x</div>", "text/html"),
        ("Content-Type: html\r\n", b"\xef\xbb\xbf<html><p>x</p>", "text/html"),
        ("Content-Type: \r\nContent-Type: text/html\r\n", b"<p>x</p>", "text/html"),
        ("Content-Type: text/html, text/html; charset=utf-8\r\n", b"<p>x</p>", "text/html"),
        ("Content-Type: TEXT/HTML charset=utf-8\r\n", b"<p>x</p>", "text/html"),
        ("content-type:\r\n\ttext/html\r\n", b"<p>x</p>", "text/html"),
        ("X: y\r\n", b"x", "text/plain"),
        ("Content-Type: unknown/unknown\r\n", b"<p>x</p>", "text/html"),
    ],
)
def test_a_media_type_that_is_missing_or_odd_is_found(
    tmp_path: Path, fields: str, body: bytes, media_type: str
) -> None:
    block = f"HTTP/1.1 200 OK\r\n{fields}\r\n".encode() + body
    (row,) = read(write(tmp_path, packed(record("response", block, 0, "application/http"))), "warc")
    assert row["text"].strip() == "x"
    assert row["metadata"]["content_type"] == media_type


@pytest.mark.parametrize(
    "text",
    [
        "a few words\nand more\n",
        "BM is two letters",
        "ID3 tags",
        "# Title\r\n\r\nprose",
        "\x1b[1mbold\x1b[0m\n",
        "a,b\n1,2\n",
        "привет мир\n" * 9,
        "x" * 9_000 + "\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1251"])
def test_a_text_without_a_media_type_is_a_page(tmp_path: Path, text: str, encoding: str) -> None:
    block = b"HTTP/1.1 200 OK\r\n\r\n" + text.encode(encoding)
    (row,) = read(write(tmp_path, packed(record("response", block, 0, "application/http"))), "warc")
    assert (row["text"], row["metadata"]["content_type"]) == (text, "text/plain")


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"BM\x36\0\0\0\0\0\0\0", "image/bmp"),
        (b"some bytes \x01\x02\x03\n", "application/octet-stream"),
        (b'<?xml version="1.0"?>\n<rss>\n</rss>\n', "application/xml"),
        (b"%!PS-Adobe-3.0\n", "application/postscript"),
    ],
)
def test_what_is_no_page_and_has_no_media_type_is_counted(tmp_path: Path, body: bytes, media_type: str) -> None:
    tally = Tally()
    block = b"HTTP/1.1 200 OK\r\n\r\n" + body
    assert read(write(tmp_path, packed(record("response", block, 0, "application/http"))), "warc", tally=tally) == []
    assert tally.passed == {f"media type {media_type}, by its bytes": 1}


def test_an_unexpected_error_costs_its_record_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = warc.parse_response

    def failing(block: bytes) -> object:
        if b"page 1" in block:
            raise OverflowError
        return whole(block)

    monkeypatch.setattr(warc, "parse_response", failing)
    rows = read(write(tmp_path, packed(page(0), page(1), page(2))), "warc")
    assert [row["position"] for row in rows] == [0, 1, 2]
    assert errors(rows) == [(1, "MalformedWarc")]
    assert rows[1]["doc_id"] == "<urn:uuid:1>"


def test_an_image_is_counted_whatever_its_codings_and_whether_its_type_is_named(tmp_path: Path) -> None:
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    unnamed = record("response", b"HTTP/1.1 200 OK\r\n\r\n" + png, 2, "application/http")
    members = [
        response(0, png, "image/png", headers="Content-Encoding: gzip\r\n"),
        response(1, b"<p>gone</p>", status="404 Not Found", headers="Transfer-Encoding: chunked\r\n"),
        unnamed,
        page(3),
    ]
    tally = Tally()
    rows = read(write(tmp_path, packed(*members)), "warc", tally=tally)
    assert [(row["position"], row["text"].strip()) for row in rows] == [(3, "page 3")]
    assert tally.passed == {"media type image/png": 1, "status 404": 1, "media type image/png, by its bytes": 1}


@pytest.mark.parametrize("content_type", ["text/html", "text/plain; charset=utf-8", "application/xhtml+xml"])
@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg"),
        (b"GIF89a\x01\0\x01\0", "image/gif"),
        (b"%PDF-1.4\n%\xd3\xeb", "application/pdf"),
        (b"PK\x03\x04\x14\0", "application/zip"),
        (b"\0\0\0\x18ftypmp42", "video/mp4"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (gzip.compress(b"a.txt" + b"\0" * 252 + b"ustar\x0000"), "application/x-tar"),
    ],
)
def test_what_a_server_calls_a_page_is_counted_as_what_its_bytes_are(
    tmp_path: Path, content_type: str, body: bytes, media_type: str
) -> None:
    tally = Tally()
    path = write(tmp_path, packed(response(0, body, content_type), page(1)))
    assert [row["position"] for row in read(path, "warc", tally=tally)] == [1]
    assert tally.passed == {f"media type {media_type}, by its bytes": 1}


@pytest.mark.parametrize(
    "start", ["GIF89a is a format", "The ftyp box", "PK and Rar!", "RIFF, then WEBP", "\ufeffPNG", "x^2 + y^2 = z^2"]
)
def test_a_text_about_formats_is_a_page(tmp_path: Path, start: str) -> None:
    assert one(tmp_path, start.encode(), "text/plain")["text"].endswith(start.removeprefix("\ufeff"))


def test_a_page_that_is_compressed_once_more_than_it_says_is_read(tmp_path: Path) -> None:
    assert one(tmp_path, gzip.compress(HTML))["text"].strip() == "a few words of prose"
    twice = gzip.compress(gzip.compress(HTML))
    assert one(tmp_path, twice, headers="Content-Encoding: gzip\r\n")["text"].strip() == "a few words of prose"


def chunks(body: bytes, end: bytes = b"\r\n", size: int = 10) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)] + [b""]
    return b"".join(b"%x;a=b" % len(part) + end + part + end for part in parts)


RAW_DEFLATE = zlib.compressobj(wbits=-zlib.MAX_WBITS)
DEFLATED = RAW_DEFLATE.compress(HTML) + RAW_DEFLATE.flush()


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ("Content-Encoding: gzip", gzip.compress(HTML)),
        ("Content-Encoding: GZIP", gzip.compress(HTML) + b"\0\0junk"),
        ("Content-Encoding: gzip", gzip.compress(HTML)[:-4]),
        ("Content-Encoding: gzip", gzip.compress(HTML)[:-8] + b"\0" * 8),
        ("Content-Encoding: gzip", gzip.compress(HTML[:20]) + gzip.compress(HTML[20:])),
        ("Content-Encoding: deflate", zlib.compress(HTML)),
        ("Content-Encoding: deflate", DEFLATED + b"\r\n"),
        ("Content-Encoding: br", brotli.compress(HTML)),
        ("Content-Encoding: br", brotli.compress(HTML * 50) + b"junk"),
        ("Content-Encoding: zstd", zstandard.compress(HTML)),
        ("Content-Encoding: zstd", HTML),
        ("Content-Encoding: zstd", zstandard.compress(HTML) + b"junk"),
        ("Content-Encoding: zstd", b"\x50\x2a\x4d\x18\x02\0\0\0ab" + zstandard.compress(HTML)),
        ("Content-Encoding: zstd", zstandard.compress(HTML[:20]) + zstandard.compress(HTML[20:])),
        ("Content-Encoding: gzip", zlib.compress(HTML)),
        ("Content-Encoding: deflate", gzip.compress(HTML)),
        ("Content-Encoding: deflate", HTML),
        ("Content-Encoding: identity, , nonsense", HTML),
        ("Content-Encoding: gzip, br", brotli.compress(gzip.compress(HTML))),
        ("Transfer-Encoding: chunked", chunks(HTML)),
        ("Transfer-Encoding: chunked", chunks(HTML, b"\n")),
        ("Transfer-Encoding: chunked", chunks(HTML)[:-3]),
        ("Transfer-Encoding: Chunked\r\nContent-Encoding: gzip", chunks(gzip.compress(HTML))),
        ("Transfer-Encoding: gzip, chunked", chunks(gzip.compress(HTML))),
    ],
)
def test_a_body_is_read_whatever_its_codings(tmp_path: Path, fields: str, body: bytes) -> None:
    row = one(tmp_path, body, headers=f"{fields}\r\n")
    assert row["text"].split("\n")[0].strip() == "a few words of prose"


@pytest.mark.parametrize("start", ["\n", "Kings", "* a", "2 b", "some", "été ", "日本"])
@pytest.mark.parametrize("coding", ["deflate", "gzip", "br", "zstd"])
def test_text_that_is_not_compressed_stays_whole_whatever_its_first_letter(
    tmp_path: Path, start: str, coding: str
) -> None:
    text = f"{start} and a few words of prose that follow it"
    row = one(tmp_path, text.encode(), "text/plain; charset=utf-8", headers=f"Content-Encoding: {coding}\r\n")
    assert row["text"] == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n", "abcdefgh"),
        (b"5\r\nabcde\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n", "abcde"),
        (b"0000000000000000000005\r\nabcde\r\n0\r\n\r\n", "abcde"),
        (b"A \r\nabcdefghij\r\n0\r\n\r\n", "abcdefghij"),
        (b"\r\n5\r\nabcde\r\n\r\n3\r\nfgh\r\n0\r\n\r\n", "abcdefgh"),
        (b"5\r\nabcde3\r\nfgh0\r\n\r\n", "abcdefgh"),
        (b"5\r\nabcde\r\n3;a", "abcde"),
        (b"FFFFFFFFFFFFFFFF\r\nabcde", "abcde"),
        (b"0\r\n\r\n", ""),
        # Not chunked, or counted wrongly: nothing is lost.
        (b"10\nlittle piggies", "10\nlittle piggies"),
        (b"2\nlittle piggies", "2\nlittle piggies"),
        (b"0\nlittle piggies", "0\nlittle piggies"),
        (b"5\r\nabcde\r\n2\r\nfgh\r\n0\r\n\r\n", "abcde2\r\nfgh\r\n0\r\n\r\n"),
    ],
)
def test_chunks_are_joined_and_what_is_no_chunk_stays(tmp_path: Path, body: bytes, text: str) -> None:
    path = write(tmp_path, packed(response(0, body, "text/plain", headers="Transfer-Encoding: chunked\r\n"), page(1)))
    rows = read(path, "warc")
    assert [row["text"].strip() for row in rows] == [text.strip(), "page 1"]


@pytest.mark.parametrize(
    "block",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 \r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n \t\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n<!DOCTYPE html>\n<p>a\n\n</p>",
        b"HTTP/1.1 200 OK\rContent-Type: text/html\r\r",
    ],
)
def test_heads_with_odd_ends_and_interim_responses_cost_no_page(tmp_path: Path, block: bytes) -> None:
    (row,) = read(write(tmp_path, packed(record("response", block + b"<p>b</p>", 0, "application/http"))), "warc")
    assert row["text"].split()[-1] == "b"
    assert row["text"].split() == (["a", "b"] if b"<p>" in block else ["b"])


def test_an_interim_response_without_a_response_is_counted(tmp_path: Path) -> None:
    tally = Tally()
    block = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert read(write(tmp_path, packed(record("response", block, 0, "application/http"))), "warc", tally=tally) == []
    assert tally.passed == {"status 100": 1}


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate"])
def test_what_stands_before_the_damage_of_a_body_is_read(tmp_path: Path, coding: str) -> None:
    noise = random.Random(0).randbytes(40_000).hex()
    html = f"<p>first words</p><p>{noise}</p>".encode()
    body = {"gzip": gzip.compress, "br": brotli.compress, "deflate": zlib.compress}[coding](html)
    row = one(tmp_path, body[: len(body) // 2], headers=f"Content-Encoding: {coding}\r\n")
    assert row["text"].strip().startswith("first words")
    assert len(row["text"]) > 10_000
    cut = response(0, body[:9], headers=f"Content-Encoding: {coding}\r\n")
    assert errors(read(write(tmp_path, packed(cut, page(1))), "warc")) == []


def test_an_empty_compressed_body_is_an_empty_page(tmp_path: Path) -> None:
    assert one(tmp_path, gzip.compress(b""), headers="Content-Encoding: gzip\r\n")["text"] == ""
    assert one(tmp_path, b"", headers="Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")["text"] == ""
