"""``files`` accounts for every record: documents, rows of quarantine, and what was passed over, by reason."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from claims import PAGE, rows

from prox_spark.config import Config
from prox_spark.errors import ConservationError
from prox_spark.ingestion import ingest as ingestion
from prox_spark.ingestion.accounts import Account, account, check_committed
from prox_spark.ingestion.ingest import Ingested, ingest

REQUEST = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"


def record(kind: str, number: int, body: bytes, content_type: str) -> bytes:
    """A record of a WARC file."""
    head = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{number:012d}>",
        f"WARC-Target-URI: https://a.example/{number}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body + b"\r\n\r\n"


def response(number: int, text: str, status: str = "200 OK", media: str = "text/html") -> bytes:
    body = f"HTTP/1.1 {status}\r\nContent-Type: {media}\r\n\r\n<html><body><p>{text}</p></body></html>".encode()
    return record("response", number, body, "application/http; msgtype=response")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The warnings of ``ingest``."""
    found: list[str] = []
    monkeypatch.setattr(ingestion._log, "warning", lambda told, *values, **_: found.append(told % values))
    return found


def test_every_record_of_an_archive_is_accounted_for(
    spark: Any, configure: Callable[..., Config], tmp_path: Path
) -> None:
    archive = [
        record("warcinfo", 0, b"software: none\r\n", "application/warc-fields"),
        record("request", 1, REQUEST, "application/http; msgtype=request"),
        response(2, PAGE.replace("\n", "<br>")),
        response(3, "gone", status="404 Not Found"),
        response(4, "a picture", media="image/png"),
        response(2, "the same id again"),
        record("response", 5, b"no HTTP at all", "application/http; msgtype=response"),
    ]
    (tmp_path / "a.warc").write_bytes(b"".join(archive))
    config = configure(f"input.path={tmp_path / 'a.warc'}", "input.format=warc")

    done = ingest(spark, config)

    (row,) = rows(spark, config, "files")
    assert row["records"] == row["documents"] + row["quarantined"]
    assert row["records"] + sum(row["passed"].values()) == len(archive)
    assert row["documents"] == done.documents == len(rows(spark, config, "documents"))
    assert row["quarantined"] == done.quarantined == len(rows(spark, config, "quarantine"))
    assert done.passed == row["passed"]
    assert row["reading"] == '{"format":"warc"}'
    assert {one["error_class"] for one in rows(spark, config, "quarantine")} >= {"DuplicateId"}


def test_a_file_that_gave_no_document_is_read_again_in_another_way(
    spark: Any,
    configure: Callable[..., Config],
    write_pages: Callable[..., Path],
    tmp_path: Path,
    said: list[str],
) -> None:
    write_pages([PAGE], "a.json")
    (tmp_path / "b.json").write_text('{"body": "A page whose text has another name."}\n')

    def config(*more: str) -> Config:
        return configure(*more, path=f"{tmp_path}/*.json")

    assert ingest(spark, config()) == Ingested(2, 0, 1, 1)
    assert ingest(spark, config()) == Ingested(0, 2, 0, 0)

    mapped = configure("input.columns={text: body}", path=f"{tmp_path}/b.json")
    assert ingest(spark, mapped) == Ingested(1, 0, 1, 0)
    assert ingest(spark, mapped) == Ingested(0, 1, 0, 0)
    assert ingest(spark, config()) == Ingested(0, 2, 0, 0), "it gave a document"
    assert said == []
    assert ingest(spark, config("limits.max_lines=1000")) == Ingested(0, 2, 0, 0)
    assert "2 files gave documents with another format, columns, extractor or limits" in said[-1]


def test_a_run_that_died_before_its_files_counts_documents_that_are_there(
    spark: Any, configure: Callable[..., Config], write_pages: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(path=write_pages([PAGE, f"{PAGE}\nMore.", None]))

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingestion, "file_rows", die)
        with pytest.raises(KeyboardInterrupt):
            ingest(spark, config)

    assert ingest(spark, config) == Ingested(1, 0, 0, 0)
    (row,) = rows(spark, config, "files")
    assert (row["records"], row["documents"], row["quarantined"]) == (3, 2, 1)


@pytest.fixture
def read(spark: Any) -> Any:
    """Two records of a file that was read to its end."""
    ended = [("document", "a", None), ("document", "a", None), ("end", "a", 2)]
    return spark.createDataFrame(
        [(*row, None) for row in ended], "kind string, file string, position bigint, metadata map<string, string>"
    )


def test_a_record_that_got_lost_stops_the_ingest(spark: Any, read: Any) -> None:
    documents = read.where("kind = 'document'")
    whole = account(read, {})
    assert whole == account(read, {"arrived": documents}) == {"a": Account(read=2, arrived=2, complete=True)}
    with pytest.raises(ConservationError, match="'a' has 2 records, 2 were read, 1 became documents and 0 rows"):
        account(read, {"arrived": documents.limit(1)})
    with pytest.raises(ConservationError, match="'a' has 2 records, 1 were read, 1 became documents"):
        account(read.where("kind = 'end'").unionAll(documents.limit(1)), {"arrived": documents.limit(1)})
    with pytest.raises(ConservationError, match="2 documents arrived and 1 were committed"):
        check_committed({"a": replace(whole["a"], there=1)}, 1)


def test_a_run_without_a_document_says_what_to_do(
    spark: Any, configure: Callable[..., Config], tmp_path: Path, said: list[str]
) -> None:
    (tmp_path / "b.json").write_text('{"text": 5, "body": "elsewhere"}\n' * 3)
    assert ingest(spark, configure(path=f"{tmp_path}/b.json")) == Ingested(1, 0, 0, 3)
    assert "no document was read: all 3 rows of quarantine are WrongType" in said[-1]
