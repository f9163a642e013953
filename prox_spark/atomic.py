"""Atomic writing of files and folders on a local file system.

Each is written beside its target, on the same file system and under a hidden name, and renamed at the end. For folders on remote
file systems see ``exporting.staging``.
"""

import fcntl
import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from prox_spark.errors import UsageError
from prox_spark.failpoints import around

_log = logging.getLogger(__name__)


@contextmanager
def whole_file(target: Path, *, shared: bool = False) -> Iterator[Path]:
    """The path to write to inside the block. After it the file replaces ``target``; on an error it is removed.

    The folder must exist. The hidden name is always the same, so that a killed process leaves at most one file and the
    next writer overwrites it. A target must have only one writer at a time, unless it is ``shared``.
    """
    own = f".{uuid.uuid4().hex}" if shared else ""
    partial = target.with_name(f".{target.name}{own}.partial")
    try:
        yield partial
        with around("file", "replace"):
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """A block in which no other process of this machine is in one of the same folder, which must exist.

    Waits for the other, or raises ``UsageError``. Not every file system has locks; on one that has none, nobody is kept out.
    """
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise UsageError(f"another process works in {folder}; run the command again when it is done") from None
        except OSError as error:
            _log.debug("%s cannot be locked: %s", folder, error)
        yield
    finally:
        os.close(file)


@contextmanager
def whole_folder(target: Path, key: str | None = None) -> Iterator[Path]:
    """The folder to write to inside the block; after it the folder is renamed to ``target``, whose parents are created.

    On an error the folder is removed, unless ``key`` is given: then it is kept, and the next block with the same key gets it
    back to resume the work. Raises ``UsageError`` if another process works in a folder with this key, and if the target contains
    files at the end: an existing folder is never replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name}."
    if key is None:
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
        # A temporary folder is only accessible to its owner; the tasks of a cluster may run as another user.
        work.chmod(0o755)
    else:
        work = target.with_name(prefix + key)
        if work.is_dir():
            _log.info("resuming in %s, which an earlier run left", work)
        work.mkdir(exist_ok=True)
    try:
        with nullcontext() if key is None else locked(work, wait=False):
            yield work
            _rename(work, target)
    except BaseException:
        if key is None:
            shutil.rmtree(work, ignore_errors=True)
        raise


def _rename(work: Path, target: Path) -> None:
    try:
        with around("folder", "rename"):
            work.rename(target)
    except OSError as error:
        if not target.exists():
            raise
        raise UsageError(f"{target} was created by another process meanwhile; nothing was written to it") from error
