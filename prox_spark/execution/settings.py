"""What a user may set about ``strict`` execution, and the number of its semantics."""

import math
from dataclasses import dataclass, fields

from prox_spark.errors import ConfigError

SEMANTICS: int = 1
"""Number of the rules in ``docs/programs.md``: part of a refinement's fingerprint, it rises when a rule changes."""


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """Guards and thresholds of ``strict`` mode. ``compat`` has ProX's own numbers and takes none of these.

    ``error_budget``: wrong calls (malformed, unknown, out of range) that a chunk's program may have before it has no
    effect (guard ``error_budget``). 1 is what ProX allows, though for a whole document: its executor gives up at 2.

    ``max_removed_share``: a document is dropped (reason ``removed_share``) when its program leaves at most
    ``1 - max_removed_share`` of its words. 0.95 is ``threshold_2`` of ProX's executor.

    ``min_words``: a document is dropped (reason ``too_short``) when its program leaves it this many words or fewer and
    it had more. 10 is the number in ProX's executor, which credits FineWeb. Every character of a script that is
    written without spaces is a word.

    ``max_repeats``: a call that equals an earlier one of its chunk is not applied again; more than this many equal
    calls void the program (guard ``loop``). A greedy model that repeats itself does so until the token limit; 8 leaves
    room for a stutter.

    ``drop_line_below``: a line whose score, P(keep), is below this is removed.

    ``min_confidence``: a call whose confidence is below this is ignored, and is no error.

    Raises ``ConfigError`` for a value outside its range.
    """

    error_budget: int = 1
    max_removed_share: float = 0.95
    min_words: int = 10
    max_repeats: int = 8
    drop_line_below: float = 0.5
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        for name, low in (("error_budget", 0), ("min_words", 0), ("max_repeats", 1)):
            if getattr(self, name) < low:
                raise ConfigError(f"execution.{name} is {getattr(self, name)}: it must be at least {low}")
        if not 0.0 <= self.max_removed_share <= 1.0:
            raise ConfigError(f"execution.max_removed_share is {self.max_removed_share}: it is a share, from 0 to 1")
        for field in fields(self):
            if math.isnan(getattr(self, field.name)):
                raise ConfigError(f"execution.{field.name} is not a number")
