"""Archives as other tools write them, and as they get damaged: every page is read, or a row or a count says why not."""

import gzip
import io
import random
import zlib
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from corpora_helpers import errors, read, texts
from fastwarc.stream_io import Lz4Writer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warc_helpers import page, record, response

from prox_spark.corpora import files
from prox_spark.corpora.records import Tally
from prox_spark.errors import InputError

HTML = b"<html><body><p>a few words of prose</p></body></html>"


def write(folder: Path, data: bytes, name: str = "x.warc.gz") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def packed(*members: bytes) -> bytes:
    return b"".join(map(gzip.compress, members))


def pages(path: Path, format_name: str = "warc") -> list[str]:
    return [text.strip() for text in texts(read(path, format_name))]


def one(folder: Path, body: bytes, content_type: str = "text/html", **options: Any) -> dict[str, Any]:
    """The row of an archive with one response."""
    (row,) = read(write(folder, packed(response(0, body, content_type, **options))), "warc")
    return row


# Framing


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


def test_a_broken_member_amid_blocks_of_one_size_costs_the_records_in_it(tmp_path: Path) -> None:
    whole = b"".join(page(n) for n in range(100))
    blocks = [bytearray(gzip.compress(whole[start : start + 5_000])) for start in range(0, len(whole), 5_000)]
    blocks[3][30:50] = b"\xff" * 20
    rows = read(write(tmp_path, b"".join(blocks)), "warc")
    lost = {f"page {n}" for n in range(100)} - {text.strip() for text in texts(rows)}
    assert 0 < len(lost) <= 5_000 // len(page(0)) + 2
    assert [error for _, error in errors(rows)] == ["BrokenFile"]


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


@pytest.mark.parametrize(
    "damage", [b"garbage\r\n\r\n", b"\xff\xfe\0binary", b"x" * 3_000_000, b"WARC/1.0\r\nno field\r\n\r\n"]
)
@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("name", ["x.warc", "x.warc.gz"])
def test_damage_before_between_and_behind_records_costs_none(
    tmp_path: Path, damage: bytes, place: int, name: str
) -> None:
    members = [page(n) for n in range(4)]
    members.insert(place, damage)
    data = b"".join(members) if name == "x.warc" else packed(*members)
    rows = read(write(tmp_path, data, name), "warc")
    found = [text.strip() for text in texts(rows)]
    assert found == [f"page {n}" for n in range(4)]
    assert [position for position, _ in errors(rows)] == [place]
    assert [row["position"] for row in rows] == list(range(5))


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\r\n\r\n", b"\0" * 100])
def test_a_byte_order_mark_or_padding_in_front_is_no_damage(tmp_path: Path, mark: bytes) -> None:
    assert pages(write(tmp_path, mark + page(0) + page(1), "x.warc")) == ["page 0", "page 1"]
    assert errors(read(tmp_path / "x.warc", "warc")) == []


def test_bytes_that_are_not_gzip_between_members_cost_no_page(tmp_path: Path) -> None:
    data = packed(page(0)) + b"not gzip" * 20 + packed(page(1), page(2))
    rows = read(write(tmp_path, data), "warc")
    assert [text.strip() for text in texts(rows)] == ["page 0", "page 1", "page 2"]
    assert errors(rows) == [(1, "BrokenFile")]


def test_a_wrong_checksum_is_a_broken_record(tmp_path: Path) -> None:
    members = [bytearray(gzip.compress(page(n))) for n in range(3)]
    members[1][-8:-4] = b"\0\0\0\0"
    rows = read(write(tmp_path, b"".join(members)), "warc")
    assert [text.strip() for text in texts(rows)] == ["page 0", "page 2"]
    assert errors(rows) == [(1, "BrokenFile")]
    assert rows[1]["doc_id"] == "<urn:uuid:1>"


