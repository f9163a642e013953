"""Causes of errors whose first line does not name them: a full disk, a missing connector."""

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from typing import Any

import psutil

_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_FULL_CODES = (errno.ENOSPC, errno.EDQUOT)
_FULL_PATH = re.compile(
    r"(?P<java>/[^\n()]*?) \((?:No space left on device|Disk quota exceeded)\)"
    r"|(?:No space left on device|Disk quota exceeded): '(?P<python>[^'\n]+)'"
)
_LITTLE = 1 << 20
_NETWORKS = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "lustre")
"""File systems whose free space is not queried: if the server is gone, the query never returns."""

_NO_SCHEME = re.compile(r"No FileSystem for scheme:? \"?(?P<scheme>[A-Za-z][\w+.-]*)")
_NO_CLASS = re.compile(r"ClassNotFoundException: Class (?P<name>[\w.$]*(?:FileSystem|Fs)\w*) not found")
_SCHEME_OF_CLASS = (("S3A", "s3a"), ("GoogleHadoop", "gs"), ("AzureBlob", "abfss"), ("NativeAzure", "wasbs"))
_CONNECTORS = {
    "gs": "Google's gcs-connector",
    "s3a": "hadoop-aws",
    "s3": "hadoop-aws, whose URLs begin with s3a://",
    "abfss": "hadoop-azure",
    "abfs": "hadoop-azure",
    "wasbs": "hadoop-azure",
}


def cause(error: BaseException) -> str | None:
    """The cause of an error, with what to do about it, in one line; ``None`` if it is unknown."""
    return full_disk(error) or missing_connector(error)


def full_disk(error: BaseException) -> str | None:
    """For an error of a full disk: the path that could not be written, else the full file systems."""
    chain = list(_chain(error))
    codes = [one for one in chain if isinstance(one, OSError) and one.errno in _FULL_CODES]
    said = "\n".join(_said(one) for one in chain)
    if not codes and not _FULL.search(said):
        return None
    found = _FULL_PATH.search(said)
    named = next((str(one.filename) for one in codes if one.filename), None) or (found and (found[1] or found[2]))
    where = named or ", ".join(_full_file_systems()) or f"the disk of the store, or of temporary files ({_temporary()})"
    return (
        f"No space left on device ({where}): make room, then run the command again; the store keeps what was committed"
    )


def _full_file_systems() -> list[str]:
    """Mount points of local file systems with hardly any free space."""
    found = []
    for part in psutil.disk_partitions(all=True):
        if part.fstype.startswith(_NETWORKS) or "ro" in part.opts.split(","):
            continue
        try:
            usage = psutil.disk_usage(part.mountpoint)
        except OSError:
            continue
        if usage.total > _LITTLE and usage.free < max(_LITTLE, usage.total // 1000):
            found.append(part.mountpoint)
    return found


def _temporary() -> str:
    return os.environ.get("SPARK_LOCAL_DIRS") or tempfile.gettempdir()


def missing_connector(error: BaseException) -> str | None:
    """For an error of a missing file system: the connector that Spark needs."""
    said = "\n".join(_said(one) for one in _chain(error))
    if (found := _NO_SCHEME.search(said)) is not None:
        kind, what = found["scheme"], f"{found['scheme']}://"
    elif (found := _NO_CLASS.search(said)) is not None:
        kind = next((scheme for part, scheme in _SCHEME_OF_CLASS if part in found["name"]), "")
        what = f"{kind}://" if kind else found["name"]
    else:
        return None
    if kind == "dbfs":
        return "dbfs:/ exists on Databricks only: use a path of this machine, or a URL that Spark has a file system for"
    connector = f" ({_CONNECTORS[kind]})" if kind in _CONNECTORS else ""
    return (
        f"Spark has no file system for {what}: add its connector{connector} to the cluster, or for a session of this command "
        "with spark.spark.driver.extraClassPath=JAR; or use a path of this machine"
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, in Python and from the JVM."""
    seen: set[int] = set()
    pending: list[Any] = [error]
    while pending:
        one = pending.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            pending += [one.__context__, one.__cause__, getattr(one, "_cause", None)]


def _said(error: BaseException) -> str:
    """The message with the JVM's stack, which Spark's errors hide by default."""
    return f"{error}\n{getattr(error, '_stackTrace', None) or ''}"
