"""Parses HTTP messages in archives (RFC 9110 and 9112): the head, and the body as far as it can be decoded."""

import io
import re
import zlib
from collections.abc import Callable
from typing import NamedTuple

import zstandard
from fastwarc.stream_io import BrotliReader

from prox_spark.corpora.streams import NOT_TEXT

_STATUS = re.compile(rb"\s*HTTP/?\d*(?:\.\d+)?[ \t]+(\d{3})(?!\d)", re.IGNORECASE)
# A blank line, or, where a server forgets it, the start of an HTML document.
_HEAD_END = re.compile(rb"\n\r{0,2}\n|\n(?=[ \t]*<(?:!doctype|html|head|body)[\s>])", re.IGNORECASE)
_ODD_HEAD_END = re.compile(rb"\n[ \t]+\r{0,2}\n|\r\r|\n(?=[ \t]*<)")
_MOST_HEAD = 1 << 20
_MOST_CODINGS = 8  # undoing each one may read the whole body
_CHUNK = re.compile(rb"[ \t\r\n]*0*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\n]{0,4096})?\r?\n")
_CUT_CHUNK = re.compile(rb"[ \t\r\n]*(?:[0-9A-Fa-f]+[ \t]*(?:;[^\n]*)?\r?)?")
_TRAILER = re.compile(rb"(?:[^\s:]+:[^\n]*\n)*\r?\n?")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")
_UNKNOWN = ("unknown/unknown", "application/unknown")  # WHATWG's MIME Sniffing Standard, section 7
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';,]+)""", re.IGNORECASE)
_STEP = 1 << 16
_GZIP = b"\x1f\x8b"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_ZSTD = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18(.{4})", re.DOTALL)
_SMALL_STEP = 1 << 10  # a step that fails loses its output


class TooLarge(Exception):  # noqa: N818 -- a fact about the data that becomes a quarantine row, never a user's error
    """The decoded body is larger than the limit."""


class HttpResponse(NamedTuple):
    """A response: its status, all fields by their names in lower case, and the body as stored."""

    status: int
    fields: dict[str, list[str]]
    body: bytes

    @property
    def media_type(self) -> str | None:
        """The first media type that ``Content-Type`` names, in lower case; ``None`` where it names none."""
        for value in self.fields.get("content-type", ()):
            for one in value.split(","):
                found = media_type(one)
                if found is not None:
                    return found
        return None

    @property
    def charset(self) -> str | None:
        """The label that ``Content-Type`` names."""
        found = (_CHARSET.search(value) for value in self.fields.get("content-type", ()))
        return next((match[1] for match in found if match), None)


def media_type(value: str) -> str | None:
    """``type/subtype`` from a field's value, in lower case, without parameters; ``None`` if it is invalid or "unknown"."""
    words = value.split(";")[0].split()
    found = words[0].lower() if words else ""
    return found if _MEDIA_TYPE.fullmatch(found) and found not in _UNKNOWN else None


def parse_response(block: bytes) -> HttpResponse | None:
    """The response in ``block``; ``None`` if it does not begin with a status line, or its head is longer than 1 MiB.

    As RFC 9112 allows, lines may end with only LF; names in any case, repeated blanks and folded lines are accepted, too, and
    a head without its blank line ends before the first tag. Interim responses (1xx) before the response are passed over.
    """
    at = 0
    while (match := _STATUS.match(block, at)) is not None:
        most = match.end() + _MOST_HEAD
        end = _HEAD_END.search(block, match.end(), most) or _ODD_HEAD_END.search(block, match.end(), most)
        if end is None and len(block) > most:
            return None
        if end is None or not match[1].startswith(b"1") or not _STATUS.match(block, end.end()):
            fields = _parse_fields(block[match.end() : end.start() if end else most].decode("latin-1"))
            return HttpResponse(int(match[1]), fields, block[end.end() :] if end else b"")
        at = end.end()
    return None


