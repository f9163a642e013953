"""Reads compressed streams and lines as far as possible, in bounded memory."""

import bz2
import lzma
import os
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal, Protocol, cast

import zstandard
from fastwarc.stream_io import GzipReader, Lz4Reader

from prox_spark.corpora import lz4
from prox_spark.corpora.files import WatchedFile

MAX_RECORD = 256 << 20
"""Maximum bytes of a line or text file; a longer one is quarantined, because Spark keeps several copies of a row."""

Packing = Literal["gzip", "zstd", "bzip2", "xz", "lz4", "plain"]
"""A file's compression, detected from its first bytes."""

HEAD = 4096
"""Number of first bytes of a file used to detect its kind."""

NOT_TEXT = re.compile(rb"[\0-\x08\x0b\x0e-\x1a\x1c-\x1f]")
"""Bytes that binary data has and text does not (WHATWG's MIME Sniffing Standard, section 3)."""

_READ = 1 << 20
_FEED = 1 << 16
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BZIP2 = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
_XZ = b"\xfd7zXZ\0"
_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz", ".lz4")
# First bytes of a dictionary's frame in a .warc.zst: https://iipc.github.io/warc-specifications/specifications/warc-zstd/
_DICTIONARY = b"\x5d\x2a\x4d\x18"
_MOST_DICTIONARY = 8 << 20  # trained ones have about 100 KiB, and a few bytes can inflate to gigabytes
_MOST_MEMORY = 1 << 30
_STEPS = (256, 4096)
"""Compressed bytes of a step of zstd, at first and where the output stays small: 4 bytes can become 128 KiB."""

_OTHERS = (
    (b"PK\x03\x04", "a ZIP archive: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it"),
    (b"\x1f\x9d", "compressed by compress (.Z): decompress it, or compress it with gzip or zstd"),
    (b"\x5d\0\0", "compressed by lzma (.lzma): decompress it, or compress it with gzip, xz or zstd"),
    (b"\x89LZO\0\r\n\x1a\n", "compressed by lzop: decompress it, or compress it with gzip or zstd"),
    (b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS: fetch the file itself (git lfs pull)"),
    (b"LZIP\x01", "compressed by lzip: decompress it, or compress it with gzip, xz or zstd"),
    (b"\x02\x21\x4c\x18", "compressed by an old lz4: decompress it, or compress it with gzip or zstd"),
    (b"\xff\x06\0\0sNaPpY", "compressed by Snappy: decompress it, or compress it with gzip or zstd"),
    (b"ARROW1\0\0", "an Arrow file: write it as Parquet or JSON lines"),
    (b"Obj\x01", "an Avro file: write it as Parquet or JSON lines"),
)


_WARC = re.compile(rb"WARC/\d+\.\d+\r?\n[A-Za-z-]+:")


class Damaged(Exception):  # noqa: N818 -- a fact about the data that becomes a quarantine row, never a user's error
    """The stream ends here although the data does not: ``error_class`` and message of the quarantine row.

    ``start``: offset in the file of the damaged member or frame, or of bytes that are neither. ``inside``: a member or frame
    is broken, so its earlier output may be wrong, too. ``rest``: the unfinished line before the damage, if lines are read.
    """

    def __init__(self, error_class: str, message: str, *, start: int = 0, inside: bool = False) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.start = start
        self.inside = inside
        self.rest = b""


def packing_of(head: bytes) -> Packing:
    """The compression of a file that begins with ``head``. A zstd file can begin with a skippable frame (RFC 8878, 3.1)."""
    if head.startswith(_GZIP):
        return "gzip"
    if lz4.is_skippable(head):
        # Frames that lz4 and zstd have in common; nearly always it is zstd.
        return "lz4" if head.startswith(lz4.MAGIC, 8 + int.from_bytes(head[4:8], "little")) else "zstd"
    if head.startswith(_ZSTD):
        return "zstd"
    if head.startswith(b"BZh") and head[4:10] in _BZIP2:
        return "bzip2"
    if head.startswith(_XZ):
        return "xz"
    return "lz4" if head.startswith(lz4.MAGIC) else "plain"


def other_kind(head: bytes) -> Damaged | None:
    """If a file that begins with ``head`` is neither text nor a web archive: its kind and what to do; else ``None``."""
    if head.startswith(b"PAR1"):
        return Damaged("WrongFormat", "a Parquet file: set input.format=parquet")
    if head[257:262] == b"ustar":
        return Damaged("Unsupported", "a tar archive: unpack it")
    if head.startswith(b"filedesc://"):
        return Damaged("Unsupported", "an ARC file: convert it to WARC, for instance with `warcio recompress`")
    about = next((about for magic, about in _OTHERS if head.startswith(magic)), None)
    return None if about is None else Damaged("Unsupported", about)


def decompressed(file: WatchedFile) -> Iterator[bytes]:
    """The content of ``file`` from its current position, in pieces of at most a few MiB.

    The file is gzip, zstd, bzip2, xz or lz4 (any number of members, frames or streams) or not compressed: its first bytes
    decide, not its name.

    Raises ``Damaged`` after the last byte that could be read, if the stream is cut off (``TruncatedFile``), broken
    (``BrokenFile``), of a kind that is not read (``Unsupported``), or of another format (``WrongFormat``).
    """
    start = file.tell()
    head = file.read(HEAD)
    file.seek(start)
    packing = packing_of(head)
    if packing == "plain":
        _refuse_other(head, file.path)
    first = packing != "plain"
    for _, piece in members(file, packing):
        if first and piece:
            inner = packing_of(piece[:HEAD])
            if inner != "plain":
                raise Damaged("Unsupported", f"compressed twice ({inner} inside {packing}): decompress it once")
            _refuse_other(piece[:HEAD], "")
            first = False
        yield piece


def _refuse_other(head: bytes, name: str) -> None:
    other = other_kind(head)
    if other is not None:
        raise other
    if _WARC.match(head):
        raise Damaged("WrongFormat", "a WARC file: set input.format=warc (or wet)")
    if name.endswith(_SUFFIXES) and not _looks_like_text(head):
        raise Damaged("BrokenFile", "named like a compressed file, but it is neither compressed nor text")


def members(file: WatchedFile, packing: Packing, dictionary: bytes | None = None) -> Iterator[tuple[int, bytes]]:
    """The content of ``file`` from its current position, each piece with a file offset from which decoding can start: that of
    its gzip member, zstd or lz4 frame, of the piece itself (plain), or of the file's start (others).

    ``dictionary``: of a zstd file, if reading starts after it. Raises ``Damaged`` as ``decompressed`` does.
    """
    if packing == "gzip":
        yield from _gunzip(file)
    elif packing == "zstd":
        yield from _unzstd(file, dictionary)
    elif packing == "bzip2":
        yield from _unpack(file, bz2.BZ2Decompressor, b"BZh", packing)
    elif packing == "xz":
        yield from _unpack(
            file, lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MOST_MEMORY), _XZ, packing
        )
    elif packing == "lz4":
        yield from _unlz4(file)
    else:
        start = file.tell()
        while piece := file.read(_READ):
            yield start, piece
            start += len(piece)


