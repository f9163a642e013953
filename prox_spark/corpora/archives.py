"""The framing of WARC files (ISO 28500): reads successive records, plain or compressed, and resumes after damage.

FastWARC's iterator stops without an error at an empty gzip member and at some damaged records, so that the rest of a file is
lost. This reader continues, and yields an entry for everything that it cannot read.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from prox_spark.corpora import lz4
from prox_spark.corpora.files import WatchedFile
from prox_spark.corpora.streams import HEAD, Damaged, gunzip_whole, members, other_kind, packing_of, zstd_dictionary

Headers = dict[str, str]
"""Fields by their names in lower case; the first of repeated fields."""

_SCAN = 1 << 20
_MOST_HEADER = 1 << 20
_MOST_AGAIN = 1 << 30
_LINES = b"\r\n\0 \t"
_BETWEEN = b"\r\n\r\n"
_BOM = b"\xef\xbb\xbf"
# Tools that translate line ends turn CR LF into CR CR LF.
_VERSION = re.compile(rb"WARC/\d+\.\d+[ \t]*\r{0,2}\n")
_HEADER_END = re.compile(rb"\n\r{0,2}\n")
_LENGTH = re.compile(r"[0-9]{1,18}")
_FIELD = re.compile(r"\n([^\s:][^:\n]*):([^\n]*)")
_FOLD = re.compile(r"(?:(?<![ \t])[ \t]+)?\r{0,2}\n[ \t]+")  # match a run of blanks only from its start, in linear time
# Includes the first field: pages about WARC can have lines with only the version.
_START = re.compile(rb"WARC/\d+\.\d+[ \t]*\r{0,2}\n[A-Za-z][A-Za-z0-9-]*[ \t]*:")
_START_LENGTH = 256
_MAGIC = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd", "lz4": lz4.MAGIC}
_CUT_OFF = "the archive is cut off inside this record"


class Entry(NamedTuple):
    """One record of an archive, or bytes in place of a record.

    ``block`` is ``None`` if the record is too large to keep in memory, or if it cannot be read (then ``error_class`` is set).
    """

    position: int | None
    headers: Headers
    block: bytes | None
    error_class: str | None = None
    message: str | None = None


class Place(NamedTuple):
    """A place in an archive: ``skip`` bytes of content after the file's ``offset``, from which decoding can start."""

    offset: int
    skip: int


