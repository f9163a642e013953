"""Atomic writing of files and folders on a local file system.

Each is written beside its target, on the same file system and under a hidden name, and renamed at the end. For folders on remote
file systems see ``exporting.staging``.
"""

import logging
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
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
def whole_folder(target: Path, key: str | None = None) -> Iterator[Path]:
    """The folder to write to inside the block; after it the folder is renamed to ``target``, whose parents are created.

    On an error the folder is removed, unless ``key`` is given: then it is kept, and the next block with the same key gets it
    back to resume the work. Raises ``UsageError`` if the target contains files at the end: an existing folder is never replaced.
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
