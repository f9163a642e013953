"""JSON lines as other tools write them: numbers keep their digits, and a file of another kind is one clear row."""

import bz2
import gzip
import json
import lzma
import random
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from corpora_helpers import errors, read, texts
from warc_helpers import page

from prox_spark.corpora.columns import check_files
from prox_spark.errors import InputError

BIG = "123456789012345678901234567890"
BOM = b"\xef\xbb\xbf"
LINES = b"".join(b'{"text": "page %d"}\n' % n for n in range(3))
TEXTS = ["page 0", "page 1", "page 2"]


def write(folder: Path, data: bytes | str, name: str = "x.jsonl") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1.0", "1.0"), ("7", "7"), ("-9223372036854775809", "-9223372036854775809"), (BIG, BIG), ("1" * 5_000, "1" * 5_000),
        ("18446744073709551616", "18446744073709551616"), ("0.12345678901234567890", "0.12345678901234567890"),
        ("1e400", "1e400"), ("1.10", "1.1"), ("true", "true"), ('{"$oid": "5a"}', '{"$oid":"5a"}'),
        (f'{{"$numberLong": {BIG}}}', f'{{"$numberLong":{BIG}}}'), ('[1, "a"]', '[1,"a"]'), ('"x"', "x"),
    ],
)  # fmt: skip
def test_ids_keep_their_digits_and_their_structure(tmp_path: Path, given: str, expected: str) -> None:
    (row,) = read(write(tmp_path, f'{{"id": {given}, "text": "a"}}'))
    assert row["doc_id"] == expected


@pytest.mark.parametrize("given", ["null", '""', "NaN", "-Infinity"])
def test_what_is_no_id_gives_a_hash(tmp_path: Path, given: str) -> None:
    rows = read(write(tmp_path, f'{{"id": {given}, "text": "a"}}\n' * 2))
    assert len({row["doc_id"] for row in rows}) == 2
    assert all(len(row["doc_id"]) == 32 for row in rows)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (BIG, BIG), ("0.1234567890123456789", "0.1234567890123456789"), ("0.9876543021202087", "0.9876543021202087"),
        ("1.50", "1.5"), ("1e999", "1e999"), (f'[{BIG}, {{"a": 0.12345678901234567}}]', f'[{BIG},{{"a":0.12345678901234567}}]'),
        ("18446744073709551615", "18446744073709551615"), ("[1.5, 2]", "[1.5,2]"), ("1e-7", "1e-7"),
    ],
)  # fmt: skip
def test_numbers_of_metadata_keep_their_digits(tmp_path: Path, given: str, expected: str) -> None:
    (row,) = read(write(tmp_path, f'{{"text": "a", "n": {given}, "s": "kept"}}'))
    assert row["metadata"] == {"n": expected, "s": "kept"}


def test_digits_are_kept_beside_what_only_python_writes(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, f'{{"text": "a", "x": NaN, "n": [{BIG}, 1e400, 0.1234567890123456789]}}'))
    assert row["metadata"] == {"x": "NaN", "n": f'[{BIG}, "1e400", "0.1234567890123456789"]'}


def test_a_text_that_is_a_large_number_is_the_wrong_type(tmp_path: Path) -> None:
    assert errors(read(write(tmp_path, f'{{"text": {BIG}}}'))) == [(0, "WrongType")]


def test_the_same_id_is_the_same_string_from_json_and_parquet(tmp_path: Path) -> None:
    for values in ([1, 2**60], [1.0, 0.1], [True, False], ["a", "é"], [{"$oid": "5a"}, {"$oid": "é"}], [[1, 2], []]):
        lines = "\n".join(json.dumps({"id": one, "text": "a"}) for one in values)
        from_json = read(write(tmp_path, lines))
        pq.write_table(pa.table({"id": values, "text": ["a"] * 2}), tmp_path / "x.parquet")
        from_parquet = read(tmp_path / "x.parquet", "parquet")
        assert [row["doc_id"] for row in from_json] == [row["doc_id"] for row in from_parquet]


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_every_byte_order_mark_of_concatenated_files_is_passed_over(tmp_path: Path, name: str) -> None:
    parts = [BOM + line + b"\n" for line in LINES.splitlines()] + [BOM, b"\n" + BOM + b"\r\n"]
    data = b"".join(map(gzip.compress, parts)) if name.endswith(".gz") else b"".join(parts)
    rows = read(write(tmp_path, data, name))
    assert [(row["position"], row["text"]) for row in rows] == list(enumerate(TEXTS))


