"""JSON lines and text files: what is read, and what is quarantined instead."""

import gzip
import json
import math
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pytest
import zstandard
from corpora_helpers import errors, read, texts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prox_spark.corpora import streams
from prox_spark.corpora.read import read_file
from prox_spark.errors import InputError

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
}
GOOD = [{"text": f"page {n}", "url": f"https://example.org/{n}"} for n in range(5)]
GOOD_LINES = b"".join(json.dumps(one).encode() + b"\n" for one in GOOD)
GOOD_TEXTS = [one["text"] for one in GOOD]


def write(folder: Path, data: bytes, name: str = "x.json") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", COMPRESSIONS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.text(), max_size=8))
def test_every_text_comes_back_as_it_was_written(tmp_path: Path, suffix: str, values: list[str]) -> None:
    data = "\n".join(json.dumps({"text": one}) for one in values).encode()
    path = write(tmp_path, COMPRESSIONS[suffix](data), f"x.json{suffix}")
    assert texts(read(path)) == values


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.text(max_size=20).map(lambda one: json.dumps({"text": one}).encode()),
            st.recursive(
                st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            ).map(lambda one: json.dumps({"text": "t", "id": one, "url": one, "source": one, "x": one}).encode()),
        )
    ),
    data=st.data(),
)
def test_no_bytes_raise_whatever_they_are(tmp_path: Path, lines: list[bytes], data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from(sorted(COMPRESSIONS)))
    packed = bytearray(COMPRESSIONS[suffix](b"\n".join(lines)))
    for _ in range(data.draw(st.integers(0, 2))):
        if packed:
            packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    path = write(tmp_path, bytes(packed), f"x.json{suffix}")
    for format_name in ("json", "text", "warc", "wet", "parquet"):
        read(path, format_name)


def test_null_text_is_quarantined_and_empty_and_blank_text_are_documents(tmp_path: Path) -> None:
    rows = read(write(tmp_path, b'{"text": null}\n{"text": ""}\n{"text": " \\n\\t"}\n'))
    assert errors(rows) == [(0, "NullText")]
    assert texts(rows) == ["", " \n\t"]


@pytest.mark.parametrize("line", [b'{"text": "a\\u0000b"}', b'{"text": "a\0b"}'])
def test_nul_bytes_are_kept(tmp_path: Path, line: bytes) -> None:
    assert texts(read(write(tmp_path, line))) == ["a\0b"]


def test_a_lone_surrogate_in_the_text_or_id_is_quarantined(tmp_path: Path) -> None:
    rows = read(write(tmp_path, b'{"text": "a\\ud800b", "id": "1"}\n{"text": "x", "id": "\\udfff"}\n'))
    assert errors(rows) == [(0, "LoneSurrogate"), (1, "LoneSurrogate")]
    assert rows[0]["doc_id"] == "1"


def test_a_lone_surrogate_beside_the_text_costs_that_character_only(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, b'{"text": "a", "url": "u\\ud800", "\\ud800": "t\\udfff", "n": ["\\ud800"]}'))
    assert (row["text"], row["url"]) == ("a", "u\ufffd")
    assert row["metadata"] == {"\ufffd": "t\ufffd", "n": '["\ufffd"]'}


def test_a_surrogate_pair_is_one_character(tmp_path: Path) -> None:
    assert texts(read(write(tmp_path, b'{"text": "\\ud83d\\ude00", "n": NaN}'))) == ["😀"]


def test_a_line_that_is_not_utf8_is_quarantined_alone(tmp_path: Path) -> None:
    rows = read(write(tmp_path, GOOD_LINES + b'{"text": "caf\xe9"}\n' + GOOD_LINES))
    assert errors(rows) == [(5, "NotUtf8")]
    assert texts(rows) == GOOD_TEXTS * 2


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b'{"text": "secret page', "MalformedJson"),
        (b"{'text': 'secret page'}", "MalformedJson"),
        (b'{"text": "a"} {"text": "secret page"}', "MalformedJson"),
        (b"[" * 100_000, "MalformedJson"),
        (b'{"text": "a", "n": ' + b"1" * 5_000 + b"x}", "MalformedJson"),
        (b'["secret page"]', "NotAnObject"),
        (b"null", "NotAnObject"),
        (b'{"txt": "secret page"}', "MissingColumn"),
        (b'{"text": ["secret page"]}', "WrongType"),
        (b'{"text": 1}', "WrongType"),
    ],
)
def test_a_bad_line_costs_itself_alone_and_its_message_holds_no_page(tmp_path: Path, line: bytes, error: str) -> None:
    rows = read(write(tmp_path, GOOD_LINES + line + b"\n" + GOOD_LINES))
    assert errors(rows) == [(5, error)]
    assert texts(rows) == GOOD_TEXTS * 2
    assert "secret" not in rows[5]["message"]


