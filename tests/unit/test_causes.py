"""What a full disk and a missing connector look like on the command line."""

import errno
import re
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from prox_spark.cli.causes import cause

NAMED = "No space left on device ({}): make room, then run the command again; the store keeps what was committed"


class SparkError(Exception):
    """An error as Spark's Python has it: the JVM's stack and cause are beside the message."""

    def __init__(self, said: str, stack: str = "", caused_by: Exception | None = None) -> None:
        super().__init__(said)
        self._stackTrace, self._cause = stack, caused_by


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/disk/store/part-0"),
        OSError(errno.EDQUOT, "Disk quota exceeded", "/disk/store/part-0"),
        SparkError(
            "Job aborted.", "java.io.FileNotFoundException: /disk/store/part-0 (No space left on device)\n\tat x"
        ),
        SparkError("Job aborted.", "", SparkError("/disk/store/part-0 (Disk quota exceeded)")),
        SparkError("Job aborted: OSError: [Errno 28] No space left on device: '/disk/store/part-0'\n"),
    ],
)
def test_a_full_disk_is_told_with_the_path(error: Exception) -> None:
    assert cause(error) == NAMED.format("/disk/store/part-0")


def test_a_full_disk_behind_another_error_is_found() -> None:
    error = ValueError("cannot be written")
    error.__context__ = OSError(errno.ENOSPC, "No space left on device", "/disk/a b")
    assert cause(error) == NAMED.format("/disk/a b")


def disks(monkeypatch: pytest.MonkeyPatch, free: dict[str, int]) -> None:
    parts = [SimpleNamespace(mountpoint=path, fstype="ext4", opts="rw") for path in free]
    never = [
        SimpleNamespace(mountpoint=kind, fstype=kind, opts="ro" if kind == "iso" else "rw") for kind in ("nfs4", "iso")
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: parts + never)

    def usage(path: str) -> Any:
        assert path in free
        return SimpleNamespace(total=1 << 40, free=free[path])

    monkeypatch.setattr(psutil, "disk_usage", usage)


NAMELESS = SparkError(
    "Job aborted due to stage failure", "Caused by: java.io.IOException: No space left on device\n\tat x"
)


def test_a_full_disk_without_a_path_names_the_file_systems_that_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    disks(monkeypatch, {"/": 1 << 38, "/disk": 0, "/scratch": 1 << 20})
    assert cause(NAMELESS) == NAMED.format("/disk, /scratch")


def test_a_full_disk_that_has_room_again_names_the_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    disks(monkeypatch, {"/": 1 << 38})
    monkeypatch.setenv("SPARK_LOCAL_DIRS", "/scratch")
    assert cause(NAMELESS) == NAMED.format("the disk of the store, or of temporary files (/scratch)")


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ('org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "gs"', r"gs://.*gcs-connector"),
        ("java.io.IOException: No FileSystem for scheme: s3", r"s3://.*s3a://"),
        (
            "java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found",
            r"s3a://.*hadoop-aws",
        ),
        ("ClassNotFoundException: Class com.example.OurFileSystem not found", r"for com\.example\.OurFileSystem: "),
        ('No FileSystem for scheme "dbfs"', r"^dbfs:/ exists on Databricks only"),
        ('No FileSystem for scheme "odd"', r"odd://: add its connector to the cluster"),
    ],
)
def test_a_missing_connector_is_told_with_what_to_do(said: str, wanted: str) -> None:
    for error in (SparkError("An error occurred while calling o1.sql.", said), SparkError(said)):
        told = cause(error)
        assert told is not None
        assert re.search(wanted, told), told
        assert "\n" not in told


@pytest.mark.parametrize(
    "error", [ValueError("x"), FileNotFoundError(2, "No such file", "/x"), SparkError("Job aborted")]
)
def test_other_errors_have_no_cause_that_is_known(error: Exception) -> None:
    assert cause(error) is None
