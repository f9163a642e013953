"""``manifest.json``: the source of an export, and its files with counts and hashes. Reproducible: no time, no path."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from prox_spark import __version__
from prox_spark.errors import UsageError

_WHAT = ("format", "refinement", "version", "fingerprint", "raw", "seed", "counts")
"""Keys that must be equal in two exports for their files to be the same, apart from package version and tokenizer."""


def manifest(
    what: Mapping[str, Any], tokenizer: Mapping[str, Any] | None, dtype: str | None, files: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The manifest as an object. ``what`` has the keys that identify the export, ``files`` the file entries."""
    tokens = tokenizer is not None
    return {
        **{name: what[name] for name in _WHAT},
        "package_version": __version__,
        "documents": sum(file["documents"] for file in files),
        "characters": sum(file["characters"] for file in files),
        "tokens": sum(file["tokens"] for file in files) if tokens else None,
        "tokenizer": tokenizer,
        "dtype": dtype,
        "verified": sum(file["verified"] for file in files) if tokens else None,
        "inexact": sum(file["inexact"] for file in files) if tokens else None,
        "files": [{key: value for key, value in file.items() if key not in ("verified", "inexact")} for file in files],
    }


def encoded(found: Mapping[str, Any]) -> bytes:
    """The bytes of the manifest file."""
    return (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()


def check_same(
    written: bytes, what: Mapping[str, Any], tokenizer: Mapping[str, Any] | None, documents: int, where: str
) -> dict[str, Any]:
    """The manifest of a finished export of the same request. Raises ``UsageError`` if the export is a different one."""
    try:
        there = json.loads(written)
        digests = (there["tokenizer"] or {}).get("sha256")
        differing = [name for name in _WHAT if there.get(name) != what[name]]
        if there["documents"] != documents:
            differing.append("documents")
        named = f"{there['refinement']}:{there['version']} as {there['format']}"
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{where} has a manifest.json that was not written by export; name another folder") from None
    if digests != (None if tokenizer is None else tokenizer["sha256"]):
        differing.append("tokenizer")
    if differing:
        raise UsageError(
            f"{where} has another export ({named}; different {', '.join(differing)}); name another folder, or move it away"
        )
    found: dict[str, Any] = there
    return found
