"""Compiles kernels, and caches the machine code in a folder that is named by a digest of its sources.

Numba checks only one file, that of the function called from Python, before it reuses cached code: it would keep using old
code of all other modules. Here the folder's name is a digest of the sources of all packages with kernels and of the versions
that compile them. Changed sources get a new folder, so a folder never has stale code.
"""

import functools
import hashlib
import os
import platform
import re
import shutil
import warnings
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache

from prox_spark.private import make_private

F = TypeVar("F", bound=Callable[..., Any])

PACKAGES = ("programs", "execution", "rules", "selection", "duplicates")
"""The packages with kernels, and with all modules of this project that kernels import."""
KEPT = 4
"""Number of digests whose folders are kept, for other checkouts and other versions of Python."""
_DIGEST = re.compile(r"[0-9a-f]{32}")


@functools.cache
def digest() -> str:
    """Digest of the sources of ``PACKAGES`` and the versions of Python, NumPy, Numba and LLVM."""
    versions = (platform.python_version(), np.__version__, numba.__version__, llvmlite.__version__)
    found = hashlib.sha256(repr(versions).encode())
    for package in PACKAGES:
        files = sorted((resources.files("prox_spark") / package).iterdir(), key=lambda file: file.name)
        for file in files:
            if file.name.endswith((".py", ".pyc")):
                content = file.read_bytes()
                found.update(f"{package}/{file.name} {len(content)}\n".encode())
                found.update(content)
    return found.hexdigest()[:32]


@functools.cache
def cache_folder() -> Path | None:
    """The folder for this process's machine code; ``None``, with a warning, if no folder can be trusted or written to.

    It is below ``NUMBA_CACHE_DIR`` if that is set, else beside the package, else in the user's cache folder.
    """
    reasons = []
    for parent in _parents():
        try:
            return _open(parent.resolve() / f"prox_spark-kernels-{os.getuid()}")
        except OSError as error:
            reasons.append(str(error))
    warnings.warn(
        f"prox_spark compiles its kernels in every process, which takes minutes: {'; '.join(reasons)}; set NUMBA_CACHE_DIR to "
        "a folder that belongs to you and that nobody else can write to or replace",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def _parents() -> list[Path]:
    if numba.config.CACHE_DIR:
        return [Path(numba.config.CACHE_DIR)]
    beside = Path(__file__).resolve().parents[1] / "__pycache__"
    try:
        return [beside, Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()]
    except RuntimeError:  # This user has no home.
        return [beside]


def _open(root: Path) -> Path:
    """The digest's folder below ``root``. If it is new, folders of older digests are removed. Raises ``OSError``."""
    folder = root / digest()
    is_new = not folder.exists()
    _make(folder)
    if is_new:
        others = [other for other in root.iterdir() if _DIGEST.fullmatch(other.name) and other != folder]
        for other in sorted(others, key=_changed, reverse=True)[KEPT - 1 :]:
            shutil.rmtree(other, ignore_errors=True)
    elif not os.access(folder, os.W_OK) and not any(folder.glob("*.nbi")):
        raise PermissionError(f"{folder} is empty and cannot be written to")
    return folder


def _changed(folder: Path) -> float:
    """The time of the last write to the folder, which another process may remove at any time."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _make(folder: Path) -> None:
    """Create the folder and its parent, for this user only. Raises ``OSError`` if others could write to one of them.

    Numba unpickles the cached files: anyone who can write to the folder can run code in this process.
    """
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    make_private(folder.parent)
    make_private(folder)


class _Locator:
    """Gives Numba's cache the folder of a function's machine code; code in the folder is always current."""

    def __init__(self, folder: Path, function: Callable[..., Any]) -> None:
        self._folder, self._py_file = folder, function.__code__.co_filename

    def ensure_cache_path(self) -> None:
        """Create the folder if it was removed."""
        _make(self._folder)

    def get_cache_path(self) -> str:
        """The folder."""
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """The stamp that Numba compares with an index's; it never changes within a folder."""
        return digest()


class _Implementation(CompileResultCacheImpl):  # type: ignore[misc]
    """Numba's cache implementation, with our folder and file names from module and function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        folder = cache_folder()
        assert folder is not None
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Locator(folder, function)
        self._filename_base = f"{function.__module__}.{function.__qualname__}"


class _Cache(FunctionCache):  # type: ignore[misc]
    _impl_class = _Implementation

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store compiled code. If the disk is full, this process continues, and the next one compiles again."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            warnings.warn(f"compiled code of {self._name} is not cached: {error}", RuntimeWarning, stacklevel=2)


inner: Callable[[F], F] = numba.njit(error_model="numpy")
"""Compiles a function that only other kernels call."""


def entry(function: F) -> F:
    """Compiles a function that Python calls; the machine code of everything it uses is cached with it."""
    compiled: Any = numba.njit(error_model="numpy", nogil=True)(function)
    if cache_folder() is not None:
        compiled._cache = _Cache(function)
    found: F = compiled
    return found
