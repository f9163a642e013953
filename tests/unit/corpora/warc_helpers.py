"""Archives in tests: records of WARC files, byte by byte, and what is read from them."""

import gzip
from pathlib import Path
from typing import Any

from corpora_helpers import read, texts


def record(kind: str, block: bytes, number: int, content_type: str, length: int | None = None) -> bytes:
    return (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n"
        f"WARC-Date: 2024-01-02T03:04:05Z\r\nWARC-Target-URI: https://example.org/{number}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(block) if length is None else length}\r\n\r\n"
    ).encode() + block + b"\r\n\r\n"  # fmt: skip


def response(
    number: int,
    body: bytes,
    content_type: str = "text/html",
    status: str = "200 OK",
    headers: str = "",
    length: int | None = None,
) -> bytes:
    block = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{headers}\r\n".encode() + body
    return record("response", block, number, "application/http; msgtype=response", length)


def page(number: int) -> bytes:
    return response(number, b"<html><body><p>page %d</p></body></html>" % number)


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