def _parse_fields(head: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    values: list[str] = []
    for line in head.split("\n" if "\n" in head else "\r")[1:]:
        if line.startswith((" ", "\t")):
            if values:
                values[-1] = f"{values[-1]} {line.strip()}".strip()
            continue
        name, colon, value = line.partition(":")
        if colon:
            values = fields.setdefault(name.strip().lower(), [])
            values.append(value.strip())
    return fields


def decode_body(response: HttpResponse, limit: int) -> bytes:
    """The body without its transfer and content codings, as far as it can be read.

    A coding that is unknown, or that the body does not really have, is ignored: the body stays as it is. So are all codings
    after the eighth. Raises ``TooLarge`` if the body has more than ``limit`` bytes.
    """
    body = response.body
    decoders: list[Callable[[bytes, int], bytes | None]] = []
    for name in ("transfer-encoding", "content-encoding"):
        codings = [one.strip().lower() for value in response.fields.get(name, ()) for one in value.split(",")]
        decoders += [_DECODERS[coding] for coding in reversed(codings) if coding in _DECODERS]
    for decoder in decoders[:_MOST_CODINGS]:
        decoded = decoder(body, limit)
        body = body if decoded is None else decoded
    if len(body) > limit:
        raise TooLarge
    return body


def gunzip_again(body: bytes, limit: int) -> bytes:
    """Decompress a page that is gzip although no field says so, or once more than they say; others stay unchanged.

    Zlib has no such mark: a page of mathematics may begin with ``x^``. Raises ``TooLarge`` as ``decode_body`` does.
    """
    found = _gunzip(body, limit) if body.startswith(_GZIP) else None
    return body if found is None else found


def _dechunk(body: bytes, limit: int) -> bytes | None:
    """The chunks up to the last one or a cut; ``None`` if the body does not begin with a chunk.

    Bytes behind a chunk that are not a chunk stay as they are: a server or proxy has forgotten the coding, or miscounted.
    """
    chunks: list[bytes] = []
    at = 0
    while (match := _CHUNK.match(body, at)) is not None:
        start, size = match.end(), int(match[1], 16)
        if not size and (chunks or _TRAILER.fullmatch(body, start)):
            return b"".join(chunks)
        end = start + min(size, len(body) - start)
        after = end + (2 if body.startswith(b"\r\n", end) else body.startswith(b"\n", end))
        if end == len(body):  # cut off, or a text whose first line is a number
            fits = bool(chunks) or match[0].endswith(b"\r\n")
        else:
            fits = after > end or _CHUNK.match(body, end) is not None
        if not size or not fits:
            break
        chunks.append(body[start:end])
        at = after
    if not chunks:
        return None
    if not _CUT_CHUNK.fullmatch(body, at):
        chunks.append(body[at:])
    return b"".join(chunks)


def _gunzip(body: bytes, limit: int) -> bytes | None:
    """Decompress gzip, or zlib labelled as gzip."""
    if body.startswith(_GZIP):
        return _inflate(body, limit, zlib.MAX_WBITS | 16)
    return _inflate(body, limit, zlib.MAX_WBITS) if body.startswith(_ZLIB) else None


def _undeflate(body: bytes, limit: int) -> bytes | None:
    """``deflate`` means zlib; some servers sent it without zlib's header.

    Without a header, nearly any text gives a few bytes before the first error.
    """
    found = _inflate(body, limit, zlib.MAX_WBITS)
    if found is None and NOT_TEXT.search(body, 0, _STEP):
        return _inflate(body, limit, -zlib.MAX_WBITS)
    return found


def _inflate(body: bytes, limit: int, window: int) -> bytes | None:
    """The readable part of one or several streams; ``None`` if nothing can be read."""
    pieces: list[bytes] = []
    size = at = ended = 0
    while at < len(body):
        stream = zlib.decompressobj(window)
        while at < len(body) and not stream.eof:
            step, before = body[at : at + _STEP], stream.copy()
            try:
                piece = stream.decompress(step, limit + 1)
            except zlib.error:
                piece = _before_error(before, step, limit + 1)
                at = len(body)
            else:
                at += len(step) - len(stream.unconsumed_tail) - len(stream.unused_data)
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise TooLarge
        ended += stream.eof
        if window < 0 or not body.startswith(body[:2], at):
            break
    return b"".join(pieces) if size or ended else None


def _before_error(stream: "zlib._Decompress", data: bytes, limit: int) -> bytes:
    """The output of ``data`` before the invalid byte."""
    pieces: list[bytes] = []
    try:
        for at in range(len(data)):
            pieces.append(stream.decompress(data[at : at + 1], limit))
    except zlib.error:
        pass
    return b"".join(pieces)


def _unbrotli(body: bytes, limit: int) -> bytes | None:
    reader = BrotliReader(io.BytesIO(body))
    return _read_all(lambda: reader.read(_SMALL_STEP), limit, OSError)


def _unzstd(body: bytes, limit: int) -> bytes | None:
    """The frames that can be read; bytes after them are ignored, as for gzip."""
    context = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    pieces: list[bytes] = []
    size = at = 0
    while True:
        if (match := _SKIPPABLE.match(body, at)) is not None:
            at = match.end() + int.from_bytes(match[1], "little")
            continue
        if not body.startswith(_ZSTD, at):
            break
        frame = context.decompressobj()
        try:
            while at < len(body) and not frame.eof:
                # Small steps: the output of a step is not limited, and a step that fails loses its output.
                step = body[at : at + _SMALL_STEP]
                piece = frame.decompress(step)
                at += len(step) - len(frame.unused_data)
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise TooLarge
        except zstandard.ZstdError:
            break
    return b"".join(pieces) if size else None


def _read_all(read: Callable[[], bytes], limit: int, failure: type[Exception]) -> bytes | None:
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := read():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise TooLarge
    except failure:
        pass
    return b"".join(pieces) if size else None


_DECODERS: dict[str, Callable[[bytes, int], bytes | None]] = {
    "chunked": _dechunk,
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _undeflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