def test_a_mapped_id_that_a_record_lacks_is_quarantined(tmp_path: Path) -> None:
    rows = read(write(tmp_path, b'{"text": "a", "key": 7}\n{"text": "b"}\n'), columns={"doc_id": "key"})
    assert errors(rows) == [(1, "MissingColumn")]
    assert rows[0]["doc_id"] == "7"


def test_not_a_number_is_read_as_python_writes_it(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, json.dumps({"text": "a", "score": math.nan, "scores": [math.inf]}).encode()))
    assert row["metadata"] == {"score": "NaN", "scores": "[Infinity]"}


def test_crlf_line_ends_byte_order_mark_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    rows = read(write(tmp_path, b'\xef\xbb\xbf{"text": "a"}\r\n\r\n  \n{"text": "b"}\r\n\n'))
    assert [(row["position"], row["text"]) for row in rows] == [(0, "a"), (3, "b")]


def test_a_utf16_file_is_one_row_of_quarantine(tmp_path: Path) -> None:
    assert errors(read(write(tmp_path, '{"text": "a"}\n{"text": "b"}'.encode("utf-16")))) == [(None, "NotUtf8")]


def test_a_last_line_without_line_end_is_a_record(tmp_path: Path) -> None:
    assert texts(read(write(tmp_path, GOOD_LINES.rstrip(b"\n")))) == GOOD_TEXTS


@pytest.mark.parametrize("name", ["x.json", "x.json.gz", "x.json.zst"])
@pytest.mark.parametrize("packed", [b"", gzip.compress(b""), zstandard.compress(b"")])
def test_an_empty_file_has_no_records_and_no_errors(tmp_path: Path, name: str, packed: bytes) -> None:
    assert read(write(tmp_path, packed, name)) == []


def test_a_line_of_12_mb_and_a_document_of_100_000_lines_are_read(tmp_path: Path) -> None:
    values = ["x" * 12_000_000, "line\n" * 100_000, "after"]
    path = write(tmp_path, gzip.compress(b"\n".join(json.dumps({"text": one}).encode() for one in values)), "x.json.gz")
    assert texts(read(path)) == values


def test_a_line_beyond_the_limit_is_quarantined_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_RECORD", 3 << 20)
    long = json.dumps({"text": "x" * (4 << 20)}).encode() + b"\n"
    rows = read(write(tmp_path, GOOD_LINES + long + GOOD_LINES))
    assert errors(rows) == [(5, "TooLarge")]
    assert texts(rows) == GOOD_TEXTS * 2


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_what_stands_before_a_cut_is_read(tmp_path: Path, suffix: str, share: float) -> None:
    values = [blake2b(b"%d" % n).hexdigest() * 20 for n in range(2_000)]
    packed = COMPRESSIONS[suffix](b"".join(b'{"text": "%s"}\n' % one.encode() for one in values))
    rows = read(write(tmp_path, packed[: int(len(packed) * share)], f"x.json{suffix}"))
    found = texts(rows)
    assert len(found) >= (share - 0.1) * len(values)
    assert found == values[: len(found)]
    assert errors(rows) == [(len(found), "TruncatedFile")]


