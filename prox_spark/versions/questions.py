"""The library of questions: queries about a refinement that are asked often, by name, for ``sql``."""

import re
from collections.abc import Mapping

from prox_spark.errors import UsageError
from prox_spark.library import Library

QUESTIONS = Library("question", "questions", ".sql")

_LETTER = re.compile(r"@([A-Z])`")
"""The place of a refinement's name in a question, as in `` `refined@A` ``."""


def question(name: str, refinements: Mapping[str, str] | None = None) -> str:
    """The SELECT of a question; most ask the newest refinement.

    ``refinements`` names a refinement (``NAME`` or ``NAME:VERSION``) for each letter of a question about several.
    Raises ``ConfigError`` for an unknown question (the nearest name is shown), ``UsageError`` for a letter that has no
    refinement or that the question does not have.

    >>> "`refined@careful`" in question("dropped-by-one-only", {"A": "web-lines", "B": "careful"})
    True
    """
    text = QUESTIONS.read(name)
    given = refinements or {}
    letters = letters_of(name)
    if letters != sorted(given):
        wanted = " and ".join(f"{letter}=NAME" for letter in letters) or "none"
        raise UsageError(f"question {name}: needs refinements for {wanted}, got {', '.join(sorted(given)) or 'none'}")
    return _LETTER.sub(lambda found: f"@{given[found[1]]}`", text)


def letters_of(name: str) -> list[str]:
    """The letters of a question about several refinements, in order; empty for one about the newest."""
    return sorted(set(_LETTER.findall(QUESTIONS.read(name))))
