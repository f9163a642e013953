"""The files of the demo corpus: C4, DCLM, FineWeb and WARC, with the broken records that real corpora contain."""

import gzip
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from fastwarc.warc import WarcRecord, WarcRecordType

from prox_spark.demo.corpus.markup import html
from prox_spark.demo.corpus.pages import Page, pages

FILES: Mapping[str, str] = {
    "c4": "c4-demo.00000-of-00001.json.gz",
    "dclm": "dclm-demo-shard_00000000.jsonl.zst",
    "fineweb": "fineweb-demo-000_00000.parquet",
    "warc": "demo-00000.warc.gz",
}
"""Name of the file of each format."""

BAD_RECORDS: Mapping[str, Mapping[str, int]] = {
    "c4": {"malformed": 3, "null_text": 1, "wrong_type": 2, "blank": 2, "same_text": 1},
    "dclm": {"malformed": 2, "null_text": 1, "wrong_type": 1, "blank": 1, "doubled_id": 2},
    "fineweb": {"null_text": 1, "blank": 2, "doubled_id": 1},
    "warc": {"not_html": 1, "not_found": 1, "empty_body": 1},
}
"""Intended bad records of each file.

malformed: not JSON, or not UTF-8. wrong_type: JSON, but the record or its text has another type. blank: the text is
empty or white space. same_text: an exact copy of an earlier record, in a format without ids. doubled_id: the id of an
earlier record again (in DCLM once with the same and once with another text). not_found: a response with status 404.
"""

Record = TypeVar("Record")

FINEWEB_SCHEMA = pa.schema(
    [
        *[(name, pa.string()) for name in ("text", "id", "dump", "url", "date", "file_path", "language")],
        ("language_score", pa.float64()),
        ("token_count", pa.int64()),
    ]
)


def write_corpus(folder: Path) -> None:
    """Writes the four files of ``FILES`` into a folder, which is created if missing; the same bytes each time."""
    folder.mkdir(parents=True, exist_ok=True)
    by_format: dict[str, list[Page]] = {name: [] for name in FILES}
    for page in pages():
        by_format[page.format].append(page)
    (folder / FILES["c4"]).write_bytes(gzip.compress(_json_lines(_c4_records(by_format["c4"])), mtime=0))
    dclm = _json_lines(_dclm_records(by_format["dclm"]))
    (folder / FILES["dclm"]).write_bytes(zstandard.ZstdCompressor(level=6).compress(dclm))
    table = pa.Table.from_pylist(_fineweb_records(by_format["fineweb"]), schema=FINEWEB_SCHEMA)
    pq.write_table(table, folder / FILES["fineweb"], compression="zstd", row_group_size=25)
    (folder / FILES["warc"]).write_bytes(_warc(by_format["warc"]))


def _json_lines(records: Iterable[dict[str, Any] | list[Any] | bytes]) -> bytes:
    """One line per record; bytes are written unchanged."""
    return b"".join(
        (record if isinstance(record, bytes) else json.dumps(record, ensure_ascii=False).encode()) + b"\n"
        for record in records
    )


def _c4(page: Page) -> dict[str, Any]:
    return {"text": page.text, "timestamp": f"{page.date}T10:15:00Z", "url": page.url}


def _c4_records(found: list[Page]) -> list[dict[str, Any] | list[Any] | bytes]:
    records: list[dict[str, Any] | list[Any] | bytes] = [_c4(page) for page in found]
    when = "2021-05-08T04:22:10Z"
    site = "https://broken-records.example"
    bad: dict[int, dict[str, Any] | list[Any] | bytes] = {
        4: b'{"text": "The crawler stopped in the middle of this sen',
        11: {"text": None, "timestamp": when, "url": f"{site}/null"},
        17: {"text": "", "timestamp": when, "url": f"{site}/empty"},
        23: {"text": ["a list", "of strings"], "timestamp": when, "url": f"{site}/list"},
        29: b"<html><head><title>502 Bad Gateway</title></head></html>",
        34: _c4(found[2]),
        40: ["an array", "where an object should be"],
        46: {"text": " \n\t\n  ", "timestamp": when, "url": f"{site}/white-space"},
        52: b'{"text": "one record", "url": "' + site.encode() + b'/two"}{"text": "and another on the same line"}',
    }
    return _spread(records, bad)


def _dclm(page: Page) -> dict[str, Any]:
    return {
        "bff_contained_ngram_count_before_dedupe": 0,
        "language_id_whole_page_fasttext": {page.language: 0.97},
        "metadata": {
            "WARC-Type": "response",
            "WARC-Record-ID": page.record_id,
            "WARC-Target-URI": page.url,
            "WARC-Date": f"{page.date}T18:40:09Z",
            "Content-Type": "application/http; msgtype=response",
        },
        "previous_word_count": len(page.text.split()),
        "text": page.text,
        "url": page.url,
        "warcinfo": "software: demo-crawler/1.0",
    }


