"""The protocol of every engine: requests go in one by one, completions come back in any order.

An engine pulls from the iterator of requests while earlier ones are still being answered, so that the end of an Arrow
batch never drains it, and holds at most its window of them, so that a task's memory does not grow with its partition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model.

    ``text`` is the document's or chunk's own text, without labels or template: what engines without a model read; some of
    them read ``doc_id``, or ``score``, the document's value in the column that the refiner names.
    ``token_ids`` is the whole prompt for engines with a model, template included (``None`` without a tokenizer).
    One prefill decides, and nothing is generated, where ``decision`` holds two token ids (keep, drop): the answer is
    ``keep_score``; or where ``positions`` holds places in ``token_ids``: the answer is ``scores``, P(keep) at each.
    Otherwise at most ``max_tokens`` are generated greedily, held to ``grammar`` (EBNF) if given.
    """

    id: int
    stage: Literal["document", "chunk"]
    text: str
    doc_id: str = ""
    score: str | None = None
    token_ids: list[int] | None = None
    max_tokens: int = 0
    decision: tuple[int, int] | None = None
    positions: list[int] | None = None
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer to the request of the same ``id``.

    ``finish`` is ``stop`` (the model ended), ``length`` (the token limit cut the output off) or ``error`` (this request
    alone failed: ``error`` says why). ``token_ids`` are the generated tokens where an engine returns those and the
    caller decodes; ``output`` is then ``None``. ``token_logprobs`` has one value for each generated token.
    ``output_tokens`` is their number where only that is known of them.
    ``keep_score`` is P(keep) in [0, 1]; ``scores`` are P(keep) for each line of a chunk's text, one for a document.
    """

    id: int
    output: str | None = None
    token_ids: list[int] | None = None
    token_logprobs: list[float] | None = None
    output_tokens: int | None = None
    keep_score: float | None = None
    scores: list[float] | None = None
    finish: Literal["stop", "length", "error"] = "stop"
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """How an engine was used while a stream lasted.

    ``seconds`` it was ready (its start is not counted), for ``busy_seconds`` of them with a request in flight, of any
    task. ``restarts`` are engines that died, ``retries`` requests that were sent again, ``repeated`` requests that got the
    answer of an equal one.
    """

    seconds: float = 0.0
    busy_seconds: float = 0.0
    restarts: int = 0
    retries: int = 0
    repeated: int = 0


class Engine(Protocol):
    """A source of completions. Used by one thread."""

    def stream(self, requests: Iterator[Request]) -> Iterator[Completion]:
        """Answer every request once, in any order. Raises ``EngineError`` beyond the engine's restart budget."""
        ...

    def usage(self) -> Usage:
        """What the streams so far have seen."""
        ...

    def close(self) -> None:
        """Release the resources of this side; a shared engine keeps serving the other tasks."""
        ...
