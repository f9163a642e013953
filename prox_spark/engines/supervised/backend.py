"""The interface of a model engine inside the supervisor."""

from typing import Protocol

from prox_spark.engines.supervised import wire


class EngineDiedError(Exception):
    """Raised by a backend whose engine is dead: all open requests are lost."""


class Backend(Protocol):
    """A loaded model inside the supervisor."""

    async def answer(self, asked: wire.Question) -> wire.Answer:
        """Answer one question; many are open at once. Raises ``EngineDiedError``, or whatever fails this one alone."""
        ...

    def dead(self) -> str | None:
        """Why the engine is dead, or ``None`` while it lives."""
        ...
