"""Files that are made, or happen to be, as bad as they can: they cost little time and memory, and nothing beside themselves."""

import bz2
import gzip
import lzma
import random
import re
import resource
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from corpora_helpers import errors, read, texts
from hypothesis import given
from hypothesis import strategies as st
from warc_helpers import page, record, response

from prox_spark.corpora import archives, columns, parquet, values
from prox_spark.corpora.archives import parse_headers
from prox_spark.corpora.columns import check_files
from prox_spark.corpora.files import WatchedFile
from prox_spark.corpora.http import HttpResponse, decode_body
from prox_spark.corpora.records import Record, Tally, to_batches
from prox_spark.corpora.streams import decompressed, zstd_dictionary

LINES = b'{"text": "one"}\n{"text": "two"}\n'
MIB = 1 << 20


def write(folder: Path, data: bytes, name: str = "x") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@contextmanager
def soon(seconds: float) -> Iterator[None]:
    """What is inside takes less processor time: many times what it needs, and far less than its square takes."""
    start = time.process_time()
    yield
    assert time.process_time() - start < seconds


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all reads of files from here on."""
    sizes: list[int] = []
    inner = WatchedFile.read

    def counting(self: WatchedFile, size: int = -1, /) -> bytes:
        data = inner(self, size)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(WatchedFile, "read", counting)
    return sizes


# Streams


@pytest.mark.parametrize("left", range(8))
@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, gzip.compress])
def test_streams_that_follow_each_other_are_read_wherever_reading_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes], left: int
) -> None:
    first = pack(LINES)
    monkeypatch.setattr("prox_spark.corpora.streams._FEED", len(first) + left)
    rows = read(write(tmp_path, first + pack(LINES) + pack(LINES)))
    assert texts(rows) == ["one", "two"] * 3
    assert not errors(rows)


def skippable(data: bytes) -> bytes:
    return b"\x5d\x2a\x4d\x18" + struct.pack("<I", len(data)) + data


def test_a_zstd_dictionary_that_inflates_without_end_is_none(tmp_path: Path) -> None:
    bomb = zstandard.compress(bytes(64 * MIB), 19)
    with WatchedFile(str(write(tmp_path, skippable(bomb)))) as file, soon(1):
        assert zstd_dictionary(file) is None
    with WatchedFile(str(write(tmp_path, skippable(zstandard.compress(b"words " * 99))))) as file:
        assert zstd_dictionary(file) == b"words " * 99


def test_pieces_of_zstd_are_small_however_much_it_inflates(tmp_path: Path) -> None:
    size = 300 * MIB
    with WatchedFile(str(write(tmp_path, zstandard.compress(bytes(size), 3)))) as file:
        sizes = [len(piece) for piece in decompressed(file)]
    assert sum(sizes) == size
    assert max(sizes) <= MIB


def test_a_zstd_dictionary_of_garbage_costs_no_frame_that_does_without(tmp_path: Path) -> None:
    path = write(tmp_path, skippable(b"\x37\xa4\x30\xec" + b"garbage" * 9) + zstandard.compress(LINES))
    check_files([str(path)], "json")
    assert texts(read(path)) == ["one", "two"]


@pytest.mark.parametrize(("log", "error"), [(27, None), (31, None), (40, "BrokenFile")])
def test_a_zstd_frame_takes_the_memory_that_it_fills_whatever_it_asks_for(
    tmp_path: Path, log: int, error: str | None
) -> None:
    content = page(0)
    frame = b"\x28\xb5\x2f\xfd" + bytes([0, (log - 10) << 3]) + (len(content) << 3 | 1).to_bytes(3, "little") + content
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with soon(2):
        rows = read(write(tmp_path, frame + zstandard.compress(page(1))), "warc")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 << 10
    assert [row["error_class"] for row in rows] == [error, None]


# JSON lines


@pytest.mark.parametrize("number", ["1e-99999999999999999999", "1.5e-99999999999999999999", "1e99999999999999999999"])
def test_a_number_with_an_absurd_exponent_keeps_its_digits(tmp_path: Path, number: str) -> None:
    rows = read(write(tmp_path, b'{"text":"two","a":NaN,"b":%s}\n' % number.encode() + LINES))
    assert texts(rows) == ["two", "one", "two"]
    assert rows[0]["metadata"] == {"a": "NaN", "b": number}


# HTTP and WARC


def test_a_response_whose_head_has_no_end_is_an_error(tmp_path: Path) -> None:
    body = b"<html><body><p>a page</p></body></html>"
    long = response(0, body, headers="X-Fill: " + "x" * 2 * MIB + "\r\n")
    rows = read(write(tmp_path, gzip.compress(long) + gzip.compress(page(1))), "warc")
    assert errors(rows) == [(0, "MalformedHttp")]
    assert "1 MiB" in rows[0]["message"]
    assert [text.strip() for text in texts(rows)] == ["page 1"]


def test_at_most_eight_codings_are_undone() -> None:
    for count, expected in ((8, b"body"), (9, gzip.compress(b"body", mtime=0))):
        body = b"body"
        for _ in range(count):
            body = gzip.compress(body, mtime=0)
        fields = {"content-encoding": ["gzip, br2"] * count}
        assert decode_body(HttpResponse(200, fields, body), MIB) == expected


def test_folded_lines_of_blanks_take_time_by_their_length() -> None:
    with soon(2):
        parse_headers(b"WARC/1.0\r\nA: 1\r\n 2" + b" " * MIB + b"x\r\n\r\n")
    found = parse_headers(b"WARC/1.0\r\nA: 1 \t \r\n \t2\n\t3\r\n   4\r\nB: 5\r\n\r\n")
    assert found == {"a": "1 2 3 4", "b": "5"}


@given(st.text("a \t\r\n", max_size=30))
def test_lines_are_unfolded_as_by_the_plain_rule(text: str) -> None:
    assert archives._FOLD.sub(" ", text) == re.sub(r"[ \t]*\r{0,2}\n[ \t]+", " ", text)


def test_a_long_record_type_is_cut_in_the_tally(tmp_path: Path) -> None:
    tally = Tally()
    read(write(tmp_path, record("x" * 100_000, b"", 0, "text/plain") + page(1)), "warc", tally=tally)
    assert dict(tally.passed) == {"record type " + "x" * 64: 1}


# Parquet


def parquet_file(folder: Path) -> Path:
    pq.write_table(pa.table({"text": ["a", "b"], "id": [[1], [2]], "note": [1, 2]}), folder / "x.parquet")
    return folder / "x.parquet"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (parquet, "open_parquet"),
        (parquet, "string_values"),
        (parquet, "_is_whole"),
        (parquet, "_read_batch"),
        (pq, "ParquetFile"),
        (values, "_id"),
    ],
)
def test_want_of_memory_is_no_fact_about_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    path = parquet_file(tmp_path)

    def fail(*_: Any, **__: Any) -> Any:
        raise pa.ArrowMemoryError("no memory")

    if name == "_is_whole":

        class NoMemory:
            def iter_batches(self, **_: Any) -> Any:
                fail()

        with WatchedFile(str(path)) as file, pytest.raises(MemoryError):
            parquet._is_whole(file, NoMemory(), 0, "note", 2)  # type: ignore[arg-type]
        return
    monkeypatch.setattr(module, name, fail)
    with pytest.raises(MemoryError):
        read(path, "parquet")
    if module is pq:
        with pytest.raises(MemoryError):
            columns.check_columns(str(path), "parquet")
        with WatchedFile(str(path)) as file, pytest.raises(MemoryError):
            parquet.parquet_rows(file)


def test_want_of_memory_for_ids_is_no_fact_about_them() -> None:
    class NoMemory:
        type = pa.int64()

        def to_pylist(self) -> Any:
            raise pa.ArrowMemoryError("no memory")

    with pytest.raises(MemoryError):
        values.id_values(NoMemory(), 1)


def test_a_column_whose_name_is_not_utf8_does_not_stop_the_check(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "caféé": [1]}), tmp_path / "x", store_schema=False)
    path = write(tmp_path, (tmp_path / "x").read_bytes().replace("caféé".encode(), b"caf\xff\xff\xff\xff"))
    check_files([str(path)], "parquet")
    assert [error for _, error in errors(read(path, "parquet"))] == ["BrokenFile"]


# Archives that are damaged


@pytest.mark.parametrize("length", [10**9, 10**17, 60 * MIB])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_wrong_lengths_take_time_by_the_size_of_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes], length: int
) -> None:
    filler = random.Random(0).randbytes(2_000)
    wrong = b"".join(record("resource", filler, n, "image/png", length) for n in range(1_000))
    data = pack(page(0) + wrong + page(1))
    sizes = counted(monkeypatch)
    with soon(4):
        rows = read(write(tmp_path, data), "warc")
    assert [text.strip() for text in texts(rows)] == ["page 0", "page 1"]
    assert errors(rows) == [(n, "BrokenFile") for n in range(1, 1_001)]
    assert sum(sizes) < 8 * len(data)


def test_what_is_read_again_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_MOST_AGAIN", MIB)
    monkeypatch.setattr("prox_spark.corpora.warc.MAX_PAGE", 100_000)
    count = 1_000
    # Each ends inside the archive, where no record follows.
    data = b"".join(record("resource", b"x" * 500, n, "image/png", 200_101) for n in range(count)) + b"y" * 300_000
    sizes = counted(monkeypatch)
    rows = read(write(tmp_path, data + page(count)), "warc")
    assert [text.strip() for text in texts(rows)] == [f"page {count}"]
    assert sum(sizes) < 10 * MIB


def test_false_members_behind_damage_are_told_by_what_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = gzip.compress(page(0))[:-20]
    false = b"\x1f\x8b\x08\xff" + b"x" * 500
    data = gzip.compress(page(1)) + broken + false * 1_000 + gzip.compress(page(2))
    sizes = counted(monkeypatch)
    rows = read(write(tmp_path, data), "warc")
    assert [text.strip() for text in texts(rows)] == ["page 1", "page 2"]
    assert sum(sizes) < 1_100 * (1 << 16)


# Batches


def test_batches_are_small_whatever_of_a_record_is_long() -> None:
    long = "x" * MIB
    for one in (
        Record(0, b"text", doc_id=long),
        Record(0, b"text", source=long),
        Record(0, b"text", metadata={long: "a"}),
        Record(0, b"text", metadata={"a": long}),
    ):
        batches = list(to_batches([one._replace(position=n) for n in range(40)], "x", "source"))
        assert sum(batch.num_rows for batch in batches) == 40
        assert max(batch.nbytes for batch in batches) < 17 * MIB


def test_an_absurd_address_is_left_out() -> None:
    urls = ["https://example.org/" + "x" * size for size in (10, 60_000, 70_000, MIB)]
    (batch,) = to_batches([Record(n, b"text", url=url) for n, url in enumerate(urls)], "x", "source")
    assert batch.column("url").to_pylist() == [*urls[:2], None, None]


def test_a_record_that_no_batch_can_hold_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prox_spark.corpora.records._MOST_WEIGHT", 1_000)
    long = Record(0, b"x" * 500, doc_id="a", metadata={"a": "y" * 500})
    (batch,) = to_batches([long, Record(1, b"text")], "x", "source")
    assert batch.column("error_class").to_pylist() == ["TooLarge", None]


def batch_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of all batches of Parquet files from here on."""
    sizes: list[int] = []
    inner = parquet._read_batch

    def watched(start: int, batch: pa.RecordBatch, found: Any) -> Any:
        sizes.append(batch.num_rows)
        return inner(start, batch, found)

    monkeypatch.setattr(parquet, "_read_batch", watched)
    return sizes


