"""What makes a refinement the same refinement: its refiners and its execution settings, not its input."""

import hashlib
import json
from typing import Any

from prox_spark.config.models import Config
from prox_spark.execution import SEMANTICS
from prox_spark.generation.plan import Plans


def identity(config: Config, plans: Plans) -> dict[str, Any]:
    """Everything that the fingerprint covers, by configuration key."""
    return {
        "document": plans.document.fingerprint if plans.document else None,
        "chunk": plans.chunk.fingerprint if plans.chunk else None,
        "chunk.min_keep_score": config.min_keep_score if plans.chunk and plans.document else None,
        **{f"execution.{key}": value for key, value in config.execution.model_dump(mode="json").items()},
        "semantics": SEMANTICS,
    }


def fingerprint(identity: dict[str, Any]) -> str:
    """Hex SHA-256 of the identity in canonical JSON."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def refinement_name(config: Config, digest: str) -> str:
    """The configured name, or the first 8 digits of the fingerprint."""
    return config.refinement or digest[:8]


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The keys in which two identities differ, each with both values."""
    keys = sorted({*old, *new})
    return [f"{key}: {old.get(key)} there, {new.get(key)} here" for key in keys if old.get(key) != new.get(key)]
