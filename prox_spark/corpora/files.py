"""Lists and opens corpus files: local paths, and URLs that fsspec or pyarrow has a file system for."""

import glob
import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote

import fsspec
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.registry import known_implementations

from prox_spark.errors import InputError

_MAGIC = frozenset("*?[")
_MOST_ASKED = 100  # each is a request to an object store
_PATIENCE = 10
"""Seconds of retries before listing fails; pyarrow's default for Google Storage is 15 minutes."""
_REASON = 400
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_MODIFIED_KEYS = ("mtime", "LastModified", "last_modified", "updated", "created")
_UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file of a corpus. ``path`` is absolute (local) or a URL; ``size`` in bytes; ``modified_at`` in UTC.

    A file system without modification times (plain HTTP) gives 1970-01-01. A local name that is not UTF-8 has a lone
    surrogate for each invalid byte, as in Python; ``name`` is ``path`` in valid UTF-8, for tables.
    """

    path: str
    size: int
    modified_at: datetime

    @property
    def name(self) -> str:
        """``path`` in tables and messages: bytes that are not UTF-8 are written as ``\\xe9``."""
        return shown(self.path)


def shown(path: str) -> str:
    """A path for tables and messages, which cannot have lone surrogates.

    >>> shown("caf\\udce9.json")
    'caf\\\\xe9.json'
    """
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def list_files(path: str | list[str]) -> list[FileInfo]:
    """The files that ``path`` names, each once, sorted by path.

    A path is a file, a directory (searched recursively) or a glob with ``*``, ``?``, ``[…]`` and ``**``; local, or a
    URL such as ``s3://bucket/folder``, ``gs://…``, ``abfss://…``. As in Spark, names that begin with ``.`` or ``_``
    (``_SUCCESS``, ``_delta_log``) are left out below a directory, and unless a glob begins with that character.

    Raises ``InputError`` when one of the paths matches nothing, cannot be listed in full, or needs a file system that
    is not installed.
    """
    found: dict[str, FileInfo] = {}
    for one in [path] if isinstance(path, str) else path:
        local = _local_path(one)
        matches = list(_list_local(local) if local is not None else _list_remote(one))
        if not matches:
            url = f" (a URL has two slashes: {one.replace(':/', '://', 1)})" if local and _SCHEME.match(local) else ""
            raise InputError(f"no file matches {one!r}: give a file, a folder with files, or a glob{url}")
        found.update((file.path, file) for file in matches)
    if not found:
        raise InputError("input.path names no file: give a file, a folder or a glob")
    return sorted(found.values(), key=lambda file: file.path)


def find_delta_table(paths: Iterable[str]) -> str | None:
    """The folder of a Delta table that contains one of these files, directly or in its partitions (``key=value``).

    Of remote folders, only the first 100 are checked.
    """
    asked = 0
    for folder in dict.fromkeys(map(_table_folder, paths)):
        remote = _local_path(folder) is None
        asked += remote
        if not (remote and asked > _MOST_ASKED) and _is_folder(f"{folder}/_delta_log"):
            return folder
    return None


def _table_folder(path: str) -> str:
    """The folder of a file, above its partitions."""
    folder = path.rpartition("/")[0]
    while "=" in folder.rpartition("/")[2]:
        folder = folder.rpartition("/")[0]
    return folder or "/"


def _is_folder(path: str) -> bool:
    local = _local_path(path)
    if local is not None:
        return Path(local).is_dir()
    try:
        files, name = file_system(path)
        return bool(files.isdir(name))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(f"{path}: cannot be listed: {_reason(error)}") from error


def open_file(path: str) -> BinaryIO:
    """Open ``path`` for its raw bytes: seekable, still compressed. Raises ``InputError`` if it cannot be opened."""
    local = _local_path(path)
    try:
        if local is not None:
            return Path(local).open("rb")
        files, name = file_system(path)
        return cast(BinaryIO, files.open(name, "rb"))
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be opened: {_reason(error)}") from error


def _local_path(path: str) -> str | None:
    """``path`` without ``file:`` if it is local, else ``None``."""
    if not path:
        raise InputError("the input path is empty: give a file, a folder or a glob")
    _refuse_databricks(path)
    if path.startswith("file:"):
        rest = path.removeprefix("file:")
        return "/" + rest.lstrip("/")
    return None if "://" in path else path


def _refuse_databricks(path: str) -> None:
    if path.startswith("dbfs:"):
        raise InputError(f"{path}: use a path that all machines can read, /Volumes/… or /dbfs/…")


def _hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _list_local(path: str) -> Iterator[FileInfo]:
    path = os.path.abspath(Path(path).expanduser())  # noqa: PTH100 -- resolve() would follow links and rename the file
    if os.path.lexists(path) or not _MAGIC.intersection(path):
        matches: Iterable[str] = [path]
    elif "**" in path.split("/"):
        matches = _once(_expand(path))
    else:
        matches = _expand_one(path, path)
    for match in matches:
        if Path(match).is_dir():
            yield from _walk(match)
        elif Path(match).is_file():
            yield _local_info(match)


def _expand_one(path: str, pattern: str) -> Iterator[str]:
    """Matches of a glob without ``**``, except hidden names unless ``pattern``'s last part begins with the same character."""
    first = os.path.basename(pattern)[:1]  # noqa: PTH119 -- a glob is not a path
    # include_hidden allows "_x*" and ".x*"; other hidden names are removed below.
    for match in glob.glob(path, include_hidden=True):  # noqa: PTH207 -- absolute pattern
        name = Path(match).name
        if not _hidden(name) or name.startswith(first):
            yield match


