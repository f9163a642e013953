"""WARC and WET: what is read, and what is quarantined instead."""

import gzip
import random
from pathlib import Path

import pytest
from corpora_helpers import errors, read, texts
from warc_helpers import page, record, response

from prox_spark.corpora import warc


def write(folder: Path, members: list[bytes], *, packed: bool = True) -> Path:
    path = folder / ("x.warc.gz" if packed else "x.warc")
    path.write_bytes(b"".join(map(gzip.compress, members) if packed else members))
    return path


def test_html_becomes_lines_of_visible_text_of_the_whole_page(tmp_path: Path) -> None:
    html = (
        b"<html><head><title>T</title><style>p{}</style><script>bad()</script></head><body>"
        b"<nav><ul><li><a href=/a>Home</a></li><li><a href=/b>About</a></li></ul></nav>"
        b"<h1>Head</h1><p>One &amp; <b>two</b></p><p>Three<br>four</p><footer>Imprint</footer></body></html>"
    )
    (row,) = read(write(tmp_path, [response(1, html)]), "warc")
    lines = [line.strip(" \t\u2022*-") for line in row["text"].split("\n") if line.strip()]
    assert lines == ["Home", "About", "Head", "One & two", "Three", "four", "Imprint"]


def test_url_id_date_and_status_come_from_the_record(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, [page(7)]), "warc")
    assert (row["doc_id"], row["url"], row["source"]) == ("<urn:uuid:7>", "https://example.org/7", "warc")
    assert row["metadata"] == {"WARC-Date": "2024-01-02T03:04:05Z", "status": "200", "content_type": "text/html"}


def test_other_records_other_types_and_other_statuses_are_passed_over(tmp_path: Path) -> None:
    members = [
        record("warcinfo", b"software: x", 0, "application/warc-fields"),
        record("request", b"GET / HTTP/1.1\r\n\r\n", 1, "application/http; msgtype=request"),
        response(2, b"<p>gone</p>", status="404 Not Found"),
        response(3, b"\x89PNG", content_type="image/png"),
        response(4, b"plain words", content_type="text/plain"),
        response(5, b"<p>x</p>", content_type="application/xhtml+xml"),
        record("metadata", b"a: b", 6, "application/warc-fields"),
    ]
    rows = read(write(tmp_path, members), "warc")
    assert [(row["position"], row["text"].strip()) for row in rows] == [(4, "plain words"), (5, "x")]


@pytest.mark.parametrize(
    ("encoding", "content_type", "meta"),
    [
        ("utf-8", "text/html", ""),
        ("utf-8", "text/html; charset=nonsense", ""),
        ("windows-1252", "text/html; charset=windows-1252", ""),
        ("windows-1252", "text/html", '<meta charset="windows-1252">'),
        ("shift_jis", 'text/html; charset="Shift_JIS"', ""),
        ("utf-16", "text/html; charset=utf-8", ""),
    ],
)
def test_the_charset_is_taken_from_mark_header_or_page(
    tmp_path: Path, encoding: str, content_type: str, meta: str
) -> None:
    text = "日本語のページ" if encoding == "shift_jis" else "café naïve élan"
    body = f"<html><head>{meta}</head><body><p>{text}</p></body></html>".encode(encoding)
    (row,) = read(write(tmp_path, [response(1, body, content_type)]), "warc")
    assert row["text"].strip() == text


def test_chunked_and_compressed_answers_are_decoded(tmp_path: Path) -> None:
    packed = gzip.compress(b"<p>packed</p>")
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
    headers = "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"
    assert [one.strip() for one in texts(read(write(tmp_path, [response(1, chunked, headers=headers)]), "warc"))] == [
        "packed"
    ]


def test_wet_texts_are_read_as_they_are(tmp_path: Path) -> None:
    members = [
        record("warcinfo", b"software: x", 0, "application/warc-fields"),
        record("conversion", "één\nline\r\n".encode(), 1, "text/plain"),
        record("conversion", b"caf\xe9", 2, "text/plain"),
        record("conversion", b"", 3, "text/plain"),
    ]
    rows = read(write(tmp_path, members), "wet")
    assert texts(rows) == ["één\nline\r\n", ""]
    assert errors(rows) == [(2, "NotUtf8")]
    assert [row["doc_id"] for row in rows] == ["<urn:uuid:1>", "<urn:uuid:2>", "<urn:uuid:3>"]


