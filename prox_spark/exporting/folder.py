"""A folder on any file system, and files in it that are hashed as they are written."""

import hashlib
import io
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prox_spark.corpora.files import file_system, modified
from prox_spark.errors import UsageError
from prox_spark.failpoints import around

_LOCAL = "file"
_PATTERN = re.compile(r"[*?\[]")
_ATOMIC = (_LOCAL, "hdfs", "viewfs")
"""File systems on which a whole folder is renamed in one step; object stores copy object by object."""


@dataclass(frozen=True)
class Folder:
    """A folder by its absolute path or URL; it need not exist. Names of files in it may contain ``/``."""

    url: str

    @property
    def scheme(self) -> str:
        """The file system's name; ``file`` for a local one."""
        return urlsplit(self.url).scheme if "://" in self.url else _LOCAL

    @property
    def atomic(self) -> bool:
        """Whether ``rename`` puts the whole folder into place in one step."""
        return self.scheme in _ATOMIC

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.url.rpartition("/")[2]

    @property
    def parent(self) -> "Folder":
        """The parent folder."""
        return Folder(self.url.rpartition("/")[0] or "/")

    def child(self, name: str) -> "Folder":
        """A folder in this one."""
        return Folder(f"{self.url.rstrip('/')}/{name}")

    def sizes(self) -> dict[str, int]:
        """Bytes of every file below it, hidden ones included; empty where it does not exist."""
        return {name: int(info["size"] or 0) for name, info in self._found().items()}

    def changed_at(self) -> datetime | None:
        """The time of the last change to a file below it; None if it has no files."""
        return max(map(modified, self._found().values()), default=None)

    def children(self, prefix: str) -> list["Folder"]:
        """The folders in this one whose names begin with this prefix."""
        files, path = self._system()
        if not files.exists(path):
            return []
        found = (
            entry["name"].rstrip("/").rpartition("/")[2] for entry in files.ls(path, detail=True) if _is_folder(entry)
        )
        return [self.child(name) for name in sorted(found) if name.startswith(prefix)]

    def read(self, name: str) -> bytes:
        """The content of a file. Raises ``FileNotFoundError``."""
        files, path = self._system()
        with files.open(f"{path}/{name}", "rb") as opened:
            content: bytes = opened.read()
        return content

    def create(self, name: str) -> "HashedFile":
        """A new file to write to."""
        files, path = self._system()
        files.makedirs(f"{path}/{name}".rpartition("/")[0], exist_ok=True)
        return HashedFile(files.open(f"{path}/{name}", "wb"))

    def write(self, name: str, content: bytes) -> None:
        """A new file with this content."""
        with around("file", "put"), self.create(name) as file:
            file.write(content)

    def delete(self, name: str) -> None:
        """Delete a file."""
        files, path = self._system()
        with around("file", "delete"):
            files.rm(f"{path}/{name}")

    def move(self, name: str, there: "Folder", new_name: str) -> None:
        """Move a file to another folder of the same file system."""
        files, path = self._system()
        _, other = there._system()
        files.makedirs(f"{other}/{new_name}".rpartition("/")[0], exist_ok=True)
        with around("file", "move"):
            _move(self, files, f"{path}/{name}", f"{other}/{new_name}")

    def rename(self, there: "Folder") -> None:
        """Rename the folder in one step (see ``atomic``). Raises ``OSError`` if the target contains files."""
        files, path = self._system()
        _, other = there._system()
        if self.scheme != _LOCAL and files.exists(other):
            if there.sizes():
                raise FileExistsError(f"{there.url} contains files")
            # HDFS would move the folder into an empty target.
            files.rmdir(other)
        with around("folder", "rename"):
            _move(self, files, path, other)

    def remove(self) -> None:
        """Delete the folder and its contents, if it exists."""
        files, path = self._system()
        if files.exists(path):
            with around("folder", "remove"):
                files.rm(path, recursive=True)

    def _system(self) -> tuple[Any, str]:
        files, path = file_system(self.url)
        return files, path.rstrip("/") or "/"

    def _found(self) -> dict[str, dict[str, Any]]:
        files, path = self._system()
        files.invalidate_cache()
        if not files.exists(path):
            return {}
        found = files.find(path, detail=True).values()
        # Some file systems list names with a leading slash, others without.
        return {
            info["name"].lstrip("/").removeprefix(path.lstrip("/")).lstrip("/"): info
            for info in found
            if info["type"] == "file"
        }


class HashedFile(io.RawIOBase):
    """A file that computes the SHA-256 (hex) and the number of the bytes written to it."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self._digest.update(view)
        self._file.write(view)
        self.size += len(view)
        return len(view)

    def tell(self) -> int:
        return self.size

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def open_folder(location: str) -> Folder:
    """The folder that a user names; of a link, the folder that it leads to.

    Raises ``UsageError`` for a name that cannot be a folder of its own, ``InputError`` for an unknown file system.
    """
    if not location.strip():
        raise UsageError("name the folder to write to")
    if "::" in location:
        raise UsageError(f"{location}: name a folder without '::', which joins file systems")
    files, path = file_system(location)
    if "file" in ((files.protocol,) if isinstance(files.protocol, str) else files.protocol):
        whole = os.path.realpath(path)
        if os.path.ismount(whole):
            raise UsageError(f"{location} is a mount point, which cannot be replaced; name a folder inside it")
        return Folder(whole)
    if _PATTERN.search(path):
        # The file system's library deletes and moves whatever matches.
        raise UsageError(f"{location}: the name of a remote folder must be without *, ? and [")
    if "/" not in path.strip("/"):
        raise UsageError(f"{location}: name a folder inside it; its parent must be writable")
    return Folder(location.rstrip("/"))


def _is_folder(entry: dict[str, Any]) -> bool:
    return bool(entry["type"] == "directory")


def _move(folder: Folder, files: Any, old: str, new: str) -> None:
    if folder.scheme == _LOCAL:
        Path(old).rename(new)
    else:
        files.mv(old, new)
