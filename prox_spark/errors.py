"""Every error that this package raises on purpose.

The command line turns a ``UsageError`` into exit code 2 and any other ``ProxSparkError`` into exit code 1, and prints
the message as one line: so a message says what was wrong, where, and what to do.
"""

import re
from pathlib import Path
from urllib.parse import unquote


class ProxSparkError(Exception):
    """Base of the family."""


class UsageError(ProxSparkError):
    """The request is invalid: wrong configuration, arguments or names."""


class ConfigError(UsageError):
    """An inconsistent configuration, or an unknown key or value."""


class InputError(UsageError):
    """Input that cannot be read at all: no file matches, a required column is missing, an unknown format."""


class StoreError(ProxSparkError):
    """A store that is missing, incomplete, or has another schema version."""


class RefinementConflictError(UsageError):
    """A refinement's name exists with another configuration."""


class LeaseError(ProxSparkError):
    """Another job holds the lease, or this job lost it and must stop writing."""


class IncompleteError(ProxSparkError):
    """Execution cannot start because programs of some documents are missing."""


class ConservationError(ProxSparkError):
    """The counts of documents do not add up: the refinement is not committed."""


class FuseError(ProxSparkError):
    """A refinement outside the bounds of ``fuse``: the refinement is not committed."""


class EngineError(ProxSparkError):
    """A model engine that could not start, or that died more often than its budget allows."""


class SelfTestError(ProxSparkError):
    """A refiner that changes no page of boilerplate: its prompts are probably wrong, and no document is sent to it."""


class InstallationError(ProxSparkError):
    """Something that this installation needs is missing or does not work: ``doctor`` shows what."""


class RefinerError(UsageError):
    """A refiner that cannot be used: model folder incomplete, unsafe weights, unknown template."""


class DeadlineError(ProxSparkError):
    """A query exceeded its time limit, and its Spark jobs were stopped."""


class CompatError(ProxSparkError):
    """The published ProX executor raises on this document and program; ``compat`` mode says so instead."""


def first_line(error: BaseException) -> str:
    """The error's message without the JVM's stack; for an error of a Python worker, its last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line in lines:
        if line.startswith("prox_spark.errors."):
            return line.partition(": ")[2]
    if len(lines) > 1 and lines[0].startswith("An error occurred while calling"):
        return lines[1].lstrip(": ")
    return lines[0] if lines else "no message"


def is_conflict(error: BaseException) -> bool:
    """Whether another writer's Delta commit of the same transaction came first.

    Depending on the session, it reaches Python as an exception of Spark or of the JVM.
    """
    return "ConcurrentTransaction" in str(error) or "DELTA_CONCURRENT_TRANSACTION" in str(error)


_PASSING = ("CONCURRENT_APPEND", "CONCURRENT_DELETE", "CONCURRENT_WRITE", "METADATA_CHANGED", "PROTOCOL_CHANGED")
# The prefix of two class names: ConcurrentDeleteReadException and ConcurrentDeleteDeleteException.
_PASSING_CLASSES = tuple("".join(word.capitalize() for word in name.split("_")) for name in _PASSING)


def is_passing_conflict(error: BaseException) -> bool:
    """Whether a concurrent Delta commit caused a conflict that a retry of the same write can resolve."""
    said = str(error)
    return any(f"DELTA_{name}" in said for name in _PASSING) or any(name in said for name in _PASSING_CLASSES)


def told_conflict(error: BaseException) -> StoreError | None:
    """The message for a Delta conflict that ends a verb; None for another error."""
    if not (is_conflict(error) or is_passing_conflict(error)):
        return None
    return StoreError(
        "another job or program wrote to the same table at the same time, and this commit was refused; run the command "
        "again when it is done"
    )


_GONE = ("FILE_NOT_EXIST", "DELTA_FILE_NOT_FOUND", "DELTA_VERSION_NOT_FOUND", "Cannot time travel Delta table")
_ABSENT = ("DELTA_MISSING_DELTA_TABLE", "DELTA_TABLE_NOT_FOUND", "DELTA_PATH_DOES_NOT_EXIST", "PATH_NOT_FOUND")
_FILE = re.compile(r"[^\s'\"`]+/(\w+)/(?:_delta_log|part-)[^\s'\"`]*")


def store_damage(error: BaseException, store: str | None) -> StoreError | None:
    """The problem of the store at this location behind a Spark error: deleted files of a version, or a missing table.

    None for any other error, such as a file of the input that is gone. ``store`` is a path, a URL or ``catalog.schema``.
    """
    said = str(error)
    named = next((found for found in _FILE.finditer(said) if _lies_in(found[0], store)), None)
    if any(word in said for word in _GONE) and (named or not _FILE.search(said)):
        where = f" of {named[1]}" if named else ""
        return StoreError(
            f"files{where} needed by this version were deleted, as VACUUM does. Choose a newer version, or one that is "
            "pinned with a copy; `execute` with its configuration rebuilds it"
        )
    if any(word in said for word in _ABSENT) and _lies_in(said, store):
        return StoreError(f"the store is incomplete, a table is missing ({first_line(error)}); `ingest` completes it")
    return None


def _lies_in(said: str, store: str | None) -> bool:
    """Whether a path in the text may be one of the store."""
    if store is None:
        return False
    if re.fullmatch(r"\w+\.\w+", store) and not Path(store).exists():
        # The folders of a catalog's tables are named after schema and table, or have unknown names.
        schema = re.escape(store.rpartition(".")[2])
        return re.search(rf"\b{schema}(?:\.db)?[/`.]", said) is not None
    # Spark writes file:/a, file:///a or /a.
    path = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*:/*", "/", store).rstrip("/")
    folder = f"{path if '://' in store else Path(path).expanduser().absolute()}/"
    return folder in said or folder in unquote(said)


class TrainingError(UsageError):
    """A refiner cannot be trained: incomplete labels, or an output that exists."""
