"""What a path names."""

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.fs
import pytest
import zstandard
from corpora_helpers import read, texts
from warc_helpers import page

from prox_spark.corpora.columns import check_files
from prox_spark.corpora.files import file_system, list_files, open_file, shown
from prox_spark.errors import InputError


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for name in (
        "b.json",
        "a.json",
        "sub/c.json",
        "_delta_log/0.json",
        "sub/.c.json.crc",
        ".hidden/d.json",
        "_SUCCESS",
    ):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(name.encode())
    return tmp_path


def names(path: str | list[str], root: Path) -> list[str]:
    return [os.path.relpath(file.path, root) for file in list_files(path)]


def test_a_folder_is_listed_recursively_sorted_without_hidden_and_underscored_names(corpus: Path) -> None:
    assert names(str(corpus), corpus) == ["a.json", "b.json", "sub/c.json"]


def test_a_file_is_itself_even_where_its_name_begins_with_an_underscore(corpus: Path) -> None:
    assert names(str(corpus / "_SUCCESS"), corpus) == ["_SUCCESS"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.json", ["a.json", "b.json"]),
        ("**/*.json", ["a.json", "b.json", "sub/c.json"]),
        ("[a]*.json", ["a.json"]),
        ("su*", ["sub/c.json"]),
        ("_*", ["_SUCCESS", "_delta_log/0.json"]),
    ],
)
def test_a_glob_matches_files_and_folders(corpus: Path, pattern: str, expected: list[str]) -> None:
    assert names(str(corpus / pattern), corpus) == expected


def test_a_list_of_paths_names_each_file_once(corpus: Path) -> None:
    assert names([str(corpus / "a.json"), str(corpus)], corpus) == ["a.json", "b.json", "sub/c.json"]


def test_a_name_with_glob_letters_that_exists_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].json").write_bytes(b"")
    assert names(str(tmp_path / "a[1].json"), tmp_path) == ["a[1].json"]