@pytest.mark.parametrize("packed", [True, False])
def test_an_archive_cut_off_anywhere_keeps_what_stands_before_and_says_so(tmp_path: Path, packed: bool) -> None:
    path = write(tmp_path, [page(n) for n in range(3)], packed=packed)
    data = path.read_bytes()
    last = data.rindex(b"\x1f\x8b\x08" if packed else b"WARC/1.0")
    for end in range(last + 3, len(data) - 20):
        path.write_bytes(data[:end])
        rows = read(path, "warc")
        assert [one.strip() for one in texts(rows)] == ["page 0", "page 1"], end
        assert errors(rows) in ([(2, "TruncatedFile")], [(2, "BrokenFile")]), end


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("damage", ["version", "garbage"])
def test_a_damaged_record_costs_at_most_itself_and_its_neighbour(tmp_path: Path, packed: bool, damage: str) -> None:
    members = [page(n) for n in range(10)]
    members[5] = members[5].replace(b"WARC/1.0", b"XARC/1.0") if damage == "version" else b"\xff\0" * 100 + b"\r\n\r\n"
    rows = read(write(tmp_path, members, packed=packed), "warc")
    found = {one.strip() for one in texts(rows)}
    assert found >= {f"page {n}" for n in range(10) if n not in (4, 5)}
    assert "page 5" not in found
    assert [error for _, error in errors(rows)] == ["BrokenFile"]


@pytest.mark.parametrize("kind", ["small", "large", "other"])
def test_a_broken_gzip_member_costs_itself(tmp_path: Path, kind: str) -> None:
    noise = random.Random(0).randbytes(1_000_000).hex().encode()
    broken = {"small": page(5), "large": response(5, noise), "other": record("resource", noise, 5, "text/plain")}[kind]
    packed = [bytearray(gzip.compress(broken if n == 5 else page(n))) for n in range(10)]
    middle = 40 if kind == "small" else len(packed[5]) // 2
    packed[5][middle : middle + 40] = b"\xff" * 40
    path = tmp_path / "x.warc.gz"
    path.write_bytes(b"".join(packed))
    rows = read(path, "warc")
    assert [one.strip() for one in texts(rows)] == [f"page {n}" for n in range(10) if n != 5]
    assert errors(rows) == [(5, "BrokenFile")]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("length", [20, 700, 10**9])
def test_a_record_with_a_wrong_length_swallows_no_other(tmp_path: Path, packed: bool, length: int) -> None:
    members = [page(n) for n in range(10)]
    members[5] = response(5, b"<p>page 5</p>", length=length)
    rows = read(write(tmp_path, members, packed=packed), "warc")
    assert [one.strip() for one in texts(rows)] == [f"page {n}" for n in range(10) if n != 5]
    assert [position for position, _ in errors(rows)] == [5]


def test_a_file_that_is_no_archive_is_one_row_of_quarantine(tmp_path: Path) -> None:
    path = tmp_path / "x.warc"
    path.write_bytes(b"hello world\n" * 1000)
    assert errors(read(path, "warc")) == [(0, "BrokenFile")]


def test_a_page_beyond_the_limit_is_quarantined_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warc, "MAX_PAGE", 10_000)
    bomb = response(2, gzip.compress(b"x" * 20_000), headers="Content-Encoding: gzip\r\n")
    rows = read(write(tmp_path, [page(0), response(1, b"x" * 20_000), bomb, page(3)]), "warc")
    assert [one.strip() for one in texts(rows)] == ["page 0", "page 3"]
    assert errors(rows) == [(1, "TooLarge"), (2, "TooLarge")]


def test_absurdly_nested_html_is_read(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, [response(1, b"<div>" * 100_000 + b"deep")]), "warc")
    assert row["text"].strip() == "deep"


def test_answers_of_name_servers_and_odd_charsets_cost_no_other_record(tmp_path: Path) -> None:
    answer = record("response", b"20240102030405\nexample.org. 300 IN A 192.0.2.1\n", 2, "text/dns")
    odd = response(3, b"<p>odd</p>", "text/html; charset=a\0b")
    assert [one.strip() for one in texts(read(write(tmp_path, [page(1), answer, odd, page(4)]), "warc"))] == [
        "page 1",
        "odd",
        "page 4",
    ]
