"""WARC and WET: pages as crawled, and the text that Common Crawl took from them (ISO 28500; WARC 1.0 and 1.1)."""

import codecs
from collections.abc import Callable, Iterator
from typing import Any

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from prox_spark.corpora.files import WatchedFile
from prox_spark.corpora.records import Record, unreadable, utf8_or_error, well_formed
from prox_spark.corpora.streams import Damaged, decompressed, is_zstd

MAX_PAGE = 64 << 20
"""Bytes of the largest page that is parsed, decoded or not; a larger one is quarantined."""

_HTML = ("text/html", "application/xhtml+xml")
_CHARSET_SAMPLE = 1 << 16
_SCAN = 1 << 20
_PLAIN_START = b"\nWARC/1."

_RecordReader = Callable[[int, WarcRecord, bytes], Record | None]


def read_warc(file: WatchedFile) -> Iterator[Record]:
    """The pages of a WARC file: ``response`` records of status 200 that hold HTML, XHTML or plain text, as text.

    ``position`` is the index of the record among all records of the file. Records of other kinds are passed over.
    """
    yield from _read(file, WarcRecordType.response, _read_response)


def read_wet(file: WatchedFile) -> Iterator[Record]:
    """The texts of a WET file: its ``conversion`` records. ``position`` is the index among all records of the file."""
    yield from _read(file, WarcRecordType.conversion, _read_conversion)


def _read(file: WatchedFile, kind: Any, read_record: _RecordReader) -> Iterator[Record]:
    """Records of one kind. After damage it continues at the next record."""
    mark = _start_mark(file)
    position = 0
    start: int | None = 0
    while start is not None:
        here = start
        file.seek(here)
        last: int | None = None
        # Held back until the next record begins where it should: a wrong length swallows what follows, or cuts itself.
        held: Record | None = None
        lost = False  # whether the archive cannot be followed behind the last record
        try:
            for record in ArchiveIterator(file, parse_http=False):
                if held is not None:
                    yield held
                last = record.stream_pos
                held = _read_whole(position, record, kind, read_record)
                file.raise_failure()
                position += 1
                lost = held is not None and held.error_class in ("TruncatedFile", "BrokenFile")
                if lost:
                    break
            if held is not None:
                yield held
            start = None
            if lost:
                start = _next_start(file, mark, (last or 0) + 1)
            elif mark != _PLAIN_START and not _ends_whole(file, last or 0):
                yield _cut_off(position)
        except OSError as error:
            file.raise_failure()
            start = _find(file, mark, (here if last is None else last) + 1)
            message = f"the archive is damaged: {error}"
            if last is not None and start is not None and _begins(file, start):
                doc_id = held.doc_id if held is not None else None
                yield unreadable(position - 1, "BrokenFile", f"{message} (this record's length is wrong)", doc_id)
            else:
                if held is not None:
                    yield held
                yield unreadable(position, "BrokenFile", message)
                position += 1
                start = None if start is None else _next_start(file, mark, start)


def _read_whole(position: int, record: WarcRecord, kind: Any, read_record: _RecordReader) -> Record | None:
    length = record.content_length
    if not record.headers.get("Content-Length"):  # the archive may end inside these headers
        return _cut_off(position)
    try:
        if record.record_type != kind:
            return None if record.consume() == length else _cut_off(position)
        if length > MAX_PAGE:
            return _too_large(position, record) if record.consume() == length else _cut_off(position)
        block = record.reader.read()
    except OSError as error:
        return unreadable(
            position, "BrokenFile", f"the archive is damaged inside this record: {error}", record.record_id
        )
    if len(block) != length:
        return _cut_off(position)
    return read_record(position, record, block)


