"""lz4 files as other tools write them: frames of every kind, and what stands before damage."""

from collections.abc import Callable
from pathlib import Path

import pytest
from corpora_helpers import errors, read, texts
from fastwarc.stream_io import Lz4Writer
from warc_helpers import page, pages

LINES = b'{"text": "one"}\n{"text": "two"}\n'
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"


@pytest.fixture
def pack(tmp_path: Path) -> Callable[[bytes], bytes]:
    def pack(data: bytes) -> bytes:
        with Lz4Writer(str(tmp_path / "frame")) as writer:
            writer.write(data)
        return (tmp_path / "frame").read_bytes()

    return pack


def write(folder: Path, data: bytes, name: str = "x.jsonl.lz4") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def blocks(*blocks: bytes) -> bytes:
    """A frame of blocks that are not compressed."""
    header = b"\x04\x22\x4d\x18\x60\x40\x82"
    return header + b"".join((len(one) | 1 << 31).to_bytes(4, "little") + one for one in blocks) + b"\0\0\0\0"


def test_frames_follow_each_other_with_skippable_ones_anywhere(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    one = pack(LINES)
    for data in (one + pack(b"") + one, SKIPPABLE + one + SKIPPABLE * 2 + one + SKIPPABLE, one + blocks(LINES)):
        rows = read(write(tmp_path, data))
        assert texts(rows) == ["one", "two"] * 2
        assert errors(rows) == []


@pytest.mark.parametrize(
    ("end", "error"),
    [(b"\x04\x22\x4d", "TruncatedFile"), (SKIPPABLE[:-1], "TruncatedFile"), (SKIPPABLE[:6], "TruncatedFile"),
     (b"\n", "BrokenFile"), (LINES, "BrokenFile"), (b"\0" * 99, "BrokenFile")],
)  # fmt: skip
def test_what_stands_before_other_bytes_is_read(
    tmp_path: Path, pack: Callable[[bytes], bytes], end: bytes, error: str
) -> None:
    rows = read(write(tmp_path, pack(LINES) + end))
    assert texts(rows) == ["one", "two"]
    assert errors(rows) == [(2, error)]


def test_whole_blocks_of_a_frame_that_is_cut_off_are_read(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = pack(LINES) + blocks(*[LINES * 1_000] * 3)
    for cut in range(1, 40_000, 5_000):
        rows = read(write(tmp_path, data[:-cut]))
        assert [error for _, error in errors(rows)] == ["TruncatedFile"]
        lost = -(-max(cut - 4, 0) // (len(LINES) * 1_000 + 4))
        # The decoder's last step is lost, too.
        assert 0 <= 2 + 2_000 * (3 - lost) - len(texts(rows)) <= 4_096 // (len(LINES) // 2) + 1


def test_a_broken_frame_costs_no_other_of_an_archive(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    frames = [bytearray(pack(page(n))) for n in range(4)]
    frames[1][40:60] = b"\xff" * 20
    path = write(tmp_path, b"".join(map(bytes, frames)), "x.warc.lz4")
    rows = read(path, "warc")
    assert [text.strip() for text in texts(rows)] == ["page 0", "page 2", "page 3"]
    assert errors(rows) == [(1, "BrokenFile")]
    assert pages(write(tmp_path, SKIPPABLE + pack(page(0) + page(1)), "y.warc.lz4")) == ["page 0", "page 1"]
