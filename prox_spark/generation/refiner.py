"""A refiner: everything that affects prompts and answers, and its fingerprint."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Literal

from prox_spark.generation.templates import template

Stage = Literal["document", "chunk"]
Numbering = Literal["document", "chunk", "none"]


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a configuration sets in place of the refiner's own values; null leaves those."""

    template: str | None = None
    window: int | None = None
    max_tokens: int | None = None
    grammar: bool | None = None


@dataclass(frozen=True, slots=True)
class Refiner:
    """What writes a stage's programs.

    ``kind`` is the engine's kind where no model is asked, ``model`` otherwise: which engine runs a model changes nothing.

    ``sources`` are (name, sha256) of the files or answers that it consists of; rules have their version there, engines
    without files their settings, and a model at an endpoint its name in place of its weights. ``window`` is the number of
    tokens of a chunk (document stage: of a document, which is cut there); 0 where nothing is counted. ``decision`` are the
    two words whose first tokens' probabilities decide (keep, drop); without them a program is generated, of at most
    ``max_tokens`` tokens, held to ``grammar`` (EBNF) where there is one. ``label`` is the class that a token classifier
    scores instead. ``numbering`` says whether line labels count through the document or from each chunk's
    first line, or whether there are none. ``options`` are (name, canonical JSON) of engine options that change answers
    (``config.engines.HARMLESS_OPTIONS`` do not). ``at_end``: a document's label is read at its last token, as by a causal model,
    and not at its first. ``system`` is the instruction that templates put before the chunk.
    """

    stage: Stage
    name: str
    kind: str
    sources: tuple[tuple[str, str], ...]
    revision: str | None = None
    template: str | None = None
    numbering: Numbering = "document"
    window: int = 0
    context: int = 0
    max_tokens: int = 0
    decision: tuple[str, str] | None = None
    label: int | None = None
    grammar: str | None = None
    rules: tuple[str, ...] = ()
    lines_per_chunk: int | None = None
    options: tuple[tuple[str, str], ...] = ()
    at_end: bool = False
    system: str | None = None


@dataclass(frozen=True, slots=True)
class RefinerId:
    """A refiner as the tables know it: enough to find its programs and to apply them. ``refiner`` is its fingerprint."""

    stage: Stage
    name: str
    refiner: str
    numbering: Numbering = "document"


_FIRST = frozenset(
    {
        *("stage", "kind", "sources", "revision", "template", "numbering", "window", "context", "max_tokens"),
        *("decision", "label", "grammar", "rules", "lines_per_chunk"),
    }
)
"""Fields that every fingerprint has had since the first: these stand in it whatever their value."""


def definition(refiner: Refiner) -> str:
    """Canonical JSON of all that changes a refiner's answers: everything but its name; the template by its text.

    A field that came later is left out at its default, so that a new field leaves stored fingerprints as they are.
    """
    parts = asdict(refiner)
    del parts["name"]
    parts["template"] = template(refiner.template).text() if refiner.template else None
    for field in fields(refiner):
        if field.name not in _FIRST and parts.get(field.name) == field.default:
            parts.pop(field.name, None)
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def fingerprint(refiner: Refiner) -> str:
    """sha256 (hex) of the refiner's ``definition``."""
    return hashlib.sha256(definition(refiner).encode("ascii")).hexdigest()
