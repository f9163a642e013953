"""Damaged archives: damage costs the records in it, and each has a row that says so."""

import gzip
import io
import random
from pathlib import Path
from typing import Any

import pytest
import zstandard
from corpora_helpers import errors, read, texts
from warc_helpers import packed, page, pages, response, write

from prox_spark.corpora import files
from prox_spark.errors import InputError


def test_a_broken_member_amid_blocks_of_one_size_costs_the_records_in_it(tmp_path: Path) -> None:
    whole = b"".join(page(n) for n in range(100))
    blocks = [bytearray(gzip.compress(whole[start : start + 5_000])) for start in range(0, len(whole), 5_000)]
    blocks[3][30:50] = b"\xff" * 20
    rows = read(write(tmp_path, b"".join(blocks)), "warc")
    lost = {f"page {n}" for n in range(100)} - {text.strip() for text in texts(rows)}
    assert 0 < len(lost) <= 5_000 // len(page(0)) + 2
    assert [error for _, error in errors(rows)] == ["BrokenFile"]


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


@pytest.mark.parametrize("data", [b"\0" * 10, b"\0" * 3_000_000, gzip.compress(b"\0" * 5_000)])
def test_an_archive_of_zeros_alone_is_a_row(tmp_path: Path, data: bytes) -> None:
    assert errors(read(write(tmp_path, data), "warc")) == [(None, "BrokenFile")]
    assert errors(read(tmp_path / "x.warc.gz", "wet")) == [(None, "BrokenFile")]


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", gzip.compress(b""), zstandard.compress(b"")])
def test_an_empty_archive_has_no_row(tmp_path: Path, data: bytes) -> None:
    assert read(write(tmp_path, data), "warc") == []
