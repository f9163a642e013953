"""Archives as other tools frame them: every record is found, with its position."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import zstandard
from corpora_helpers import errors, read, texts
from fastwarc.stream_io import Lz4Writer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warc_helpers import packed, page, pages, record, response, write

from prox_spark.corpora.records import Tally


@pytest.mark.parametrize("places", [[0], [1], [3], [0, 0, 1, 2, 3, 3], [0] * 50 + [2] * 50 + [3] * 50])
def test_empty_gzip_members_hide_nothing(tmp_path: Path, places: list[int]) -> None:
    members = [page(n) for n in range(3)]
    for place in reversed(places):
        members.insert(place, b"")
    rows = read(write(tmp_path, packed(*members)), "warc")
    assert [(row["position"], row["text"].strip()) for row in rows] == [(n, f"page {n}") for n in range(3)]


def test_empty_members_and_padding_hide_nothing_in_a_wet_file(tmp_path: Path) -> None:
    records = [record("conversion", b"text %d" % n, n, "text/plain") for n in range(3)]
    data = gzip.compress(b"") + b"\0" * 70_000 + b"".join(gzip.compress(one) + b"\0" * 512 for one in records)
    assert pages(write(tmp_path, data), "wet") == ["text 0", "text 1", "text 2"]
    assert pages(write(tmp_path, b"\0\r\n" + b"\n\0".join(records) + b"\0" * 9_999, "x.wet"), "wet") == [
        "text 0",
        "text 1",
        "text 2",
    ]


@pytest.mark.parametrize("size", [1, 7, 100, 10**6])
def test_gzip_members_need_not_end_with_records(tmp_path: Path, size: int) -> None:
    whole = b"".join(page(n) for n in range(5))
    data = packed(*(whole[start : start + size] for start in range(0, len(whole), size)))
    rows = read(write(tmp_path, data), "warc")
    assert [(row["position"], row["text"].strip()) for row in rows] == [(n, f"page {n}") for n in range(5)]


def test_zstd_frames_skippable_frames_and_dictionaries_are_read(tmp_path: Path) -> None:
    samples = [page(n) * 3 for n in range(200)]
    dictionary = zstandard.train_dictionary(4_096, samples)
    raw = dictionary.as_bytes()
    for content in (raw, zstandard.compress(raw)):
        frames = [zstandard.ZstdCompressor(dict_data=dictionary).compress(page(n)) for n in range(4)]
        head = b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content
        assert pages(write(tmp_path, head + b"".join(frames), "x.warc.zst")) == [f"page {n}" for n in range(4)]
        frames[2] = frames[2][:20] + b"\xff" * 10 + frames[2][30:]
        rows = read(write(tmp_path, head + b"".join(frames), "x.warc.zst"), "warc")
        assert [text.strip() for text in texts(rows)] == ["page 0", "page 1", "page 3"]
        assert errors(rows) == [(2, "BrokenFile")]
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    data = b"".join(skippable + zstandard.compress(page(n)) for n in range(3)) + skippable
    rows = read(write(tmp_path, data, "x.warc.zst"), "warc")
    assert [(row["position"], row["text"].strip()) for row in rows] == [(n, f"page {n}") for n in range(3)]


def test_an_lz4_archive_is_read(tmp_path: Path) -> None:
    with Lz4Writer(str(tmp_path / "x.warc.lz4")) as writer:
        for n in range(3):
            writer.write(page(n))
    assert pages(tmp_path / "x.warc.lz4") == ["page 0", "page 1", "page 2"]


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_field_names_are_read_in_any_case(tmp_path: Path, change: Any) -> None:
    def renamed(data: bytes) -> bytes:
        lines = data.decode().split("\r\n")
        return "\r\n".join(
            change(name) + colon + value for name, colon, value in (line.partition(": ") for line in lines)
        ).encode()

    head, _, body = page(1).partition(b"\r\n\r\n")
    version, _, fields = head.partition(b"\r\n")
    changed = version + b"\r\n" + renamed(fields) + b"\r\n\r\n" + body
    (row,) = read(write(tmp_path, packed(changed)), "warc")
    assert (row["doc_id"], row["url"], row["text"].strip()) == ("<urn:uuid:1>", "https://example.org/1", "page 1")


@pytest.mark.parametrize("name", ["x.warc", "x.warc.gz"])
def test_line_ends_that_were_translated_once_too_often_are_read(tmp_path: Path, name: str) -> None:
    doubled = [page(n).replace(b"\r\n", b"\r\r\n") for n in range(3)]
    for n, one in enumerate(doubled):
        block = one.partition(b"\r\r\n\r\r\n")[2].removesuffix(b"\r\r\n" * 2)
        start, _, rest = one.partition(b"Content-Length: ")
        doubled[n] = start + b"Content-Length: %d" % len(block) + rest[rest.index(b"\r") :]
    data = packed(*doubled) if name.endswith("gz") else b"".join(doubled)
    assert pages(write(tmp_path, data, name)) == ["page 0", "page 1", "page 2"]


@pytest.mark.parametrize("name", ["x.warc", "x.warc.gz"])
def test_line_feeds_alone_end_lines_of_records_and_of_answers(tmp_path: Path, name: str) -> None:
    block = b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n<p>page %d</p>"
    members = [
        page(0),
        record("response", block % 1, 1, "application/http"),
        record("response", block % 2, 2, "application/http").replace(b"\r\n", b"\n"),
        page(3),
    ]
    data = b"".join(members) if name == "x.warc" else packed(*members)
    assert pages(write(tmp_path, data, name)) == ["page 0", "page 1", "page 2", "page 3"]


def test_a_page_that_tells_of_warc_is_one_page(tmp_path: Path) -> None:
    body = b"<pre>\r\nWARC/1.0\r\nWARC-Type: response\r\nContent-Length: 5\r\n\r\nhello\r\n\r\n</pre>"
    rows = read(write(tmp_path, packed(response(0, body), page(1))), "warc")
    assert len(texts(rows)) == 2
    assert errors(rows) == []


ODDITIES = ("empty", "padding", "lf", "lower", "blank", "other")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_archives_with_random_oddities_give_all_their_pages(tmp_path: Path, data: st.DataObject) -> None:
    members: list[bytes] = []
    expected: dict[int, str] = {}
    for oddity in data.draw(st.lists(st.sampled_from(ODDITIES), max_size=12)):
        position = sum(member.startswith(b"WARC") for member in members)
        if oddity in ("empty", "padding"):
            members.append(b"" if oddity == "empty" else b"\r\n\0\0\r\n")
            continue
        member = (
            record("request", b"GET / HTTP/1.1\r\n\r\n", position, "application/http")
            if oddity == "other"
            else page(position)
        )
        if oddity == "lf":
            head, _, rest = member.partition(b"\r\n\r\n")
            member = head.replace(b"\r\n", b"\n") + b"\n\n" + rest
        elif oddity == "lower":
            member = member.replace(b"WARC-Type", b"warc-type").replace(b"Content-Length", b"content-length", 1)
        elif oddity == "blank":
            member += b"\r\n" * 5
        members.append(member)
        if oddity != "other":
            expected[position] = f"page {position}"
    way = data.draw(st.sampled_from(["plain", "gzip", "one member", "zstd"]))
    whole = {
        "plain": lambda: b"".join(members),
        "gzip": lambda: packed(*members),
        "one member": lambda: packed(b"".join(members)),
        "zstd": lambda: b"".join(map(zstandard.compress, members)),
    }[way]()
    tally = Tally()
    rows = read(write(tmp_path, whole), "warc", tally=tally)
    assert {row["position"]: row["text"].strip() for row in rows} == expected
    assert tally.passed.total() == sum(member.startswith(b"WARC") for member in members) - len(expected)
