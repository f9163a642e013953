"""Digests of model files, computed once for each file as it stands: weights are read from disk once, not by every command.

A digest is kept under the file's path with its size, inode and times (modification and change, ns): a file that is written
again has another change time, whatever its modification time says. The cache is one small JSON file of the user.
"""

import hashlib
import json
import logging
import os
import time
from pathlib import Path

from prox_spark.atomic import whole_file
from prox_spark.private import check_private, make_private

_log = logging.getLogger(__name__)

_MOST = 1000
"""Digests that are kept; the newest."""

_read: dict[str, str] = {}
"""Digests of this process, where no cache can be kept."""

_SETTLED_NS = 2_000_000_000
"""A file that changed within this time may change again under the same time stamp: its digest is not kept."""


def file_digest(path: Path) -> str:
    """sha256 (hex) of the file, from the cache where the file has not changed since. Raises ``OSError``."""
    key, changed = _key(path)
    if key in _read:
        return _read[key]
    known = _load()
    if key in known:
        return known[key]
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if time.time_ns() - changed > _SETTLED_NS and _key(path)[0] == key:
        _read[key] = digest
        _save({**{k: v for k, v in _load().items() if not k.startswith(f"{path.resolve()}|")}, key: digest})
    return digest


def _key(path: Path) -> tuple[str, int]:
    """The file as it stands, and when it changed (ns since the epoch)."""
    # A file of the model hub's cache is a link to its content.
    real = path.resolve()
    found = real.stat()
    changed = max(found.st_mtime_ns, found.st_ctime_ns)
    return f"{real}|{found.st_size}|{found.st_ino}|{found.st_mtime_ns}|{found.st_ctime_ns}", changed


def _file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "prox_spark" / "digests.json"


def _load() -> dict[str, str]:
    try:
        file = _file()
        # Whoever can write there can give another model an old one's digest.
        check_private(file.parent)
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        # No cache, a broken one, one that others can write to, or a user without a home: the file is read again.
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _save(digests: dict[str, str]) -> None:
    kept = dict(list(digests.items())[-_MOST:])
    try:
        target = _file()
        target.parent.parent.mkdir(parents=True, exist_ok=True)
        make_private(target.parent)
        with whole_file(target, shared=True) as partial:
            partial.write_text(json.dumps(kept), encoding="utf-8")
    except (OSError, RuntimeError) as error:
        _log.debug("digests of model files are not kept: %s", error)