PACKINGS: dict[str, Callable[[bytes], bytes]] = {"bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", ["x.jsonl.bz2", "part-00000", "x.json"])
def test_bzip2_and_xz_are_read_whatever_the_name(tmp_path: Path, packing: str, name: str) -> None:
    pack = PACKINGS[packing]
    data = pack(LINES[:30]) + pack(b"") + pack(LINES[30:])
    assert texts(read(write(tmp_path, data, name))) == TEXTS


@pytest.mark.parametrize("packing", PACKINGS)
def test_what_stands_before_damage_in_bzip2_and_xz_is_read(tmp_path: Path, packing: str) -> None:
    pack = PACKINGS[packing]
    whole = pack(LINES) + pack(LINES)
    assert errors(read(write(tmp_path, whole[:-9]))) == [(len(texts(read(tmp_path / "x.jsonl"))), "TruncatedFile")]
    assert texts(read(tmp_path / "x.jsonl"))[:3] == TEXTS
    assert errors(read(write(tmp_path, pack(LINES) + b"no stream"))) == [(3, "BrokenFile")]
    broken = bytearray(whole)
    broken[len(pack(LINES)) + len(pack(LINES)) // 2] ^= 0xFF
    rows = read(write(tmp_path, bytes(broken)))
    assert texts(rows)[:3] == TEXTS
    assert errors(rows)[-1][1] == "BrokenFile"


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (gzip.compress(gzip.compress(LINES)), "Unsupported", "compressed twice"),
        (gzip.compress(zstandard.compress(LINES)), "Unsupported", "zstd inside gzip"),
        (b"PK\x03\x04" + bytes(range(256)), "Unsupported", "ZIP"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(range(256)), "Unsupported", "7z"),
        (b"\x1f\x9d\x90" + bytes(range(256)), "Unsupported", "compress"),
        (gzip.compress(b"x.json" + b"\0" * 251 + b"ustar\x0000"), "Unsupported", "tar"),
        (b"PAR1" + bytes(range(256)), "WrongFormat", "input.format=parquet"),
        (gzip.compress(page(0)), "WrongFormat", "input.format=warc"),
        (b"filedesc://x.arc 0.0.0.0 20240102030405 text/plain 76\n", "Unsupported", "ARC"),
    ],
)
@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.bz2"])
@pytest.mark.parametrize("format_name", ["json", "text"])
def test_a_file_of_another_kind_is_one_row_that_names_it(
    tmp_path: Path, data: bytes, error: str, says: str, name: str, format_name: str
) -> None:
    (row,) = read(write(tmp_path, data, name), format_name)
    assert row["error_class"] == error
    assert says in row["message"]


def test_a_parquet_file_read_as_json_is_refused_before_work(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"set input\.format=parquet"):
        check_files([str(tmp_path / "x.parquet")], "json")


@pytest.mark.parametrize("indent", [1, 4])
@pytest.mark.parametrize("count", [1, 20, 20_000])
def test_pretty_printed_objects_and_arrays_are_one_row(tmp_path: Path, indent: int, count: int) -> None:
    objects = [{"text": f"page {n}", "n": [1]} for n in range(count)]
    array = json.dumps(objects, indent=indent)
    lines = "[" + ",\n".join(map(json.dumps, objects)) + "\n]"
    pretty = "\n".join(json.dumps(one, indent=indent) for one in objects)
    for data, says in ((array, "array"), (lines, "array"), (pretty, "objects over several lines")):
        rows = read(write(tmp_path, data))
        assert errors(rows) == [(None, "NotJsonLines")]
        assert says in rows[0]["message"]


@pytest.mark.parametrize(
    "first", [b'{"text": "no end', b"{'text': 1}", b'{"text": "a"} x', b"[1, 2]", b"[oops", b'{"text": "a",', b"}", b""]
)
def test_a_bad_first_line_costs_itself_alone(tmp_path: Path, first: bytes) -> None:
    rows = read(write(tmp_path, first + b"\n" + LINES))
    assert texts(rows) == TEXTS
    assert [position for position, _ in errors(rows)] == ([0] if first else [])


def test_json_without_any_text_is_refused_and_one_odd_file_is_not(tmp_path: Path) -> None:
    odd = write(tmp_path, '{"content": "a", "id": "1"}\n', "a.jsonl")
    good = write(tmp_path, LINES, "b.jsonl")
    with pytest.raises(InputError, match=r"no column 'text' for text.*content"):
        check_files([str(odd)], "json")
    check_files([str(odd), str(good)], "json")
    check_files([str(odd)], "json", {"text": "content"})