def test_a_cut_inside_the_checksum_loses_no_record(tmp_path: Path) -> None:
    rows = read(write(tmp_path, gzip.compress(GOOD_LINES.rstrip(b"\n"))[:-4], "x.json.gz"))
    assert texts(rows) == GOOD_TEXTS
    assert errors(rows) == [(5, "TruncatedFile")]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_what_stands_before_a_broken_byte_is_read(tmp_path: Path, suffix: str) -> None:
    values = [blake2b(b"%d" % n).hexdigest() * 20 for n in range(2_000)]
    packed = bytearray(COMPRESSIONS[suffix](b"".join(b'{"text": "%s"}\n' % one.encode() for one in values)))
    packed[len(packed) // 2 : len(packed) // 2 + 200] = b"\xff" * 200
    rows = read(write(tmp_path, bytes(packed), f"x.json{suffix}"))
    assert len(texts(rows)) >= 600
    assert all(error in ("BrokenFile", "MalformedJson", "NotUtf8") for _, error in errors(rows))
    assert errors(rows)[-1][1] == "BrokenFile"


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_members_and_frames_one_after_the_other_are_one_file(tmp_path: Path, suffix: str) -> None:
    pack = COMPRESSIONS[suffix]
    middle = GOOD_LINES[:40]
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" if suffix == ".zst" else b"\0" * 70_000
    data = pack(GOOD_LINES + middle) + skippable + pack(b"") + pack(GOOD_LINES[40:])
    assert texts(read(write(tmp_path, data, f"x.json{suffix}"))) == GOOD_TEXTS * 2


def test_compression_is_told_by_the_bytes_not_by_the_name(tmp_path: Path) -> None:
    assert texts(read(write(tmp_path, GOOD_LINES, "a.json.gz"))) == GOOD_TEXTS
    assert texts(read(write(tmp_path, gzip.compress(GOOD_LINES), "b.json"))) == GOOD_TEXTS
    assert texts(read(write(tmp_path, zstandard.compress(GOOD_LINES), "c.json.gz"))) == GOOD_TEXTS


def test_a_gz_file_that_is_neither_gzip_nor_text_is_one_row_of_quarantine(tmp_path: Path) -> None:
    assert errors(read(write(tmp_path, bytes(range(256)) * 100, "x.json.gz"))) == [(0, "BrokenFile")]


def test_ids_come_from_the_corpus_else_from_source_file_position_and_text(tmp_path: Path) -> None:
    data = b'{"text": "same", "id": "mine"}\n{"text": "same"}\n{"text": "same"}\n{"text": "same", "id": null}\n'
    first, second = write(tmp_path, data, "a.json"), write(tmp_path, data, "b.json")
    rows = read(first) + read(second)
    assert [rows[0]["doc_id"], rows[4]["doc_id"]] == ["mine", "mine"]
    assert len({row["doc_id"] for row in rows}) == 1 + 3 + 3
    assert len({row["content_hash"] for row in rows}) == 1
    assert rows[0]["content_hash"] == blake2b(b"same", digest_size=16).hexdigest()
    assert read(first) == rows[:4]


def test_ids_stay_when_a_folder_moves(tmp_path: Path) -> None:
    for place in ("disk/crawl", "bucket/crawl"):
        (tmp_path / place).mkdir(parents=True)
        write(tmp_path / place, GOOD_LINES)
    old, new = (read(tmp_path / place / "x.json") for place in ("disk/crawl", "bucket/crawl"))
    assert old == new


def test_source_is_the_records_else_the_given_else_the_formats_name(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"id": "1", "text": "a", "source": "wiki"}\n{"id": "2", "text": "b"}\n')
    assert [row["source"] for row in read(path, "dolma")] == ["wiki", "dolma"]
    assert [row["source"] for row in read(path, "dolma", source="mine")] == ["wiki", "mine"]
    assert [row["source"] for row in read(path, "c4")] == ["c4", "c4"]


def test_redpajama_reads_raw_content_and_keeps_digest_and_signals_as_metadata(tmp_path: Path) -> None:
    record = {"raw_content": "page", "url": "u", "digest": "sha1:X", "quality_signals": {"ccnet": [[0, 1, 0.5]]}}
    named = record | {"doc_id": "2023-06/0000/en_head.json.gz/0", "bucket": None}
    lines = json.dumps(record) + "\n" + json.dumps(named)
    hashed, given_id = read(write(tmp_path, lines.encode()), "redpajama-v2")
    assert hashed["metadata"] == {"digest": "sha1:X", "quality_signals": '{"ccnet":[[0,1,0.5]]}'}
    assert hashed["metadata"] == given_id["metadata"]
    assert len(hashed["doc_id"]) == 32
    assert given_id["doc_id"] == "2023-06/0000/en_head.json.gz/0"


def test_dclm_takes_its_id_from_the_warc_headers_and_keeps_them(tmp_path: Path) -> None:
    record = {"text": "page", "url": "u", "metadata": {"WARC-Record-ID": "<urn:uuid:1>"}}
    (row,) = read(write(tmp_path, json.dumps(record).encode()), "dclm")
    assert row["doc_id"] == "<urn:uuid:1>"
    assert row["metadata"] == {"metadata": '{"WARC-Record-ID":"<urn:uuid:1>"}'}


def test_batches_hold_at_most_1000_records_and_16_mb(tmp_path: Path) -> None:
    small = b'{"text": "a"}\n' * 2_500
    large = b"".join(b'{"text": "%s"}\n' % (b"x" * size) for size in (9_000_000, 9_000_000, 20_000_000, 10))
    path = write(tmp_path, small + large)
    assert [batch.num_rows for batch in read_file(str(path), "json")] == [1_000, 1_000, 501, 1, 1, 1]


def test_metadata_nested_beyond_what_json_writes_does_not_cost_the_page(tmp_path: Path) -> None:
    deep = b'{"text": "a", "deep": ' + b"[" * 900 + b"]" * 900 + b"}"
    assert texts(read(write(tmp_path, deep))) == ["a"]


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_text_file_is_one_document(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, COMPRESSIONS[suffix](b"\xef\xbb\xbfone\r\ntwo\n"), f"x.txt{suffix}")
    (row,) = read(path, "text")
    assert (row["text"], row["position"], row["source"]) == ("one\r\ntwo\n", 0, "text")


def test_a_text_file_that_is_cut_off_or_not_utf8_is_quarantined(tmp_path: Path) -> None:
    assert errors(read(write(tmp_path, gzip.compress(b"one" * 99)[:-9], "x.txt.gz"), "text")) == [(0, "TruncatedFile")]
    assert errors(read(write(tmp_path, b"caf\xe9", "x.txt"), "text")) == [(0, "NotUtf8")]


def test_a_file_system_that_fails_raises_and_quarantines_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    for format_name in ("json", "parquet", "warc"):
        with pytest.raises(InputError, match=r"folder\.json"):
            read(tmp_path / "folder.json", format_name)
