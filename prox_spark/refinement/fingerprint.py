"""The identity of a refinement: its refiners and its execution settings, not its input."""

import hashlib
import json
from typing import Any

from prox_spark.config.models import Config
from prox_spark.generation.plan import Refiners

_FIRST = frozenset(
    {
        *("mode", "drop_document_below", "drop_line_below", "min_confidence", "error_budget", "max_removed_share"),
        *("min_words", "max_repeats", "on_failed_chunk"),
    }
)
"""Execution settings of the first fingerprints: every fingerprint includes them, even at their default."""


def identity(config: Config, refiners: Refiners) -> dict[str, Any]:
    """Everything that the fingerprint covers, by configuration key.

    An execution setting added later is omitted at its default, so that a new setting leaves stored refinements as
    they are. A change of such a default needs a new version of the rules.
    """
    given = config.execution.model_dump(mode="json")
    semantics = given.pop("semantics")
    defaults = type(config.execution)().model_dump(mode="json")
    settings = {key: value for key, value in given.items() if key in _FIRST or value != defaults[key]}
    return {
        "document": refiners.document.refiner if refiners.document else None,
        "chunk": refiners.chunk.refiner if refiners.chunk else None,
        "chunk.min_keep_score": config.min_keep_score if refiners.chunk and refiners.document else None,
        **{f"execution.{key}": value for key, value in settings.items()},
        "semantics": semantics,
    }


def fingerprint(identity: dict[str, Any]) -> str:
    """Hex SHA-256 of the identity in canonical JSON."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def refinement_name(config: Config, digest: str) -> str:
    """The configured name, or the first 8 digits of the fingerprint."""
    return config.refinement or digest[:8]


_DEFAULT = "the default"


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The keys in which two identities differ, with both values."""
    keys = sorted({*old, *new})
    return [
        f"{key}: was {old.get(key, _DEFAULT)}, now {new.get(key, _DEFAULT)}"
        for key in keys
        if old.get(key) != new.get(key)
    ]