def test_a_long_number_beside_deep_nesting_does_not_cost_the_page(tmp_path: Path) -> None:
    deep = '{"text": "a", "n": 0.1234567890123456789, "deep": ' + "[" * 990 + "]" * 990 + "}"
    rows = read(write(tmp_path, deep + "\n" + '{"text": "b"}'))
    assert texts(rows) == ["a", "b"]


@pytest.mark.parametrize("number", ["0.1000000000000000055", "0.09999999999999999999", "-2.50000000000000000001"])
@pytest.mark.parametrize("value", ["%s", "[%s]", '{"a":%s}'])
def test_digits_that_a_float_rounds_away_are_kept(tmp_path: Path, number: str, value: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f'{{"text": "a", "n": {value % number}, "short": 0.1}}\n')
    (row,) = read(path)
    assert row["metadata"] == {"n": value % number, "short": "0.1"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-be"])
def test_a_file_of_wide_characters_is_one_row(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a"}\n' * 3, encoding)
    assert [(row["position"], row["error_class"]) for row in read(path)] == [(None, "NotUtf8")]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lzma.compress(b'{"text": "a"}\n', format=lzma.FORMAT_ALONE), "lzma"),
        (b"\x89LZO\0\r\n\x1a\n\n\n", "lzop"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n", "git lfs pull"),
    ],
)
def test_other_compressions_and_pointers_are_one_row_that_names_them(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    (row,) = read(path)
    assert (row["position"], row["error_class"]) == (None, "Unsupported")
    assert says in row["message"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("start", ["\n", "[", " "])
def test_wide_characters_are_told_by_any_first_one(tmp_path: Path, encoding: str, start: str) -> None:
    path = write(tmp_path, (start + LINES.decode()).encode(encoding))
    assert [(row["position"], row["error_class"]) for row in read(path)] == [(None, "NotUtf8")]


def test_byte_order_marks_of_empty_files_and_record_separators_are_passed_over(tmp_path: Path) -> None:
    lines = LINES.splitlines()
    data = BOM * 3 + lines[0] + b"\n" + BOM + b"\x1e" + lines[1] + b"\n\x1e" + lines[2]
    rows = read(write(tmp_path, data))
    assert [(row["position"], row["text"]) for row in rows] == list(enumerate(TEXTS))


@pytest.mark.parametrize("between", ["\r", " ", "", ","])
def test_several_objects_on_a_line_are_a_row_that_says_so(tmp_path: Path, between: str) -> None:
    line = between.join('{"text": "a } { b"}' for _ in range(3))
    rows = read(write(tmp_path, line.encode() + b"\n" + LINES))
    assert texts(rows) == TEXTS
    assert errors(rows) == [(0, "MalformedJson")]
    assert ("several JSON objects" in rows[0]["message"]) == (between != ",")
    (row,) = read(write(tmp_path, '{"text": "a } {"}, "b"'))
    assert "several" not in row["message"]


@pytest.mark.parametrize(
    "start", [b"ORC\x08\x01", b"\x1b\x0c\xf8\x25", b"SEQ\x06", b"\x89HDF\r\n\x1a\n", b"\xff\xff\xff\xff\x10"]
)
@pytest.mark.parametrize("size", [200, 3_000_000])
def test_a_binary_file_is_one_row(tmp_path: Path, start: bytes, size: int) -> None:
    (row,) = read(write(tmp_path, start + random.Random(0).randbytes(size)))
    assert (row["position"], row["error_class"]) == (None, "NotJsonLines")


@pytest.mark.parametrize("zeros", [5, 5_000, 3_000_000])
def test_runs_of_zeros_cost_at_most_their_own_line(tmp_path: Path, zeros: int) -> None:
    for data, position in ((b"\0" * zeros + b"\n" + LINES, 0), (LINES + b"\0" * zeros, 3)):
        rows = read(write(tmp_path, data))
        assert texts(rows) == TEXTS
        assert errors(rows) == [(position, "MalformedJson")]
    rows = read(write(tmp_path, b"\0" * zeros + LINES))
    assert texts(rows) == TEXTS[1:]
    assert errors(rows) == [(0, "MalformedJson")]


def test_looking_for_a_first_object_takes_time_by_the_size_of_the_start(tmp_path: Path) -> None:
    path = write(tmp_path, b"\x01" + b"\n" * 3_000_000)
    started = time.process_time()
    assert errors(read(path)) == [(None, "NotJsonLines")]
    assert time.process_time() - started < 2
