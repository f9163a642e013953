"""The task of ``ingest``: every record of a file is a document, a row of quarantine, or counted by its reason."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prox_spark.corpora.files import FileInfo
from prox_spark.corpora.records import OTHER_REASONS, LeftOut, Passed, Record, Tally
from prox_spark.ingestion.task import READ, read_task
from prox_spark.ingestion.units import FilePlan
from prox_spark.limits import DocumentLimits


def run(path: Path, format_name: str, *, limit: int | None = None, max_bytes: int = 1_000_000) -> list[dict[str, Any]]:
    """All rows that the task gives for one file."""
    plan = FilePlan(FileInfo(str(path), path.stat().st_size, datetime.now(UTC)), 7, 1)
    limits = DocumentLimits(max_bytes=max_bytes)
    task = read_task([[plan]], format_name, {}, "text", None, 1 << 28, limit, limits)
    batches = list(task(iter([pa.RecordBatch.from_pydict({"id": pa.array([0], pa.int64())})])))
    assert all(batch.schema.equals(READ) for batch in batches)
    return [row for batch in batches for row in pa.Table.from_batches([batch]).to_pylist(maps_as_pydicts="strict")]


def account(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the ``end`` row says, checked against the others."""
    (end,) = (row for row in rows if row["kind"] == "end")
    kinds = [row["kind"] for row in rows if row["kind"] != "end"]
    assert end["position"] == len(kinds)
    counts = {name: json.loads(value) for name, value in (end["metadata"] or {}).items()}
    return {"documents": kinds.count("document"), "unreadable": kinds.count("unreadable"), **counts}


def warc_record(kind: str, block: bytes, number: int) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def answer(status: str, content_type: str, body: bytes = b"<p>x</p>") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n\r\n".encode() + body


def test_every_record_of_an_archive_is_accounted_for_by_its_reason(tmp_path: Path) -> None:
    members = [
        warc_record("warcinfo", b"software: x", 0),
        *(warc_record("request", b"GET / HTTP/1.1\r\n\r\n", number) for number in (1, 2)),
        warc_record("response", answer("200 OK", "text/html"), 3),
        warc_record("response", answer("404 Not Found", "text/html"), 4),
        warc_record("response", answer("200 OK", "image/png", b"\x89PNG"), 5),
        warc_record("response", b"not HTTP at all", 6),
        b"garbage\r\n\r\n",
        warc_record("response", answer("200 OK", "text/plain", b"words"), 8),
    ]
    path = tmp_path / "x.warc.gz"
    path.write_bytes(b"".join(map(gzip.compress, members)))
    found = account(run(path, "warc"))
    passed = {"record type warcinfo": 1, "record type request": 2, "status 404": 1, "media type image/png": 1}
    assert found == {"documents": 2, "unreadable": 2, "passed": passed}
    assert 2 + 2 + sum(passed.values()) == len(members)


@pytest.mark.parametrize("format_name", ["json", "text", "wet", "parquet"])
def test_rows_and_passed_records_add_up_in_every_format(tmp_path: Path, format_name: str) -> None:
    path = tmp_path / f"x.{format_name}"
    if format_name == "json":
        path.write_bytes(b'{"text": "a"}\n\n{broken\n{"text": "b"}\n')
        expected = {"documents": 2, "unreadable": 1}
    elif format_name == "text":
        path.write_bytes(b"a\nb\n")
        expected = {"documents": 1, "unreadable": 0}
    elif format_name == "wet":
        path.write_bytes(warc_record("warcinfo", b"", 0) + warc_record("conversion", b"a", 1))
        expected = {"documents": 1, "unreadable": 0, "passed": {"record type warcinfo": 1}}
    else:
        pq.write_table(pa.table({"text": ["a", None]}), path)
        expected = {"documents": 1, "unreadable": 1}
    assert account(run(path, format_name)) == expected


def test_documents_above_the_limits_count_as_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"text": "short"}\n{"text": "%s"}\n' % ("long" * 10))
    rows = run(path, "json", max_bytes=20)
    assert account(rows) == {"documents": 1, "unreadable": 1}
    assert [row["error_class"] for row in rows] == [None, "TooLarge", None]


def test_a_file_that_a_limit_cuts_off_has_no_end(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"text": "a"}\n' * 5)
    assert [row["kind"] for row in run(path, "json", limit=3)] == ["document"] * 3
    assert account(run(path, "json", limit=5)) == {"documents": 5, "unreadable": 0}


def test_a_tally_of_endless_reasons_stays_small_and_loses_none() -> None:
    tally = Tally()
    found = [Passed(f"media type x/{number}") for number in range(1_000)]
    columns = [LeftOut(f"column {number}", "cannot be shown") for number in range(1_000)]
    assert list(tally.rows([*found, *columns, Record(0, b"a")])) == [Record(0, b"a")]
    assert tally.passed.total() == 1_000
    assert tally.passed[OTHER_REASONS] == 800
    assert len(tally.passed) == len(tally.left_out) == 201