class ArchiveStream:
    """The content of an archive while it is read: a look-ahead buffer, places to return to, and how the content ended."""

    def __init__(self, file: WatchedFile, *, whole: bool = False) -> None:
        """``whole``: read a gzip file quickly, without places to return to. Damage then ends the stream."""
        self._file = file
        self._whole = whole
        file.seek(0)
        self.packing = packing_of(file.read(HEAD))
        self._dictionary = zstd_dictionary(file) if self.packing == "zstd" else None
        self._again = 0  # bytes of content that are read more than once
        self.open(Place(0, 0))

    def open(self, place: Place) -> None:
        """Continue reading at ``place``."""
        self._origin = 0
        self._end: int | None = None
        self._file.seek(place.offset)
        if self._whole and self.packing == "gzip":
            self._pieces = gunzip_whole(self._file)
        else:
            self._pieces = members(self._file, self.packing, self._dictionary)
        self.damage: Damaged | None = None
        self._ended = False
        self.data, self.at = b"", 0
        self._before = 0  # bytes of content before ``data``, counted from the last ``open``
        self._starts = [(0, place.offset)]
        self.skip(place.skip)

    def content(self) -> int:
        """Bytes of content before ``at``, also after ``go_back``."""
        return self._origin + self._before + self.at

    def go_back(self, place: Place, content: int) -> None:
        """Continue at ``place``, which has ``content`` bytes before it; a known end of the content stays known."""
        end = self._end
        self._again += self.content() - content + place.skip + _SCAN  # at least one piece is read
        self.open(place)
        self._origin = content - self._before - self.at
        self._end = end

    def may_reach(self, size: int) -> bool:
        """Whether to pass over ``size`` bytes, although they may have to be read again.

        Not if they reach beyond the end, or if a gibibyte plus the size of the content was already read again: each record of
        a damaged archive may have a length that covers many others.
        """
        if self._end is not None and self.content() + size > self._end:
            return False
        return self._again <= _MOST_AGAIN + (self._end or 0)

    def fill(self, size: int) -> bool:
        """Read until ``size`` bytes are available from ``at`` on; returns whether they are.

        It grows the buffer by at least a quarter, so that the time for copying it is proportional to the bytes read.
        """
        have = len(self.data) - self.at
        if have >= size or self._ended:
            return have >= size
        pieces = [self.data[self.at :]]
        self._before += self.at
        enough = max(size, have + have // 4)
        while have < enough and (piece := self._next_piece(self._before + have)):
            pieces.append(piece)
            have += len(piece)
        self.data, self.at = b"".join(pieces), 0
        return have >= size

    def _next_piece(self, content: int) -> bytes:
        while not self._ended:
            try:
                offset, piece = next(self._pieces)
            except StopIteration:
                self._ended = True
            except Damaged as damage:
                self.damage, self._ended = damage, True
            else:
                if offset != self._starts[-1][1]:
                    self._starts.append((content, offset))
                if piece:
                    return piece
            if self._ended:
                self._end = self._origin + content
        return b""

    def place(self) -> Place:
        """The place of ``at``. Earlier places can no longer be returned to."""
        here = self._before + self.at
        while len(self._starts) > 1 and self._starts[1][0] <= here:
            del self._starts[0]
        content, offset = self._starts[0]
        return Place(offset, here - content)

    def is_start(self, at: int) -> bool:
        """Whether a member begins at this index of ``data``."""
        return any(content == self._before + at for content, _ in self._starts)

    def skip(self, size: int) -> int:
        """Pass over ``size`` bytes with little memory; returns how many there were."""
        left = size
        while left and self.fill(1):
            step = min(left, len(self.data) - self.at)
            self.at += step
            left -= step
        return size - left

    def skip_blank(self) -> None:
        """Pass over line ends and padding."""
        if self.data.startswith(_BETWEEN, self.at):
            self.at += len(_BETWEEN)
        while self.fill(1):
            rest = self.data[self.at : self.at + 64]
            left = len(rest.lstrip(_LINES))
            self.at += len(rest) - left
            if left:
                return

    def is_followed_well(self, length: int) -> bool:
        """Whether a record may end ``length`` bytes from here: the two line ends, another record, or nothing follows."""
        ahead = 64
        end = self.at + length
        if len(self.data) - end >= ahead and self.data.startswith(_BETWEEN, end):
            return True
        while ahead < _SCAN:
            self.fill(length + ahead)
            rest = self.data[self.at + length : self.at + length + ahead]
            following = rest.lstrip(_LINES)
            if rest.count(b"\n", 0, len(rest) - len(following)) >= 2 or self.is_start(self.at + length):
                return True
            if len(following) >= 5 or len(rest) < ahead:
                return not following or following.startswith(b"WARC/") or b"WARC/".startswith(following)
            ahead *= 4
        return True

    def is_broken_since(self, place: Place, length: int) -> bool:
        """Whether the member that begins at ``place`` and ends ``length`` bytes from here is broken."""
        damage = self.damage
        if damage is None or not damage.inside or place != Place(damage.start, 0):
            return False
        return not self.data[self.at + length :].lstrip(_LINES)

    def find_start(self) -> bool:
        """Go to the next record's version line, at or after ``at``; to the end if there is none."""
        while True:
            self.fill(_SCAN)
            match = _START.search(self.data, self.at)
            if match is not None:
                self.at = match.start()
                return True
            if self._ended:
                self.at = len(self.data)
                return False
            self.at = max(self.at, len(self.data) - _START_LENGTH)
            self.fill(_START_LENGTH + 1)

    def resume(self) -> bool:
        """Continue at the next record after the damaged member; ``False`` if no further record can be read."""
        magic = _MAGIC.get(self.packing)
        while magic and self.damage is not None:
            offset = next(filter(self._can_be_read, self._find_magic(magic, self.damage.start + 1)), None)
            if offset is None:
                return False
            self.open(Place(offset, 0))
            if self.find_start():
                return True
        return False

    def _find_magic(self, magic: bytes, start: int) -> Iterator[int]:
        """The positions of ``magic`` in the file from ``start`` on. The caller may read elsewhere in the file in between."""
        data = b""
        while True:
            self._file.seek(start + len(data))
            piece = self._file.read(_SCAN)
            if not piece:
                return
            data += piece
            at = data.find(magic)
            while at >= 0:
                yield start + at
                at = data.find(magic, at + 1)
            kept = data[-(len(magic) - 1) :]
            start += len(data) - len(kept)
            data = kept

    def _can_be_read(self, offset: int) -> bool:
        """Whether a member really begins at ``offset``: it begins with a record, or can be read to its end."""
        self._file.seek(offset)
        read = 0
        try:
            for start, piece in members(self._file, self.packing, self._dictionary):
                if start != offset:
                    return read > 0
                if not read and _VERSION.match(piece.lstrip(_LINES)):
                    return True
                read += len(piece)
        except Damaged as damage:
            return read > 0 and not damage.inside and damage.error_class != "TruncatedFile"
        return read > 0


def read_archive(file: WatchedFile, largest: int) -> Iterator[Entry]:
    """The records of a WARC file, in order. A damaged record, or bytes that are not a record, give an entry with an error.

    ``position`` counts the entries; it is ``None`` if the file is of another kind. A block of more than ``largest`` bytes is
    passed over. After damage, reading continues at the next record. Memory is bounded by ``largest``.
    """
    stream = ArchiveStream(file, whole=True)
    given = 0
    for entry in _read_entries(stream, largest):
        if stream.packing == "gzip" and (entry.error_class is not None or stream.damage is not None):
            break
        yield entry
        given += 1
    else:
        return
    # The file is damaged: read again from the start with the slower reader, which knows its places, and skip the entries that
    # were already yielded.
    yield from islice(_read_entries(ArchiveStream(file), largest), given, None)


def _read_entries(stream: ArchiveStream, largest: int) -> Iterator[Entry]:
    stream.fill(HEAD)
    other = _other_kind(stream)
    if other is not None:
        yield Entry(None, {}, None, other.error_class, str(other))
        return
    if stream.data.startswith(_BOM):
        stream.at = len(_BOM)
    position = 0
    zeros = stream.data.startswith(b"\0")
    while True:
        stream.skip_blank()
        if stream.fill(1):
            entry = _read_entry(stream, position, largest)
        elif stream.damage is not None:
            entry = _damaged(position, {}, stream)
        else:
            if not position and zeros:
                yield Entry(None, {}, None, "BrokenFile", "the archive has only zeros: it was not written completely")
            return
        yield entry
        position += 1
        if entry.error_class is not None and stream.damage is not None:
            stream.skip_blank()
            if not stream.fill(1) and not stream.resume():
                return


def _other_kind(stream: ArchiveStream) -> Damaged | None:
    content = stream.data[:HEAD]
    inner = packing_of(content)
    if stream.packing != "plain" and inner != "plain":
        return Damaged("Unsupported", f"compressed twice ({inner} inside {stream.packing}): decompress it once")
    return other_kind(content)


def _read_entry(stream: ArchiveStream, position: int, largest: int) -> Entry:
    """The record that begins here. Leaves the stream after the record or, if it is damaged, at the next one."""
    place = stream.place()
    length = _header_length(stream)
    if length is None:
        return _not_a_record(stream, position)
    headers = parse_headers(stream.data[stream.at : stream.at + length])
    stream.at += length
    size = headers.get("content-length", "")
    if not _LENGTH.fullmatch(size):
        stream.find_start()
        return Entry(position, headers, None, "BrokenFile", "the record has no numeric Content-Length")
    return _read_block(stream, position, headers, int(size), largest, place)


def _header_length(stream: ArchiveStream) -> int | None:
    """Bytes of the record's header including the empty line after it; ``None`` if there is no header."""
    size = HEAD
    while True:
        whole = stream.fill(size)
        if not _VERSION.match(stream.data, stream.at):
            return None
        end = _HEADER_END.search(stream.data, stream.at)
        if end is not None:
            return end.end() - stream.at
        if not whole or size > _MOST_HEADER:
            return None
        size *= 4


def _not_a_record(stream: ArchiveStream, position: int) -> Entry:
    rest = stream.data[stream.at : stream.at + HEAD]
    cut = _VERSION.match(rest) is not None or b"WARC/".startswith(rest[:5])
    stream.at += 1
    if not stream.find_start():
        if stream.damage is not None:
            return _damaged(position, {}, stream)
        if cut:
            return Entry(position, {}, None, "TruncatedFile", _CUT_OFF)
    return Entry(position, {}, None, "BrokenFile", "the archive is damaged: these bytes are not a record")


def _read_block(
    stream: ArchiveStream, position: int, headers: Headers, length: int, largest: int, place: Place
) -> Entry:
    held = length <= largest
    begin = None if held or not stream.may_reach(length) else (stream.place(), stream.content())
    whole = stream.fill(length) if held else begin is not None and stream.skip(length) == length
    ahead = length if held else 0
    if whole and stream.is_followed_well(ahead):
        if stream.is_broken_since(place, ahead):
            stream.at += ahead
            return _damaged(position, headers, stream)
        block = stream.data[stream.at : stream.at + length] if held else None
        stream.at += ahead
        return Entry(position, headers, block)
    # A wrong length includes the following records, or cuts this one off.
    if begin is not None:
        stream.go_back(*begin)
    if stream.find_start() or whole:
        return Entry(position, headers, None, "BrokenFile", "the archive is damaged: this record's length is wrong")
    return _damaged(position, headers, stream)


def _damaged(position: int, headers: Headers, stream: ArchiveStream) -> Entry:
    damage = stream.damage
    if damage is None or damage.error_class == "TruncatedFile":
        return Entry(position, headers, None, "TruncatedFile", _CUT_OFF)
    return Entry(position, headers, None, damage.error_class, f"the archive is damaged inside this record: {damage}")


def parse_headers(data: bytes) -> Headers:
    """The fields of a WARC header after its version line. A line that begins with a blank continues the line before."""
    text = data.decode("utf-8", "replace")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    # Keep the first of repeated fields.
    return {name.rstrip().lower(): value.strip() for name, value in reversed(_FIELD.findall(text))}
