"""The frames of an lz4 file: FastWARC's decoder stops at skippable frames, and loses what precedes damage.

Source: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
"""

import os
from collections.abc import Iterator
from typing import Literal, NamedTuple

from prox_spark.corpora.files import WatchedFile

MAGIC = b"\x04\x22\x4d\x18"


class Frame(NamedTuple):
    """A frame from byte ``start`` of a file to ``end``, or what is in its place: it is cut off, or no frame."""

    start: int
    end: int
    problem: Literal["cut", "no frame"] | None = None


def frames(file: WatchedFile) -> Iterator[Frame]:
    """The frames from the file's position on, without skippable ones; a problem is the last item.

    The caller may read elsewhere in the file in between.
    """
    size = _size(file)
    start = file.tell()
    while start < size:
        file.seek(start)
        head = file.read(8)
        if is_skippable(head):
            end = start + 8 + int.from_bytes(head[4:], "little")
            if len(head) < 8 or end > size:
                yield Frame(start, start, "cut")
                return
        elif not head.startswith(MAGIC):
            yield Frame(start, start, "cut" if MAGIC.startswith(head) else "no frame")
            return
        else:
            end = _frame_end(file, start, size)
            if end > size:
                yield Frame(start, size, "cut")
                return
            yield Frame(start, end)
        start = end


def is_skippable(head: bytes) -> bool:
    """Whether a skippable frame of lz4 or zstd begins here."""
    return head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50


def _size(file: WatchedFile) -> int:
    here = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(here)
    return size


def _frame_end(file: WatchedFile, start: int, size: int) -> int:
    """The end of a frame; more than ``size`` if it is cut off."""
    file.seek(start + 4)
    flags = int.from_bytes(file.read(1), "little")
    at = start + 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
    while at + 4 <= size:
        file.seek(at)
        block = int.from_bytes(file.read(4), "little")
        at += 4
        if not block:
            return at + (4 if flags & 0x04 else 0)
        # The highest bit marks a block that is not compressed.
        at += (block & 0x7FFFFFFF) + (4 if flags & 0x10 else 0)
    return size + 1


class Part:
    """Some bytes of a file, as a file."""

    def __init__(self, file: WatchedFile, frame: Frame) -> None:
        self._file = file
        self._end = frame.end
        file.seek(frame.start)

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        left = self._end - self._file.tell()
        return self._file.read(left if size < 0 else min(size, left))

    def tell(self) -> int:
        """The position in the file."""
        return self._file.tell()