def _expand(path: str) -> Iterator[str]:
    """Matches of a glob with ``**``: each folder once, even if several links lead to it."""
    parts = path.split("/")
    start = parts.index("**")
    fixed, rest = "/".join(parts[:start]) or "/", "/".join(parts[start + 1 :])
    bases = glob.glob(fixed) if _MAGIC.intersection(fixed) else [fixed]  # noqa: PTH207 -- absolute pattern
    for base in filter(os.path.isdir, bases):
        if not rest:
            yield base
            continue
        for folder in _folders(base):
            below = f"{glob.escape(folder)}/{rest}"
            if "**" in rest.split("/"):
                yield from _expand(below)
                continue
            for match in _expand_one(below, path):
                if not any(map(_hidden, match[len(folder) + 1 :].split("/")[:-1])):
                    yield match


def _once(matches: Iterable[str]) -> Iterable[str]:
    """``matches`` without repeats: the same name in the same folder, reached by another path."""
    found: dict[tuple[str, str], str] = {}
    for match in matches:
        folder, _, name = match.rpartition("/")
        found.setdefault((os.path.realpath(folder), name), match)
    return found.values()


def _folders(folder: str) -> Iterator[str]:
    """``folder`` and all folders below it that are not hidden, each once, by the path with the fewest links."""

    def refuse(error: OSError) -> None:
        # Skipping a folder that cannot be listed would silently lose its documents.
        raise InputError(f"{shown(str(error.filename))}: cannot be listed: {_reason(error)}") from error

    seen: set[str] = set()
    pending = [folder]
    while pending:
        links: list[str] = []
        for start in pending:
            for here, folders, _ in os.walk(start, onerror=refuse):
                real = os.path.realpath(here)
                if real in seen:  # a link back up the tree, or to a folder that was already found
                    folders.clear()
                    continue
                seen.add(real)
                yield here
                folders[:] = sorted(name for name in folders if not _hidden(name))
                links += [link for name in folders if Path(link := f"{here.rstrip('/')}/{name}").is_symlink()]
        pending = links


def _walk(folder: str) -> Iterator[FileInfo]:
    for here in _folders(folder):
        for name in os.listdir(here):  # noqa: PTH208 -- Path would be slower, and names that are not UTF-8 stay as they are
            # False for a link to itself or to a missing file.
            if not _hidden(name) and Path(path := f"{here.rstrip('/')}/{name}").is_file():
                yield _local_info(path)


