"""Digests of model files: read once, and again where the file changed."""

import os
from pathlib import Path

import pytest

from prox_spark.engines import digests


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "_SETTLED_NS", 0)
    monkeypatch.setattr(digests, "_read", {})
    return tmp_path / "cache" / "prox_spark" / "digests.json"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read to be digested."""
    found: list[str] = []
    digest = digests.hashlib.file_digest

    def counted(opened, name):  # type: ignore[no-untyped-def]
        found.append(Path(opened.name).name)
        return digest(opened, name)

    monkeypatch.setattr(digests.hashlib, "file_digest", counted)
    return found


def test_a_file_is_read_once_by_all_processes(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    found = digests.file_digest(file)
    monkeypatch.setattr(digests, "_read", {})
    assert digests.file_digest(file) == found
    assert reads == ["weights"]


def test_another_content_of_the_same_size_and_time_is_read_again(tmp_path: Path, reads: list[str]) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    found, times = digests.file_digest(file), file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digests.file_digest(file) != found
    assert reads == ["weights", "weights"]


def test_a_file_that_just_changed_is_not_kept(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "_SETTLED_NS", 10**12)
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    digests.file_digest(file)
    assert not cache.exists()


def test_a_cache_that_others_can_write_to_is_neither_read_nor_written(
    tmp_path: Path, cache: Path, reads: list[str]
) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    digests.file_digest(file)
    before = cache.read_text()
    cache.parent.parent.chmod(0o777)
    (tmp_path / "other").write_bytes(b"two")
    digests._read.clear()
    digests.file_digest(file)
    digests.file_digest(tmp_path / "other")
    assert reads == ["weights", "weights", "other"]
    assert cache.read_text() == before


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_broken_cache_is_no_cache(tmp_path: Path, cache: Path, content: str) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    file = tmp_path / "weights"
    file.write_bytes(b"")
    assert digests.file_digest(file) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_without_a_place_to_keep_them_a_process_reads_files_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert digests.file_digest(file) == digests.file_digest(file)
    assert reads == ["weights"]