@pytest.mark.parametrize("end", [-1, -4, -7, -9, -30])
def test_a_last_member_that_is_cut_off_is_told_however_large_the_archive(tmp_path: Path, end: int) -> None:
    noise = random.Random(0).randbytes(20_000).hex().encode()
    members = [response(n, b"<p>%d %b</p>" % (n, noise)) for n in range(100)]
    for data in (packed(*members), packed(b"".join(members))):
        rows = read(write(tmp_path, data[:end]), "warc")
        assert len(texts(rows)) in (99, 100)
        assert len(rows) in (100, 101)
        assert [error for _, error in errors(rows)] == ["TruncatedFile"]


@pytest.mark.parametrize("broken", [3, 60, 99])
def test_damage_late_in_a_large_archive_costs_its_record_alone(tmp_path: Path, broken: int) -> None:
    noise = random.Random(0).randbytes(20_000).hex().encode()
    members = [bytearray(gzip.compress(response(n, b"<p>%d %b</p>" % (n, noise)))) for n in range(100)]
    members[broken][-8:-4] = b"\0\0\0\0"
    rows = read(write(tmp_path, b"".join(members)), "warc")
    assert [row["position"] for row in rows] == list(range(100))
    assert errors(rows) == [(broken, "BrokenFile")]


def test_a_record_without_length_or_type_is_a_row(tmp_path: Path) -> None:
    no_length = page(1).replace(b"Content-Length", b"X-Length")
    for length in (b"-5", b"1e3", b"9" * 5_000, "٣".encode(), b""):
        odd = page(1).replace(b"Content-Length: ", b"Content-Length: " + length + b"\r\nX: ")
        assert errors(read(write(tmp_path, page(0) + odd + page(2)), "warc")) == [(1, "BrokenFile")]
    no_type = page(2).replace(b"WARC-Type", b"X-Type")
    for data in (packed(page(0), no_length, no_type, page(3)), page(0) + no_length + no_type + page(3)):
        rows = read(write(tmp_path, data), "warc")
        assert [text.strip() for text in texts(rows)] == ["page 0", "page 3"]
        assert errors(rows) == [(1, "BrokenFile"), (2, "MalformedWarc")]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, bytes])
@pytest.mark.parametrize("reads", [0, 1, 2, 5])
def test_a_file_system_that_fails_in_the_middle_raises_and_quarantines_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Any, reads: int
) -> None:
    noise = random.Random(0).randbytes(400_000)
    path = write(tmp_path, b"".join(pack(response(n, b"<p>x</p>" + noise)) for n in range(20)))
    left = iter(range(reads))

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if next(left, None) is None:
                raise OSError("the disk is gone")
            return super().read(size)

    monkeypatch.setattr(files, "open_file", lambda path: Failing(Path(path).read_bytes()))
    with pytest.raises(InputError, match="the disk is gone"):
        read(path, "warc")


def test_a_huge_wrong_length_swallows_no_record_of_one_member(tmp_path: Path) -> None:
    wrong = response(1, b"<p>x</p>", length=10**12)
    rows = read(write(tmp_path, packed(page(0) + wrong + page(2) + page(3))), "warc")
    assert [text.strip() for text in texts(rows)] == ["page 0", "page 2", "page 3"]
    assert errors(rows) == [(1, "BrokenFile")]


def test_a_page_that_tells_of_warc_is_one_page(tmp_path: Path) -> None:
    body = b"<pre>\r\nWARC/1.0\r\nWARC-Type: response\r\nContent-Length: 5\r\n\r\nhello\r\n\r\n</pre>"
    rows = read(write(tmp_path, packed(response(0, body), page(1))), "warc")
    assert len(texts(rows)) == 2
    assert errors(rows) == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"filedesc://x.arc 0.0.0.0 20240102030405 text/plain 76\n1 0 x\n", "ARC file"),
        (gzip.compress(b"filedesc://x.arc 0.0.0.0 20240102030405 text/plain 76\n1 0 x\n"), "ARC file"),
        (gzip.compress(packed(page(0))), "compressed twice"),
        (b"PK\x03\x04" + b"\0" * 100, "ZIP"),
    ],
)
def test_a_file_of_another_kind_is_one_row_that_says_what_it_is(tmp_path: Path, data: bytes, says: str) -> None:
    (row,) = read(write(tmp_path, data), "warc")
    assert (row["position"], row["error_class"]) == (None, "Unsupported")
    assert says in row["message"]


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