def test_relative_and_file_urls_come_back_as_absolute_local_paths(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(corpus)
    expected = [str(corpus / "a.json")]
    assert [file.path for file in list_files("a.json")] == expected
    assert [file.path for file in list_files(f"file://{corpus}/a.json")] == expected


def test_size_and_time_are_the_files(corpus: Path) -> None:
    os.utime(corpus / "a.json", (1_700_000_000, 1_700_000_000))
    (file,) = list_files(str(corpus / "a.json"))
    assert (file.size, file.modified_at) == (6, datetime.fromtimestamp(1_700_000_000, UTC))


@pytest.mark.parametrize("path", ["absent.json", "absent/*.json", "empty"])
def test_a_path_that_matches_nothing_is_an_error_that_names_it(tmp_path: Path, path: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=path.replace("*", r"\*")):
        list_files(str(tmp_path / path))


def test_one_absent_path_among_others_is_an_error(corpus: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        list_files([str(corpus), str(corpus / "nowhere")])


def test_a_link_back_up_the_tree_ends(corpus: Path) -> None:
    (corpus / "sub" / "up").symlink_to(corpus)
    assert names(str(corpus), corpus) == ["a.json", "b.json", "sub/c.json"]


def test_a_scheme_that_no_file_system_knows_is_an_error_that_names_it() -> None:
    with pytest.raises(InputError, match="nosuch"):
        list_files("nosuch://bucket/a.json")


@pytest.mark.parametrize("path", ["dbfs:/corpus", "dbfs:///corpus", "dbfs:/corpus/*.json"])
def test_a_path_of_databricks_is_refused_with_what_to_write(path: str) -> None:
    with pytest.raises(InputError, match="/Volumes/… or /dbfs/…"):
        list_files(path)


def test_a_url_with_one_slash_is_refused_with_the_url_that_was_meant() -> None:
    with pytest.raises(InputError, match=r"no file matches 's3:/bucket/a'.* \(a URL has two slashes: s3://bucket/a\)"):
        list_files("s3:/bucket/a")


class Unreachable(fsspec.AbstractFileSystem):
    """A file system whose library raises errors of its own."""

    protocol = "unreachable"

    def exists(self, path: str, **kwargs: Any) -> bool:
        raise RuntimeError("no route\nto host")


def test_whatever_a_file_system_raises_is_one_line_that_names_the_url() -> None:
    fsspec.register_implementation("unreachable", Unreachable, clobber=True)
    with pytest.raises(InputError, match=r"^unreachable://a/b: cannot be listed: no route to host$"):
        list_files("unreachable://a/b")


@pytest.fixture
def without_gcsfs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """pyarrow in place of fsspec's own file system, with a local folder for each URL; the URLs that it was given."""
    given: list[str] = []

    def from_uri(url: str) -> tuple[Any, str]:
        given.append(url)
        return pyarrow.fs.LocalFileSystem(), str(tmp_path)

    def missing(url: str) -> Any:
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    monkeypatch.setattr("pyarrow.fs.FileSystem", type("FileSystem", (), {"from_uri": staticmethod(from_uri)}))
    return given


def test_google_storage_is_asked_for_seconds_before_a_listing_fails(without_gcsfs: list[str]) -> None:
    with pytest.raises(InputError, match="no file matches"):
        list_files("gs://bucket/corpus")
    assert without_gcsfs == ["gs://bucket/corpus?retry_limit_seconds=10"]


def test_names_in_urls_may_have_any_letters(without_gcsfs: list[str]) -> None:
    file_system("s3a://user@bucket/a #b?/50%.json")
    assert without_gcsfs == ["s3://user@bucket/a%20%23b%3F/50%25.json"]


def test_the_package_of_a_connector_is_named_where_a_listing_fails(
    without_gcsfs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("no credentials")

    monkeypatch.setattr("fsspec.implementations.arrow.ArrowFSWrapper.exists", fail)
    wanted = (
        "gs://b/x: cannot be listed: no credentials; pyarrow was used: Please install gcsfs to access Google Storage"
    )
    with pytest.raises(InputError, match=wanted):
        list_files("gs://b/x")


def test_urls_of_other_file_systems_are_listed_and_opened() -> None:
    memory = fsspec.filesystem("memory")
    root = "/prox-spark-test-files"
    try:
        for name in ("x/1.json", "x/_tmp/2.json", "x/y/3.json"):
            memory.pipe(f"{root}/{name}", name.encode())
        url = f"memory:/{root}"
        assert [file.path for file in list_files(url)] == [f"{url}/x/1.json", f"{url}/x/y/3.json"]
        assert [file.path for file in list_files(f"{url}/x/*.json")] == [f"{url}/x/1.json"]
        (file,) = list_files(f"{url}/x/1.json")
        assert file.size == 8
        assert file.modified_at.tzinfo is UTC
        with open_file(file.path) as stream:
            assert stream.read() == b"x/1.json"
        with pytest.raises(InputError, match="absent"):
            list_files(f"{url}/absent")
    finally:
        memory.rm(root, recursive=True)


def test_a_file_that_is_gone_is_an_error_not_a_quarantine_row(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.json"):
        open_file(str(tmp_path / "gone.json"))


def test_a_glob_through_links_that_loop_gives_each_file_once(corpus: Path) -> None:
    (corpus / "sub" / "up").symlink_to(corpus)
    (corpus / "sub" / "same").symlink_to(corpus / "sub")
    (corpus / "self.json").symlink_to(corpus / "self.json")
    for pattern in ("**/*.json", "**", "**/**/*.json", "s*/**/../*.json", "**/sub/*.json", "su*/**"):
        found = list_files(str(corpus / pattern))
        assert len({os.path.realpath(file.path) for file in found}) == len(found) <= 3, pattern
    assert names(str(corpus / "**/*.json"), corpus) == ["a.json", "b.json", "sub/c.json"]
    assert "sub/c.json" in names(str(corpus / "s*/**/*.json"), corpus)


def test_a_folder_that_a_link_leads_to_is_read_by_its_own_path(tmp_path: Path) -> None:
    (tmp_path / "z" / "deep").mkdir(parents=True)
    (tmp_path / "z" / "deep" / "x.json").write_bytes(b"")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "z" / "deep")
    assert names(str(tmp_path), tmp_path) == ["z/deep/x.json"]
    assert names(str(tmp_path / "**/*.json"), tmp_path) == ["z/deep/x.json"]
    assert names(str(tmp_path / "a"), tmp_path) == ["a/x.json"]
    (tmp_path / "elsewhere" / "b").symlink_to(tmp_path / "z")
    assert names(str(tmp_path / "elsewhere"), tmp_path) == ["elsewhere/b/deep/x.json"]


@pytest.mark.parametrize("name", [b"caf\xe9.jsonl", b"\xff\xfe/x.jsonl"])
def test_a_name_that_is_not_utf8_is_listed_read_and_shown(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"text": "a"}\n')
    (tmp_path / "good.jsonl").write_text('{"text": "b"}\n')
    for pattern in ("", "*.jsonl" if b"/" not in name else "*", "**/*.jsonl"):
        files = list_files(str(tmp_path / pattern))
        assert sorted(text for file in files for text in texts(read(file.path))) == ["a", "b"]
    (odd,) = (file for file in files if "good" not in file.path)
    assert odd.path == str(path)
    assert odd.name.encode().decode() == odd.name != odd.path
    check_files([odd.path], "json")
    with pytest.raises(InputError) as refused:
        check_files([odd.path], "json", {"text": "body"})
    assert refused.value.args[0].encode()


def test_names_that_are_utf8_are_shown_as_they_are(tmp_path: Path) -> None:
    assert shown("/a/café \\ 日本.json") == "/a/café \\ 日本.json"


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, bz2.compress, lzma.compress, bytes])
def test_files_without_a_telling_name_are_read_by_their_content(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    for name in ("part-00000", "data", "x.json.gz-00000-of-00002", "shard.parquet"):
        (tmp_path / name).write_bytes(pack(b'{"text": "a"}\n'))
        assert texts(read(tmp_path / name)) == ["a"]
        (tmp_path / name).write_bytes(pack(page(0)))
        assert [text.strip() for text in texts(read(tmp_path / name, "warc"))] == ["page 0"]
    (tmp_path / "part-00001").write_bytes(b"")
    assert read(tmp_path / "part-00001") == read(tmp_path / "part-00001", "warc") == []
