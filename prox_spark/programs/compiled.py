"""Compiling kernels, and keeping the machine code in a folder that is named by what it was made from.

Numba alone takes cached code for fresh as long as one file, that of the function called from Python, is unchanged: it would
go on using old code of every other module. Here the folder's name is a digest of the sources of all packages that hold
kernels and of the versions that compile them. Other sources are another folder, so nothing in a folder is ever stale.
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
"""The packages that hold kernels, and everything of this project that kernels import."""
KEPT = 4
"""Folders of this many digests are kept: other checkouts, other versions of Python."""
_DIGEST = re.compile(r"[0-9a-f]{32}")


@functools.cache
def digest() -> str:
    """What the kernels are made from: the sources of ``PACKAGES``, and the versions of Python, NumPy, Numba and LLVM."""
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
    """Where this process keeps machine code; ``None``, with a warning, where no folder can be trusted or written to.

    Below ``NUMBA_CACHE_DIR`` where that is set, else beside the package, else in the user's cache folder.
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
    """The digest's folder below ``root``. Where it is new, folders of older digests go. Raises ``OSError``."""
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
    """When something was last written there; another process may remove the folder at any time."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _make(folder: Path) -> None:
    """Make the folder and the one around it, for this user alone. Raises ``OSError`` where others could write to one.

    What is loaded from it is unpickled: whoever can write there can run code here.
    """
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    make_private(folder.parent)
    make_private(folder)


class _Locator:
    """Tells Numba's cache where a function's machine code is; the folder alone says whether it is fresh."""

    def __init__(self, folder: Path, function: Callable[..., Any]) -> None:
        self._folder, self._py_file = folder, function.__code__.co_filename

    def ensure_cache_path(self) -> None:
        """Make the folder again where it is gone."""
        _make(self._folder)

    def get_cache_path(self) -> str:
        """The folder."""
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """What an index was written for."""
        return digest()


class _Implementation(CompileResultCacheImpl):  # type: ignore[misc]
    """Numba's way to store machine code, in our folder and under the name of module and function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        folder = cache_folder()
        assert folder is not None
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Locator(folder, function)
        self._filename_base = f"{function.__module__}.{function.__qualname__}"


class _Cache(FunctionCache):  # type: ignore[misc]
    _impl_class = _Implementation

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store what was compiled. A full disk costs the next process its time, not this one its result."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            warnings.warn(f"compiled code of {self._name} is not kept: {error}", RuntimeWarning, stacklevel=2)


inner: Callable[[F], F] = numba.njit(error_model="numpy")
"""Compiles a function that only other kernels call."""


def entry(function: F) -> F:
    """Compiles a function that Python calls; the machine code of everything it uses is cached with it."""
    compiled: Any = numba.njit(error_model="numpy", nogil=True)(function)
    if cache_folder() is not None:
        compiled._cache = _Cache(function)
    found: F = compiled
    return found
