"""Settings of ``strict`` execution, and the version number of its semantics."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from prox_spark.errors import ConfigError
from prox_spark.programs.operations import NEWEST
from prox_spark.section import Section, Share
from prox_spark.suggest import unknown

Mode = Literal["strict", "compat"]
"""Both executors: the rules of ``docs/programs.md``, or what ProX published."""

Semantics = Literal[1, 2, 3]
SEMANTICS: Semantics = NEWEST
"""The newest version of the rules in ``docs/programs.md``: the default for new refinements. The version is part of a
refinement's fingerprint, and old versions are kept: a stored refinement keeps its meaning, and continues with its version. A
changed rule needs a new version."""


class Thresholds(Section):
    """Guards and thresholds of ``strict`` mode, each with its default and bounds. ``compat`` has ProX's own numbers."""

    error_budget: Annotated[int, Field(ge=0)] = 1
    """Wrong calls (malformed, unknown, out of range) that a chunk's program may have; with more it has no effect (guard
    ``error_budget``)."""
    max_removed_share: Share = 0.95
    """A document whose programs remove at least this share of its words is dropped (reason ``removed_share``)."""
    min_words: Annotated[int, Field(ge=0)] = 10
    """A document that its programs shorten to this many words or fewer is dropped (reason ``too_short``). Each character of a
    script that is written without spaces is a word."""
    max_repeats: Annotated[int, Field(ge=1)] = 8
    """Times that a chunk's program may make the same call, which is applied once; with more the program has no effect (guard
    ``loop``)."""
    drop_line_below: Share = 0.5
    """A line whose score, P(keep), is below this is removed, where the chunk stage scores lines."""
    min_confidence: Share = 0.0
    """A call whose confidence is below this is ignored, and not counted as an error."""
    semantics: Semantics = SEMANTICS
    """Version of the rules. ``2`` reads programs as models write them (prose, think tags, other names of arguments), and wrong
    calls void a program only if they outnumber the good ones. ``3`` also reads tags of more models, and line ends as UltraX's
    models write them. If not set, a refinement that exists keeps its version."""


class ExecutionSettings(Thresholds):
    """``Thresholds`` for callers of ``execute`` and ``execute_batch``: a wrong name or value raises ``ConfigError``.

    >>> ExecutionSettings(max_repeats=3).max_repeats
    3
    """

    # Callers and type checkers see the signature that pydantic derives from the fields.
    if not TYPE_CHECKING:

        def __init__(self, /, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise ConfigError("; ".join(map(_explain, error.errors()))) from None


class Limits(NamedTuple):
    """``Thresholds`` for the kernels."""

    error_budget: int
    max_removed_share: float
    min_words: int
    max_repeats: int
    drop_line_below: float
    min_confidence: float
    semantics: int


def limits(settings: Thresholds) -> Limits:
    """The settings for the kernels."""
    return Limits(*(getattr(settings, name) for name in Limits._fields))


def _explain(error: Any) -> str:
    (name,) = error["loc"]
    if error["type"] == "extra_forbidden":
        return unknown("setting of execution", name, Thresholds.model_fields)
    return f"execution.{name} is {error['input']!r}: {error['msg']}"
