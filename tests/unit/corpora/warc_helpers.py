"""Archives in tests: records of WARC files, byte by byte."""


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