def _local_info(path: str) -> FileInfo:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {_reason(error)}") from error
    return FileInfo(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def file_system(url: str, patience: int | None = None) -> tuple[Any, str]:
    """The file system of a URL and the URL's path in it: fsspec's if its package is installed, else pyarrow's.

    A local path is allowed, too. ``patience``: seconds of retries for Google Storage; default: pyarrow's 15 minutes. Raises
    ``InputError`` if no file system is known for the URL, or it cannot be reached.
    """
    _refuse_databricks(url)
    try:
        return cast(tuple[Any, str], fsspec.core.url_to_fs(url))
    except (
        ImportError,
        ValueError,
        TypeError,
    ) as missing:  # TypeError: the file system needs more arguments than a URL
        from pyarrow import ArrowException, fs

        scheme, rest = url.split("://", 1)
        authority, slash, path = rest.partition("/")
        # Names may contain blanks, '#', '?' and '%'.
        arrow_url = f"{'s3' if scheme in ('s3a', 's3n') else scheme}://{authority}{slash}{quote(path, errors='surrogateescape')}"
        if scheme in ("gs", "gcs") and patience is not None:
            arrow_url += f"?retry_limit_seconds={patience}"
        try:
            found, name = fs.FileSystem.from_uri(arrow_url)
        except (ArrowException, ValueError, OSError) as error:
            raise InputError(f"{url}: no file system for {scheme}://: {missing}; pyarrow: {_reason(error)}") from error
        return ArrowFSWrapper(found), name
    except OSError as error:
        raise InputError(f"{url}: the file system cannot be reached: {_reason(error)}") from error


def _unlisted(url: str, files: Any, error: Exception) -> InputError:
    """Why a URL cannot be listed, in one line; if pyarrow was used, also the package that fsspec would need."""
    reason = " ".join(_reason(error).split())[:_REASON]
    known = known_implementations.get(url.partition("://")[0], {})
    needed = known.get("err") if isinstance(files, ArrowFSWrapper) else None
    return InputError(f"{url}: cannot be listed: {reason}" + (f"; pyarrow was used: {needed}" if needed else ""))


def _list_remote(url: str) -> Iterator[FileInfo]:
    # Open the file system by the part before the first magic character, because a glob is not a valid name.
    cut = min((url.index(letter) for letter in _MAGIC if letter in url), default=len(url))
    files, fixed = file_system(url[:cut].rstrip("/") or url, _PATIENCE)
    name = fixed + url[len(url[:cut].rstrip("/")) :] if cut < len(url) else fixed
    files.invalidate_cache()
    try:
        roots: dict[str, Any] = {}
        if files.exists(name):
            roots = {name: files.info(name)}
        elif cut < len(url):
            first = name.rsplit("/", 1)[-1][:1]
            # Get the details with the listing: fetching them one by one takes a request or a search each.
            roots = {
                match: info
                for match, info in files.glob(name, detail=True).items()
                if not _hidden(match.rsplit("/", 1)[-1]) or match.rsplit("/", 1)[-1].startswith(first)
            }
        for root, info in roots.items():
            below = files.find(root, detail=True).values() if info["type"] == "directory" else [info]
            for file in below:
                inner = file["name"].removeprefix(root).strip("/")
                if file["type"] == "file" and not any(map(_hidden, inner.split("/"))):
                    full = _full_url(url, name, file["name"])
                    yield FileInfo(full, int(file["size"] or 0), modified(file))
    except Exception as error:  # each storage library raises its own errors, not all of them OSError
        raise _unlisted(url, files, error) from error


def _full_url(url: str, name: str, found: str) -> str:
    """The URL of ``found``, given that ``url`` is ``name`` in the file system. Keeps an account name in the authority."""
    scheme, rest = url.rstrip("/").split("://", 1)
    authority, slash, tail = rest.partition("/")
    root = name.rstrip("/").removesuffix(slash + tail)
    return f"{scheme}://{authority}/{found.removeprefix(root).lstrip('/')}"


def modified(info: dict[str, Any]) -> datetime:
    """A file's modification time from its ``fsspec`` details; 1970-01-01 if they have none."""
    for key in _MODIFIED_KEYS:
        value = info.get(key)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        elif isinstance(value, int | float):
            value = datetime.fromtimestamp(value, UTC)
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return _UNKNOWN_TIME


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class WatchedFile(io.RawIOBase):
    """A file that remembers why reading it failed.

    Decoders report a failed disk or connection and damaged data in the same way (``OSError``). The first must fail the task,
    so that it is retried; only the second belongs in quarantine.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.failure: Exception | None = None
        try:
            self._file = open_file(path)
        except BaseException:
            # There is nothing to close; from 3.13 on, Python reports errors while an object is collected.
            super().close()
            raise

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._file.read(size)
        except Exception as error:  # remembered, and raised again
            self.failure = error
            raise

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def raise_failure(self) -> None:
        """Raise ``InputError`` if the file system failed, rather than the data."""
        if self.failure is not None:
            raise InputError(
                f"{shown(self.path)}: the file system failed while reading ({_reason(self.failure)}); "
                "the data may be intact: run the command again"
            ) from self.failure
