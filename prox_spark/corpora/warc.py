"""WARC and WET: pages as crawled, and the text that Common Crawl extracted from them (ISO 28500; WARC 0.17 to 1.1)."""

import re
from collections.abc import Callable, Iterator
from functools import partial

from resiliparse.parse.encoding import detect_mime

from prox_spark.corpora.archives import Entry, read_archive
from prox_spark.corpora.encodings import decode_page
from prox_spark.corpora.extraction import DEFAULT
from prox_spark.corpora.extraction_process import MAX_PAGE, NoText, html_to_text
from prox_spark.corpora.files import WatchedFile
from prox_spark.corpora.http import HttpResponse, TooLarge, decode_body, gunzip_again, media_type, parse_response
from prox_spark.corpora.records import Found, Passed, Record, not_utf8, unreadable
from prox_spark.corpora.streams import NOT_TEXT
from prox_spark.errors import InstallationError

_MOST_TYPE = 64  # maximum characters of a record's type in a reason

_HTML = ("text/html", "application/xhtml+xml")
_PLAIN = "text/plain"
_TEXTS = (*_HTML, _PLAIN, "application/postscript")
_MOST_HEAD = 1445  # bytes that tell the type (MIME Sniffing Standard, section 5.2)
# HTML by the tags that the WHATWG's MIME Sniffing Standard (section 7.1) names, behind a byte order mark or XML's declaration.
_LOOKS_LIKE_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--[\s>]|(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,1000}?-->\s*)?<(?:!doctype\s+html|html|head|script|"
    rb"iframe|h1|div|font|table|a|style|title|b|body|br|p|meta|link)[\s>/])",
    re.IGNORECASE | re.DOTALL,
)
# First bytes of files that are not text (MIME Sniffing Standard, section 6, and common documents): servers label any file
# text/html.
_BINARY = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a.{0,6}[\0-\x08]", re.DOTALL), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"%PDF-\d"), "application/pdf"),
    (re.compile(rb"PK\x03\x04"), "application/zip"),
    (re.compile(rb"\x1f\x8b\x08"), "application/gzip"),
    (re.compile(rb"Rar!\x1a\x07"), "application/vnd.rar"),
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "application/msword"),
    (re.compile(rb"\0\0.{2}ftyp", re.DOTALL), "video/mp4"),
    (re.compile(rb"\x1aE\xdf\xa3"), "video/webm"),
    (re.compile(rb"OggS\0"), "application/ogg"),
    (re.compile(rb".{257}ustar", re.DOTALL), "application/x-tar"),
)
_C1_CONTROL = re.compile(rb"\xc2[\x80-\x9f]")  # in UTF-8: many times faster to find in bytes than in a string
# UTF-8 that was decoded as windows-1252.
_MOJIBAKE = re.compile("[\u00c2\u00c3][\u00a1-\u00bf]|\u00e2\u20ac")

_RecordReader = Callable[[int, Entry, bytes], Found]


def read_warc(file: WatchedFile, extract: str = DEFAULT) -> Iterator[Found]:
    """The pages of a WARC file: ``response`` records of status 200 that hold HTML, XHTML or plain text, as text.

    ``extract`` names the extractor for HTML; if it is not the default, the page's metadata names it, too.

    ``position`` is the index of the record among all records of the file. Records of other kinds are passed over, each with
    its reason: its type, status or media type, or that it is not HTTP.
    """
    yield from _read(file, "response", partial(_read_response, extract))


def read_wet(file: WatchedFile) -> Iterator[Found]:
    """The texts of a WET file: its ``conversion`` records. ``position`` is the index among all records of the file."""
    yield from _read(file, "conversion", _read_conversion)


def _read(file: WatchedFile, kind: str, read_record: _RecordReader) -> Iterator[Found]:
    for entry in read_archive(file, MAX_PAGE):
        doc_id = entry.headers.get("warc-record-id")
        record_type = entry.headers.get("warc-type", "").lower()
        if entry.error_class is not None:
            yield unreadable(entry.position, entry.error_class, entry.message or "", doc_id)
        elif not record_type:
            yield unreadable(entry.position, "MalformedWarc", "the record has no WARC-Type", doc_id)
        elif record_type != kind:
            yield Passed(f"record type {record_type[:_MOST_TYPE]}")
        elif entry.block is None:
            yield _too_large(entry)
        else:
            try:
                yield read_record(entry.position or 0, entry, entry.block)
            except (MemoryError, InstallationError):
                raise
            except Exception as error:  # noqa: BLE001 -- recorded: an unexpected error costs this record, never the file
                message = f"{type(error).__name__} while reading the record"
                yield unreadable(entry.position, "MalformedWarc", message, doc_id)