# Answers


@pytest.mark.parametrize(
    "line",
    ["HTTP/1.1 200 OK", "http/1.1 200 OK", "HTTP/1.1  200  OK", "HTTP/1.1 200", "HTTP/2 200 ", "\r\nHTTP/1.0\t200 Ok"],
)
def test_odd_status_lines_are_read(tmp_path: Path, line: str) -> None:
    block = f"{line}\r\nContent-Type: text/html\r\n\r\n<p>x</p>".encode()
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


# Encodings


KOREAN = "한국어 페이지 내용입니다 안녕하세요"


def html(text: str, encoding: str, head: str = "") -> bytes:
    return f"<html><head>{head}</head><body><p>{text}</p></body></html>".encode(encoding)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (html("①㈱ 日本語", "cp932", "<meta charset=shift_jis>"), "text/html", "①㈱ 日本語"),
        (html("“x” €", "cp1252", '<meta http-equiv=a content="text/html; charset=latin1">'), "text/html", "“x” €"),
        (html("plain café", "utf-8", "<meta charset=utf-16>"), "text/html", "plain café"),
        (html("plain words", "ascii"), "text/html; charset=utf-16", "plain words"),
        (html("привет мир", "utf-16-le"), "text/html; charset=utf-16", "привет мир"),
        (html("日本語 ｱｲｳ", "iso2022_jp_ext"), "text/html; charset=iso-2022-jp", "日本語 ｱｲｳ"),
        (b"<p>\xad\xa1 \xa1\xc1</p>", "text/html; charset=euc-jp", "① \uff5e"),
        (b"<p>\x1b$B-!\x1b(B x</p>", "text/html; charset=iso-2022-jp", "① x"),
        (b"<p>\x80 \xd6\xd0</p>", "text/html; charset=gbk", "€ 中"),
        (b"<p>a\xe9</p>", "text/html; charset=x-user-defined", "a\uf7e9"),
        (html("żółw", "cp1250", "<!-- <meta charset=utf-8> --><meta charset=windows-1250>"), "text/html", "żółw"),
        (html("żółw", "cp1250", "<meta charset=nonsense><meta charset=cp1250>"), "text/html; charset=utf_8_sig", "żółw"),
        (html("日本語のページです。", "utf-8"), "text/html; charset='UTF8'", "日本語のページです。"),
        (html(KOREAN, "cp949"), "text/html", KOREAN),
    ],
)  # fmt: skip
def test_labels_and_marks_are_read_as_browsers_do(tmp_path: Path, body: bytes, content_type: str, text: str) -> None:
    assert one(tmp_path, body, content_type)["text"].strip() == text


@pytest.mark.parametrize(
    ("encoding", "content_type"),
    [("utf-8", "text/html; charset=utf-8"), ("utf-8", "text/html"), ("cp932", "text/html; charset=shift_jis"),
     ("euc_jp", "text/html; charset=euc-jp"), ("gb18030", "text/html; charset=gb2312")],
)  # fmt: skip
@pytest.mark.parametrize("stray", [b"\xff", b"\x81"])
def test_a_stray_byte_costs_a_character_and_no_page(
    tmp_path: Path, encoding: str, content_type: str, stray: bytes
) -> None:
    text = "日本語のページです。"
    row = one(tmp_path, html(text, encoding)[:-14] + stray + b"</p>", content_type)
    assert row["text"].strip().startswith(text[:-1])
    assert "\ufffd" in row["text"]
    assert 0 < float(row["metadata"]["broken_share"]) < 0.5


def test_broken_text_is_measured_and_sound_text_is_not(tmp_path: Path) -> None:
    assert float(one(tmp_path, html("cafÃ© â€œxâ€", "utf-8"))["metadata"]["broken_share"]) > 0.1
    assert float(one(tmp_path, html("a\x85b\ufffd", "utf-8"))["metadata"]["broken_share"]) == 0.5
    assert "broken_share" not in one(tmp_path, html("São “Ürün” naïve 日本語 ÂNGELA à la", "utf-8"))["metadata"]