@pytest.mark.parametrize("large", [range(64), range(40, 64), range(300, 330)])
def test_what_a_dictionary_inflates_to_is_read_in_small_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: range
) -> None:
    monkeypatch.setattr(parquet, "_BYTES", 4 * MIB)
    long = "x" * MIB
    expected = [long if row in large else "short" for row in range(700)]
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": expected}), path, compression="zstd")
    assert path.stat().st_size < 10_000
    sizes = batch_sizes(monkeypatch)
    assert texts(read(path, "parquet")) == expected
    # Growing by four, a batch comes up where rows were short before; from then on all are small.
    first = next(n for n, _ in enumerate(sizes) if sum(sizes[: n + 1]) > large.start)
    assert max(sizes[first + 1 :]) <= 64


def test_short_rows_are_read_in_large_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"text": [f"{n}" for n in range(3_000)]}), tmp_path / "x")
    sizes = batch_sizes(monkeypatch)
    assert texts(read(tmp_path / "x", "parquet")) == [f"{n}" for n in range(3_000)]
    assert len(sizes) <= 3_000 // 256 + 4


# JSON lines whose start is broken


@pytest.mark.parametrize(
    ("start", "broken"),
    [
        (b'{"text":"one",\n"b":1}\n', 2),
        (b'{"text":"one",\r\n"b":1}\r\n', 2),
        (b"[\n", 1),
        (b"{\n", 1),
        (b"[{\n", 1),
        (b'[{"a":1},\n', 1),
    ],
)
def test_a_broken_start_costs_itself_alone(tmp_path: Path, start: bytes, broken: int) -> None:
    rows = read(write(tmp_path, start + LINES * 2))
    assert texts(rows) == ["one", "two"] * 2
    assert errors(rows) == [(n, "MalformedJson") for n in range(broken)]


def test_many_numbers_of_a_line_take_time_by_their_count(tmp_path: Path) -> None:
    number = "0.1234567890123456"
    numbers = ",".join(f'"k{n}":{number}{n % 9 + 1}' for n in range(60_000))
    fitting = ",".join(f'"k{n}":1e-{n % 9 + 10}' for n in range(60_000))
    with soon(6):
        rows = read(write(tmp_path, f'{{"text":"one",{numbers}}}\n{{"text":"two",{fitting}}}'.encode()))
    assert texts(rows) == ["one", "two"]
    assert rows[0]["metadata"]["k59999"] == f"{number}{59_999 % 9 + 1}"
    assert rows[1]["metadata"]["k0"] == "1e-10"


def test_the_rows_of_batches_go_on_from_one_row_group_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [f"{n}" for n in range(3_000)]
    pq.write_table(pa.table({"text": expected}), tmp_path / "x", row_group_size=300)
    sizes = batch_sizes(monkeypatch)
    assert texts(read(tmp_path / "x", "parquet")) == expected
    assert sizes[-4:] == [256, 44] * 2
