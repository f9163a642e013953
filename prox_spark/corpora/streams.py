"""Compressed streams and lines, read as far as they can be read, in bounded memory."""

import zlib
from collections.abc import Iterator

import zstandard

from prox_spark.corpora.files import WatchedFile

MAX_RECORD = 256 << 20
"""Bytes of the longest line or text file that is read; a longer one is quarantined, for Spark holds rows many times."""

_READ = 1 << 20
_FEED = 1 << 16
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd")


class Damaged(Exception):  # noqa: N818 -- a fact about the data that becomes a quarantine row, never a user's error
    """The stream ends here although the data does not: ``error_class`` and message of the quarantine row.

    ``rest`` is the unfinished line before it, where lines are read.
    """

    def __init__(self, error_class: str, message: str) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.rest = b""


def is_zstd(head: bytes) -> bool:
    """Whether a stream that begins so is zstd: a frame, or a skippable frame (RFC 8878, section 3.1)."""
    return head.startswith(_ZSTD) or (head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50)


def decompressed(file: WatchedFile) -> Iterator[bytes]:
    """The content of ``file`` from where it stands, in pieces of at most a few MiB.

    It is gzip (any number of members), zstd (any number of frames) or neither: its first bytes tell, not its name.

    Raises ``Damaged`` after the last byte that could be read, where the stream is cut off (``TruncatedFile``) or broken
    (``BrokenFile``).
    """
    start = file.tell()
    head = file.read(4096)
    file.seek(start)
    if head.startswith(_GZIP):
        yield from _gunzip(file)
    elif is_zstd(head):
        yield from _unzstd(file)
    else:
        if file.path.endswith(_SUFFIXES) and not _looks_like_text(head):
            raise Damaged("BrokenFile", "named like a compressed file, but it is not gzip, zstd or text")
        while piece := file.read(_READ):
            yield piece


def _looks_like_text(head: bytes) -> bool:
    try:
        # A character may be cut at the end of the sample.
        head[: len(head) - 3 if len(head) == 4096 else len(head)].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return b"\0" not in head


def _gunzip(file: WatchedFile) -> Iterator[bytes]:
    data = file.read(_FEED)
    while data:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        while not member.eof:
            if not data and not (data := file.read(_FEED)):
                raise Damaged("TruncatedFile", "the gzip stream is cut off")
            before = member.copy()
            try:
                piece = member.decompress(data, _READ)
            except zlib.error as error:
                yield _rest(before, data)
                raise Damaged("BrokenFile", f"the gzip stream is broken: {error}") from error
            data = member.unconsumed_tail
            if piece:
                yield piece
        data = _after_padding(file, member.unused_data)
        if data and not data.startswith(_GZIP):
            raise Damaged("BrokenFile", "bytes that are not gzip follow a gzip stream")


def _after_padding(file: WatchedFile, data: bytes) -> bytes:
    """The next bytes that are not zeros: gzip allows zeros between and after members (tapes)."""
    data = data.lstrip(b"\0")
    while len(data) < len(_GZIP) and (more := file.read(_FEED)):
        data = (data + more).lstrip(b"\0")
    return data


def _rest(member: "zlib._Decompress", data: bytes) -> bytes:
    """What ``data`` holds before the byte that breaks it: ``decompress`` itself forgets it."""
    pieces = []
    try:
        for at in range(len(data)):
            pieces.append(member.decompress(data[at : at + 1]))
    except zlib.error:
        pass
    return b"".join(pieces)


def _unzstd(file: WatchedFile) -> Iterator[bytes]:
    # Corpora are written with long windows (--long=31) now and then.
    context = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    data = file.read(_FEED)
    while data:
        frame = context.decompressobj()
        while not frame.eof:
            if not data and not (data := file.read(_FEED)):
                raise Damaged("TruncatedFile", "the zstd stream is cut off")
            # Small steps: a step that fails loses what it had decompressed, and a step's output is not limited.
            try:
                piece = frame.decompress(data[:4096])
            except zstandard.ZstdError as error:
                raise Damaged("BrokenFile", f"the zstd stream is broken: {error}") from error
            data = data[4096:]
            if piece:
                yield piece
        data = frame.unused_data + data or file.read(_FEED)


def lines(pieces: Iterator[bytes]) -> Iterator[bytes | None]:
    """The lines of a stream without their line feeds; ``None`` for one that is longer than ``MAX_RECORD`` bytes.

    Raises ``Damaged`` of the stream, with the unfinished last line as its ``rest``.
    """
    pending: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            first, *others = piece.split(b"\n")
            size += len(first)
            pending.append(first)
            if size > MAX_RECORD:
                pending.clear()
            if others:
                yield b"".join(pending) if size <= MAX_RECORD else None
                yield from others[:-1]
                pending, size = [others[-1]], len(others[-1])
    except Damaged as damage:
        damage.rest = b"".join(pending)
        raise
    if size:
        yield b"".join(pending) if size <= MAX_RECORD else None
