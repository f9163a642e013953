"""The ``rules`` engine: programs written by classic heuristics over the text alone, no model."""

from collections.abc import Iterator

from prox_spark.engines.heuristics import (
    DEFAULT_DOCUMENT_RULES,
    DEFAULT_LINE_RULES,
    DOCUMENT_RULES,
    LINE_RULES,
    drop_reason,
    removed_runs,
)
from prox_spark.engines.protocol import Completion, Request, Usage
from prox_spark.errors import ConfigError


def select_rules(stage: str, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """The rules that ``stage`` applies: ``names``, or the stage's defaults.

    Raises ``ConfigError`` where a name is a rule of the other stage.
    """
    known, default = (
        (DOCUMENT_RULES, DEFAULT_DOCUMENT_RULES) if stage == "document" else (LINE_RULES, DEFAULT_LINE_RULES)
    )
    chosen = default if names is None else names
    for name in chosen:
        if name not in known:
            raise ConfigError(f"{stage}.engine.rules: {name!r} is no rule of this stage; known: {', '.join(known)}")
    return chosen


class RulesEngine:
    """Answers at once: ``remove_lines`` runs or ``keep_chunk()`` for a chunk, ``drop_doc()`` or ``keep_doc()``."""

    def __init__(self, stage: str, rules: tuple[str, ...]) -> None:
        self._stage = stage
        self._names = rules
        self._line_rules = tuple(LINE_RULES[name] for name in rules) if stage == "chunk" else ()

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """Answer each request before the next is pulled."""
        for request in requests:
            yield Completion(id=request.id, output=self._program(request.text))

    def usage(self) -> Usage:
        """Nothing is measured: it answers in the task itself."""
        return Usage()

    def close(self) -> None:
        """Nothing is held."""

    def _program(self, text: str) -> str:
        if self._stage == "document":
            return "drop_doc()" if drop_reason(text, self._names) else "keep_doc()"
        runs = removed_runs(text, self._line_rules)
        if not runs:
            return "keep_chunk()"
        return "\n".join([f"remove_lines(start={first}, end={last})" for first, last in runs])