def _read_response(position: int, record: WarcRecord, block: bytes) -> Record | None:
    try:
        record.set_bytes_content(block)
        record.parse_http(auto_decode="all")
        if not record.is_http:
            return None  # A response of another protocol: crawlers archive those of name servers.
        status = record.http_headers.status_code
        content_type = (record.http_content_type or "").lower()
        if status != 200 or content_type not in (*_HTML, "text/plain"):
            return None
        body = record.reader.read(MAX_PAGE + 1)
    except (OSError, ValueError) as error:
        return unreadable(position, "MalformedHttp", f"the HTTP response cannot be read: {error}", record.record_id)
    if len(body) > MAX_PAGE:
        return _too_large(position, record)
    text = _decode(body, record.http_charset)
    if content_type in _HTML:
        try:
            text = html_to_text(text)
        except (ValueError, RuntimeError) as error:
            return unreadable(position, "MalformedHtml", f"the HTML cannot be parsed: {error}", record.record_id)
    return _page(
        position, record, text.encode("utf-8", "replace"), {"status": str(status), "content_type": content_type}
    )


def _read_conversion(position: int, record: WarcRecord, block: bytes) -> Record | None:
    wrong = utf8_or_error(position, block)
    if wrong is not None:
        return wrong._replace(doc_id=record.record_id)
    language = record.headers.get("WARC-Identified-Content-Language")
    return _page(position, record, block, {"language": language} if language else {})


def _page(position: int, record: WarcRecord, text: bytes, metadata: dict[str, str]) -> Record:
    date = record.headers.get("WARC-Date")
    if date:
        metadata["WARC-Date"] = well_formed(date)
    url = record.headers.get("WARC-Target-URI")
    # Some writers put the address between angle brackets, as WARC 1.0 had it by mistake.
    url = url.strip("<>") if url else None
    return Record(position, text, record.record_id, None, url, metadata)


def html_to_text(html: str) -> str:
    """The visible text of a whole page, one block or list item a line, as a WET file would have it.

    Nothing is left out for being navigation or footer: that is what refinement decides.
    """
    text: str = extract_plain_text(
        html, preserve_formatting=True, main_content=False, list_bullets=True, alt_texts=False, links=False
    )
    return text


def _decode(body: bytes, charset: str | None) -> str:
    """Text of a page: by byte order mark, HTTP header, HTML meta, then by its looks (the order of WHATWG's HTML)."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    try:
        encoding = codecs.lookup(charset or "").name
    except (LookupError, ValueError):
        encoding = detect_encoding(body[:_CHARSET_SAMPLE], from_html_meta=True) or "utf-8"
    try:
        text: str = bytes_to_str(body, encoding)
    except (LookupError, UnicodeError):
        text = body.decode("utf-8", "replace")
    return text


def _cut_off(position: int) -> Record:
    return unreadable(position, "TruncatedFile", "the archive is cut off inside this record")


def _too_large(position: int, record: WarcRecord) -> Record:
    return unreadable(position, "TooLarge", f"a page is larger than {MAX_PAGE} bytes", record.record_id)


def _start_mark(file: WatchedFile) -> bytes:
    """What the start of a record looks like in this file: a gzip member, a zstd frame, or the version line itself."""
    file.seek(0)
    head = file.read(4)
    if head.startswith(b"\x1f\x8b"):
        return b"\x1f\x8b\x08"
    return b"\x28\xb5\x2f\xfd" if is_zstd(head.ljust(4, b"\0")) else _PLAIN_START


def _ends_whole(file: WatchedFile, start: int) -> bool:
    """Whether what is compressed from here on is complete: behind the last whole record another may have begun."""
    file.seek(start)
    try:
        for _ in decompressed(file):
            pass
    except Damaged:
        return False
    return True


def _begins(file: WatchedFile, start: int) -> bool:
    """Whether a record begins at this offset."""
    file.seek(start)
    try:
        return next(ArchiveIterator(file, parse_http=False), None) is not None
    except OSError:
        file.raise_failure()
        return False


def _next_start(file: WatchedFile, mark: bytes, start: int) -> int | None:
    """Offset of the next record at or after ``start``."""
    found = _find(file, mark, start)
    while found is not None and not _begins(file, found):
        found = _find(file, mark, found + 1)
    return found


def _find(file: WatchedFile, mark: bytes, start: int) -> int | None:
    """Offset of the next ``mark`` at or after ``start``; for a line, of what follows its line feed."""
    file.seek(start)
    data = b""
    while piece := file.read(_SCAN):
        data += piece
        at = data.find(mark)
        if at >= 0:
            return start + at + mark.startswith(b"\n")
        start += len(data) - (len(mark) - 1)
        data = data[-(len(mark) - 1) :]
    return None