def _read_response(extract: str, position: int, entry: Entry, block: bytes) -> Found:
    doc_id = entry.headers.get("warc-record-id")
    response = parse_response(block)
    if response is None:
        # Crawlers also archive DNS and FTP responses.
        kind = media_type(entry.headers.get("content-type", ""))
        if kind not in (None, "application/http", _PLAIN, *_HTML):
            return Passed(f"not HTTP: {kind}")
        message = "the response does not begin with an HTTP status line, or its head is longer than 1 MiB"
        return unreadable(position, "MalformedHttp", message, doc_id)
    if response.status != 200:
        return Passed(f"status {response.status}")
    kind = response.media_type or media_type(entry.headers.get("warc-identified-payload-type", ""))
    if kind is not None and kind not in (*_HTML, _PLAIN):
        return Passed(f"media type {kind}")
    try:
        kind, body = _sniff(kind, response)
    except TooLarge:
        return _too_large(entry)
    if kind not in (*_HTML, _PLAIN):
        return Passed(f"media type {kind}, by its bytes")
    metadata = {"status": str(response.status), "content_type": kind}
    if kind in _HTML:
        try:
            text = html_to_text(body, response.charset, extract)
        except NoText as error:
            return unreadable(position, error.error_class, str(error), doc_id)
        if extract != DEFAULT:
            metadata["extract"] = extract
    else:
        text = decode_page(body, response.charset, html=False)
    return _page(position, entry, text, text.encode("utf-8", "replace"), metadata)


def _sniff(kind: str | None, response: HttpResponse) -> tuple[str, bytes]:
    """The decoded body, and its media type: the declared one, unless the bytes are of another type.

    Raises ``TooLarge``.
    """
    body = decode_body(response, MAX_PAGE)
    if kind is None:
        kind = _type_of(body)
    else:
        body = gunzip_again(body, MAX_PAGE)
    return next((binary for magic, binary in _BINARY if magic.match(body)), kind), body


def _type_of(body: bytes) -> str:
    """The media type of a body for which no field names one (MIME Sniffing Standard, section 7.1)."""
    if _LOOKS_LIKE_HTML.match(body):
        return _HTML[0]
    found = detect_mime(body[:4096]) if body else _PLAIN
    # The detector calls text binary that has line ends or begins with letters such as "BM".
    if NOT_TEXT.search(body, 0, _MOST_HEAD) or found in _TEXTS or found.endswith("xml"):
        return found
    return _PLAIN


def _read_conversion(position: int, entry: Entry, block: bytes) -> Found:
    try:
        text = block.decode()
    except UnicodeDecodeError as error:
        return not_utf8(position, block, error)._replace(doc_id=entry.headers.get("warc-record-id"))
    language = entry.headers.get("warc-identified-content-language")
    return _page(position, entry, text, block, {"language": language} if language else {})


def _page(position: int, entry: Entry, text: str, data: bytes, metadata: dict[str, str]) -> Record:
    date = entry.headers.get("warc-date")
    if date:
        metadata["WARC-Date"] = date
    broken = broken_share(text, data)
    if broken:
        metadata["broken_share"] = f"{broken:.4f}"
    url = entry.headers.get("warc-target-uri")
    # Some writers put the URL in angle brackets, because of a mistake in WARC 1.0.
    url = url.strip("<>") if url else None
    return Record(position, data, entry.headers.get("warc-record-id"), None, url, metadata)


def broken_share(text: str, data: bytes) -> float:
    """The share of characters that show a wrong encoding, from 0 to 1: U+FFFD, C1 controls, UTF-8 read as windows-1252.

    ``data`` is ``text`` in UTF-8.
    """
    if text.isascii():
        return 0.0
    found = (text.count("\ufffd") if "\ufffd" in text else 0) + len(_C1_CONTROL.findall(data))
    if "\u00c2" in text or "\u00c3" in text or "\u00e2" in text:
        found += len(_MOJIBAKE.findall(text))
    return found / len(text) if found else 0.0


def _too_large(entry: Entry) -> Record:
    message = f"a page is larger than {MAX_PAGE} bytes"
    return unreadable(entry.position, "TooLarge", message, entry.headers.get("warc-record-id"))
