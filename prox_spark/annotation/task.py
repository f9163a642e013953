"""Annotation inside a Spark task: documents in, rows of ``annotations`` out, with the endpoint kept busy.

One stream of requests runs over all Arrow batches of a partition. A failed request becomes a failed row and affects no other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from prox_spark.annotation.answers import MalformedError, read_program, read_scores
from prox_spark.annotation.objects import is_plain
from prox_spark.annotation.prompts import Prompt, label, numbered
from prox_spark.config.annotate import AnnotateConfig
from prox_spark.engines.endpoint.chat import ChatEngine, ChatRequest, Reply
from prox_spark.generation.chunking import Chunk, cut
from prox_spark.programs import Call
from prox_spark.schemas import ANNOTATIONS

WANTED = pa.list_(pa.struct([("task", pa.string()), ("chunk", pa.int32())]))
"""A question about a document: a task and, if it is about a single chunk, that chunk's number."""

ANNOTATED = pa.schema([*ANNOTATIONS, ("mended", pa.bool_()), ("retries", pa.int64())])
"""Rows of ``annotations``; ``mended``: the answer is used though it was not just the JSON that was asked for; and in one row of
each task how many requests were sent again, null in the others."""

_ROWS = 500
_ERROR_CHARACTERS = 500


def annotate_documents(
    batches: Iterator[pa.RecordBatch], settings: AnnotateConfig, prompts: tuple[Prompt, ...]
) -> Iterator[pa.RecordBatch]:
    """The answers to what is wanted about the documents in ``batches``.

    Columns in: ``doc_id``, ``content_hash``, ``unit``, ``text`` and ``wanted`` (``WANTED``); out: ``ANNOTATED``. One row for
    each question; a document with nothing to send gets a ``skipped`` row for the task. Raises ``EngineError`` if the
    endpoint answers nothing at all.
    """
    engine = ChatEngine(
        settings.endpoint, structured=settings.structured, parameters=settings.parameters, section="annotate"
    )
    asking = _Asking(settings.endpoint.model, {prompt.task: prompt for prompt in prompts})
    for reply in engine.stream(asking.requests(batches)):
        # The last rows carry the usage, so some rows must remain for it.
        if len(asking.rows) >= _ROWS:
            yield asking.pack()
        asking.take(reply)
    if asking.rows:
        asking.rows[0]["retries"] = engine.usage().retries
        yield asking.pack()


@dataclass(slots=True)
class _Question:
    """The fields of a row that are known before its answer."""

    key: dict[str, Any]
    task: str
    chunk: int | None = None
    lines: list[str] | None = None
    first: int = 0


class _Asking:
    """Questions in flight and finished rows of one partition."""

    def __init__(self, model: str, prompts: dict[str, Prompt]) -> None:
        self._model = model
        self._prompts = prompts
        self._flying: dict[int, _Question] = {}
        self._count = 0
        self.rows: list[dict[str, Any]] = []

    def requests(self, batches: Iterator[pa.RecordBatch]) -> Iterator[ChatRequest]:
        """All questions about all documents; those that cannot be sent become rows immediately."""
        for batch in batches:
            for start in range(batch.num_rows):
                (row,) = batch.slice(start, 1).to_pylist()
                key = {name: row[name] for name in ("doc_id", "content_hash", "unit")}
                for task, numbers in _by_task(row["wanted"]).items():
                    yield from self._ask(key, row["text"], task, numbers)

    def take(self, reply: Reply) -> None:
        """Convert an answer to its row."""
        question = self._flying.pop(reply.id)
        used: dict[str, Any] = {
            "prompt_tokens": reply.prompt_tokens,
            "output_tokens": reply.output_tokens,
            "answer": reply.text,
        }
        if reply.outcome in ("failed", "refused"):
            self._row(question, reply.outcome, error=reply.error, **used)
            return
        try:
            if reply.outcome == "cut":
                raise MalformedError("the answer was cut off by the token limit")
            found = _read(question, reply.text)
        except MalformedError as error:
            self._row(question, "malformed", error=str(error), **used)
        else:
            self._row(question, "ok", mended=not is_plain(reply.text or ""), **found, **used)

    def pack(self) -> pa.RecordBatch:
        """Yield the finished rows."""
        rows, self.rows = self.rows, []
        return pa.RecordBatch.from_pylist(rows, schema=ANNOTATED)

    def _ask(self, key: dict[str, Any], text: str | None, task: str, numbers: set[int] | None) -> Iterator[ChatRequest]:
        """The questions of a task about a document: about all of its chunks, or those of these ``numbers``."""
        prompt = self._prompts[task]
        if text is None or not text.strip():
            self._row(_Question(key, task), "skipped")
        elif not prompt.of_chunks:
            yield self._send(prompt, _Question(key, task), text[: prompt.limit])
        else:
            lines = text.split("\n")
            chunks = chunks_of(lines, prompt.limit)
            if not chunks:
                self._row(_Question(key, task), "skipped")
            for number, chunk in enumerate(chunks):
                if numbers is None or number in numbers:
                    own = lines[chunk.line_start : chunk.line_end + 1]
                    question = _Question(key, task, number, own, chunk.line_start)
                    yield self._send(prompt, question, numbered(own, chunk.line_start))

    def _send(self, prompt: Prompt, question: _Question, page: str) -> ChatRequest:
        self._count += 1
        self._flying[self._count] = question
        return prompt.request(self._count, page)

    def _row(self, question: _Question, status: str, *, error: str | None = None, **values: Any) -> None:
        lines = question.lines
        self.rows.append(
            {
                **question.key,
                "task": question.task,
                "chunk": question.chunk,
                "prompt_version": self._prompts[question.task].version,
                "model": self._model,
                "line_start": None if lines is None else question.first,
                "line_end": None if lines is None else question.first + len(lines) - 1,
                "status": status,
                "error": error[:_ERROR_CHARACTERS] if error else None,
                "created_at": datetime.now(UTC),
                **values,
            }
        )


def chunks_of(lines: list[str], limit: int) -> list[Chunk]:
    """A document's chunks of at most ``limit`` characters, labels and line ends counted."""
    costs = [len(label(number)) + len(line) + 1 for number, line in enumerate(lines)]
    return cut(lines, [None if cost > limit else cost for cost in costs], (), limit)


def _by_task(wanted: list[dict[str, Any]]) -> dict[str, set[int] | None]:
    """The wanted chunks of each task; None means all."""
    found: dict[str, set[int] | None] = {}
    for one in wanted:
        numbers = found.setdefault(one["task"], set())
        if one["chunk"] is None or numbers is None:
            found[one["task"]] = None
        else:
            numbers.add(one["chunk"])
    return found


def _read(question: _Question, answer: str | None) -> dict[str, Any]:
    """The columns filled from an answer. Raises ``MalformedError``."""
    if question.lines is None:
        scores = read_scores(answer)
        return {"edu": scores.edu, "format": scores.format}
    calls = read_program(question.task, answer, question.lines, question.first)
    return {"calls": [_struct(call) for call in calls]}


def _struct(call: Call) -> dict[str, Any]:
    names = ("operation", "line_start", "line_end", "source", "target", "outcome")
    return {name: getattr(call, name) for name in names}