def _dclm_records(found: list[Page]) -> list[dict[str, Any] | list[Any] | bytes]:
    records: list[dict[str, Any] | list[Any] | bytes] = [_dclm(page) for page in found]
    later = _dclm(found[5])
    later["text"] += "\nThis page was fetched a second time, a week later."
    bad: dict[int, dict[str, Any] | list[Any] | bytes] = {
        6: _odd_dclm(None, "null"),
        13: b'{"text": "caf\xe9 au lait, in Latin-1 where UTF-8 was promised", "url": "https://latin.example/"}',
        20: _dclm(found[1]),
        27: _odd_dclm(404, "number"),
        33: b'{"url": "https://cut-off.example/", "metadata": {"WARC-Record-ID":',
        41: later,
        48: _odd_dclm("\n\n\n", "blank"),
    }
    return _spread(records, bad)


def _odd_dclm(text: str | int | None, name: str) -> dict[str, Any]:
    url = f"https://broken-records.example/{name}"
    record_id = _odd_id(name)
    metadata = {"WARC-Type": "response", "WARC-Record-ID": record_id, "WARC-Target-URI": url}
    return {"text": text, "url": url, "metadata": metadata, "language_id_whole_page_fasttext": {"en": 0.1}}


def _odd_id(name: str) -> str:
    return Page("", f"https://broken-records.example/{name}", "", "", "", "", False, ()).record_id


def _fineweb(page: Page) -> dict[str, Any]:
    return {
        "text": page.text,
        "id": page.record_id,
        "dump": "DEMO-2024-10",
        "url": page.url,
        "date": f"{page.date}T07:02:31Z",
        "file_path": f"demo/{FILES['warc']}",
        "language": page.language,
        "language_score": 0.98,
        "token_count": max(1, len(page.text) // 4),
    }


def _fineweb_records(found: list[Page]) -> list[dict[str, Any]]:
    records = [_fineweb(page) for page in found]
    bad = {
        place: {**records[0], "text": text, "id": _odd_id(name), "url": f"https://broken-records.example/{name}"}
        for place, text, name in ((9, None, "row-null"), (22, "", "row-empty"), (37, "   \n ", "row-blank"))
    }
    return _spread(records, {**bad, 44: records[3]})


def _spread(records: list[Record], bad: Mapping[int, Record]) -> list[Record]:
    mixed = list(records)
    for place in sorted(bad):
        mixed.insert(place, bad[place])
    return mixed


def _warc(found: list[Page]) -> bytes:
    """A separate gzip member for each record, as crawlers write it, so that a reader may start at any record."""
    info = b"software: demo-crawler/1.0\r\nformat: WARC File Format 1.0\r\ndescription: invented pages\r\n"
    first = _record(WarcRecordType.warcinfo, info, "warcinfo", "2024-03-01", "application/warc-fields", None)
    members = [first, *(_response(page.url, page.date, html(page).encode()) for page in found)]
    site = "https://broken-records.example"
    pixel = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")
    gone = b"<!DOCTYPE html><html><head><title>404</title></head><body><h1>Not Found</h1></body></html>"
    odd = {
        8: _response(f"{site}/gone", "2022-02-02", gone, status="404 Not Found"),
        19: _response(f"{site}/pixel.gif", "2022-02-02", pixel, content_type="image/gif"),
        31: _response(f"{site}/nothing", "2022-02-02", b""),
    }
    return b"".join(gzip.compress(member, mtime=0) for member in _spread(members, odd))


def _response(
    url: str, date: str, body: bytes, *, status: str = "200 OK", content_type: str = "text/html; charset=utf-8"
) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nServer: demo\r\n\r\n"
    content = head.encode() + body
    return _record(WarcRecordType.response, content, url, date, "application/http; msgtype=response", url)


def _record(kind: WarcRecordType, content: bytes, name: str, date: str, content_type: str, url: str | None) -> bytes:
    record = WarcRecord()
    record.init_headers(record_type=kind)
    record.headers["WARC-Date"] = f"{date}T12:00:00Z"
    record.headers["WARC-Record-ID"] = Page("", name, "", "", "", "", False, ()).record_id
    record.headers["Content-Type"] = content_type
    if url is not None:
        record.headers["WARC-Target-URI"] = url
    record.set_bytes_content(content)
    stream = io.BytesIO()
    record.write(stream)
    return stream.getvalue()