def _looks_like_text(head: bytes) -> bool:
    try:
        # A character may be cut at the end of the sample.
        head[: len(head) - 3 if len(head) == HEAD else len(head)].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return b"\0" not in head


def _gunzip(file: WatchedFile) -> Iterator[tuple[int, bytes]]:
    data = file.read(_FEED)
    while data:
        start = file.tell() - len(data)
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        before = None
        while not member.eof:
            if not data and not (data := file.read(_FEED)):
                raise Damaged("TruncatedFile", "the gzip stream is cut off", start=start)
            try:
                piece = member.decompress(data, _READ)
            except zlib.error as error:
                yield start, _rest(before or zlib.decompressobj(zlib.MAX_WBITS | 16), data)
                message = f"the gzip stream is broken: {error}"
                raise Damaged("BrokenFile", message, start=start, inside=True) from error
            data = member.unconsumed_tail
            if piece:
                yield start, piece
            if not member.eof:
                before = member.copy()
        data = _after_padding(file, member.unused_data, _GZIP)
        if data and not data.startswith(_GZIP):
            message = "bytes that are not gzip follow a gzip stream"
            raise Damaged("BrokenFile", message, start=file.tell() - len(data))


def gunzip_whole(file: WatchedFile) -> Iterator[tuple[int, bytes]]:
    """The content of an undamaged gzip file, about twice as fast as ``members``, but without offsets.

    Raises ``Damaged`` if the file is damaged or cut off.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    reader, before = GzipReader(file), -1
    while True:
        try:
            piece = reader.read(_READ)
        except OSError as error:
            file.raise_failure()
            raise Damaged("BrokenFile", f"the gzip stream is broken: {error}", inside=True) from error
        if piece:
            yield 0, piece
            continue
        # The reader returns nothing for an empty member as well as at the end.
        here = reader.inner_tell()
        if here == size:
            break
        if here == before:
            raise Damaged("BrokenFile", "bytes that are not gzip follow a gzip stream", start=here)
        before = here
    # The reader does not notice if the last member is cut off.
    last = reader.frame_start_position() or 0
    if last == 0 and size > 4:
        file.seek(-4, os.SEEK_END)
        if int.from_bytes(file.read(4), "little") == reader.tell() & 0xFFFFFFFF:
            return
    file.seek(last)
    for _ in _gunzip(file):
        pass


def _after_padding(file: WatchedFile, data: bytes, magic: bytes) -> bytes:
    """The next bytes that are not zeros, as many as ``magic`` has: gzip allows zeros between and after members (tapes)."""
    data = data.lstrip(b"\0")
    while len(data) < len(magic) and (more := file.read(_FEED)):
        data = (data + more).lstrip(b"\0")
    return data


def _rest(member: "zlib._Decompress", data: bytes) -> bytes:
    """The output of ``data`` before the invalid byte, which ``decompress`` itself discards."""
    pieces = []
    try:
        for at in range(len(data)):
            pieces.append(member.decompress(data[at : at + 1]))
    except zlib.error:
        pass
    return b"".join(pieces)


def zstd_dictionary(file: WatchedFile) -> bytes | None:
    """The dictionary that a zstd file begins with, in a skippable frame (IIPC's .warc.zst); ``None`` where there is none."""
    file.seek(0)
    head = file.read(8)
    if not head.startswith(_DICTIONARY) or len(head) < 8:
        return None
    size = int.from_bytes(head[4:8], "little")
    data = file.read(size) if size <= _MOST_DICTIONARY else b""
    if data.startswith(_ZSTD):
        try:
            data = zstandard.ZstdDecompressor().stream_reader(data).read(_MOST_DICTIONARY + 1)
        except zstandard.ZstdError:  # the frames that need it will say that they cannot be read
            return None
    return data if 0 < len(data) <= _MOST_DICTIONARY else None


def _zstd_context(dictionary: bytes | None) -> zstandard.ZstdDecompressor:
    # Corpora are written with long windows (--long=31) now and then.
    window = 1 << 31
    if dictionary:
        try:
            return zstandard.ZstdDecompressor(
                max_window_size=window, dict_data=zstandard.ZstdCompressionDict(dictionary)
            )
        except zstandard.ZstdError:  # it is broken: the frames that need it will say that they cannot be read
            pass
    return zstandard.ZstdDecompressor(max_window_size=window)


def _unzstd(file: WatchedFile, dictionary: bytes | None) -> Iterator[tuple[int, bytes]]:
    start = file.tell()
    if start == 0:
        dictionary = zstd_dictionary(file)
        file.seek(0)
    context = _zstd_context(dictionary)
    data = file.read(_FEED)
    step = _STEPS[0]
    while data:
        while len(data) < 8 and (more := file.read(_FEED)):
            data += more
        start = file.tell() - len(data)
        if lz4.is_skippable(data):
            after = start + 8 + int.from_bytes(data[4:8], "little")
            file.seek(after - 1)
            if len(data) < 8 or not file.read(1):
                raise Damaged("TruncatedFile", "the zstd stream is cut off", start=start)
            data = file.read(_FEED)
            continue
        frame = context.decompressobj()
        while not frame.eof:
            if not data and not (data := file.read(_FEED)):
                raise Damaged("TruncatedFile", "the zstd stream is cut off", start=start)
            # Small steps: a step that fails loses its output, and a step's output is not limited.
            try:
                piece = frame.decompress(data[:step])
            except zstandard.ZstdError as error:
                inside = data.startswith(_ZSTD) or file.tell() - len(data) > start
                message = f"the zstd stream is broken: {error}"
                raise Damaged("BrokenFile", message, start=start, inside=inside) from error
            data = data[step:]
            step = min(2 * step, _STEPS[1]) if len(piece) <= _READ else _STEPS[0]
            for at in range(0, len(piece), _READ):
                yield start, piece[at : at + _READ]
        data = frame.unused_data + data or file.read(_FEED)


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _unpack(
    file: WatchedFile, new: Callable[[], _Decompressor], magic: bytes, packing: Packing
) -> Iterator[tuple[int, bytes]]:
    """bzip2 and xz by the standard library: successive streams, with zeros between them (xz's padding)."""
    start = file.tell()
    data = file.read(_FEED)
    while data:
        stream = new()
        while not stream.eof:
            if stream.needs_input and not data and not (data := file.read(_FEED)):
                raise Damaged("TruncatedFile", f"the {packing} stream is cut off")
            try:
                piece = stream.decompress(data, _READ)
            except (OSError, EOFError, lzma.LZMAError) as error:
                raise Damaged("BrokenFile", f"the {packing} stream is broken: {error}", inside=True) from error
            data = b""
            if piece:
                yield start, piece
        data = _after_padding(file, stream.unused_data, magic)
        if data and not data.startswith(magic):
            raise Damaged("BrokenFile", f"bytes that are not {packing} follow a {packing} stream")


def _unlz4(file: WatchedFile) -> Iterator[tuple[int, bytes]]:
    for frame in lz4.frames(file):
        if frame.problem == "no frame":
            raise Damaged("BrokenFile", "bytes that are not lz4 follow a lz4 stream", start=frame.start)
        reader = Lz4Reader(cast(BinaryIO, lz4.Part(file, frame)))
        piece = b"first"
        while piece and frame.start < frame.end:
            try:
                # Small steps: a step that fails loses its output.
                piece = reader.read(_STEPS[1])
            except OSError as error:
                file.raise_failure()
                if frame.problem == "cut":
                    break
                message = f"the lz4 stream is broken: {error}"
                raise Damaged("BrokenFile", message, start=frame.start, inside=True) from error
            yield frame.start, piece
        if frame.problem == "cut":
            raise Damaged("TruncatedFile", "the lz4 stream is cut off", start=frame.start)


def lines(pieces: Iterator[bytes]) -> Iterator[bytes | None]:
    """The lines of a stream without their line feeds; ``None`` for one that is longer than ``MAX_RECORD`` bytes.

    Raises the stream's ``Damaged``, with the unfinished last line as ``rest``.
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
