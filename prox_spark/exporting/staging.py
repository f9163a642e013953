"""A folder of files that is written atomically.

Tasks write to a *staging* folder beside the target, whose name begins with a dot. If a folder can be renamed in one step
(local disks, HDFS), the finished one is renamed to the target. Object stores cannot rename: the objects are moved one by
one, the manifest last, and a marker file in the target says until then that it is unfinished. A run writes its process name
into the staging folder, so that the next run to the same target can recognise the leftovers of a dead run.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prox_spark.cleanup import afterwards
from prox_spark.errors import ProxSparkError, UsageError
from prox_spark.exporting.folder import Folder
from prox_spark.processes import alive, myself

MANIFEST = "manifest.json"
"""The file that is written last: a folder that has it is finished."""

_MARK = ".exporting"
_ABANDONED = timedelta(days=1)
"""A run on another machine counts as dead if none of its files has changed for this long."""


@dataclass(frozen=True)
class Staging:
    """The staging folder of one run. Tasks write to ``attempts``, where each attempt of a task has separate files."""

    target: Folder
    folder: Folder
    holder: str

    @property
    def attempts(self) -> Folder:
        return self.folder.child("attempts")

    def publish(self, moved: Mapping[str, str], sizes: Mapping[str, int], written: Iterable[tuple[str, bytes]]) -> None:
        """Create the target from the attempts in ``moved`` (attempt name: final name) and the files ``written``.

        ``sizes`` are the bytes of each attempt; the last of ``written`` is the manifest. Files of other attempts are removed.
        Raises ``ProxSparkError`` if an attempt's file is missing or has another size, ``UsageError`` if another process
        created the target.
        """
        found = self.attempts.sizes()
        for name, size in sizes.items():
            if found.get(name) != size:
                raise ProxSparkError(
                    f"{self.attempts.url}/{name} is not the file that a task wrote: the path must be the same folder on the "
                    "machines of all executors and the driver"
                )
        whole = self.folder.child("whole") if self.target.atomic else self.target
        if whole is self.target:
            if whole.sizes():
                raise _made_meanwhile(whole)
            whole.write(_MARK, self.holder.encode())
        # An object store copies each file, which takes a second or more.
        with ThreadPoolExecutor(max_workers=16) as pool:
            list(pool.map(lambda one: self.attempts.move(one[0], whole, one[1]), moved.items()))
        for name, content in written:
            whole.write(name, content)
        if whole is self.target:
            whole.delete(_MARK)
            return
        try:
            whole.rename(self.target)
        except OSError as error:
            if not self.target.sizes():
                raise
            raise _made_meanwhile(self.target) from error

    def withdraw(self) -> None:
        """Remove this run's files from an unfinished target (one without a manifest)."""
        if _holder(self.target) == self.holder and MANIFEST not in self.target.sizes():
            self.target.remove()


@contextmanager
def staging(target: Folder) -> Iterator[Staging]:
    """A staging folder for the length of the block; what dead runs to the same target left is removed first."""
    remove_dead(target)
    if _holder(target) is not None and _is_dead(target):
        target.remove()
    made = Staging(target, target.parent.child(f"{_prefix(target)}{uuid.uuid4().hex[:12]}"), myself())
    made.folder.write(_MARK, made.holder.encode())
    with afterwards(made.folder.remove):
        try:
            yield made
        except BaseException:
            with afterwards(made.withdraw):
                raise


def remove_dead(target: Folder) -> None:
    """Remove the staging folders of dead runs to this target, of those too that died when they had only to tidy up."""
    for left in target.parent.children(_prefix(target)):
        if _is_dead(left):
            left.remove()


def _prefix(target: Folder) -> str:
    return f".{target.name}.export-"


def look(target: Folder) -> bytes | None:
    """The manifest of a finished folder; None if it is empty, or has only leftovers of a run that died while publishing.

    Raises ``UsageError`` if the target has other content.
    """
    names = target.sizes()
    if MANIFEST in names:
        if _MARK in names and _is_dead(target):
            # The run died between these two steps.
            target.delete(_MARK)
        return target.read(MANIFEST)
    if names and not (_MARK in names and _is_dead(target)):
        kind = "the output of a running export" if _MARK in names else "files that are not a finished export"
        raise UsageError(f"{target.url} contains {kind}; name another folder, or move it away")
    if not names and target.children(""):
        raise UsageError(f"{target.url} contains folders, though no file; name another folder, or remove it")
    return None


def _is_dead(folder: Folder) -> bool:
    """Whether the run that writes to the folder is dead."""
    holder = _holder(folder)
    if holder is not None and not alive(holder):
        return True
    changed = folder.changed_at()
    return changed is None or datetime.now(UTC) - changed > _ABANDONED


def _holder(folder: Folder) -> str | None:
    """The process that writes to the folder, as ``processes.myself`` names it; None if it is not recorded."""
    try:
        return folder.read(_MARK).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def _made_meanwhile(target: Folder) -> UsageError:
    return UsageError(f"{target.url} was created by another process; nothing was written")
