"""Parsing of the model's answers: scores with ProX's rule, and programs for chunks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, ValidationError

from prox_spark.annotation.prompts import OPERATIONS
from prox_spark.programs import Call, parse
from prox_spark.programs.grammar import MAX_CALLS

_SHOWN = 80

Model = TypeVar("Model", bound=BaseModel)


class MalformedError(Exception):
    """An answer that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Scores:
    """How much a document teaches and how clean it is, 0 to 5 each."""

    edu: int
    format: int


def keep_document(edu: int, format: int) -> bool:
    """ProX's rule for a document (arXiv 2409.17115): Edu score 3 or more; or 2, with a Format score of 4 or more."""
    return edu >= 3 or (edu == 2 and format >= 4)


_Mark = Annotated[int, Field(strict=True, ge=0, le=5)]


class _Scores(BaseModel):
    edu: _Mark
    format: _Mark


class _Program(BaseModel):
    program: Annotated[str, Field(strict=True)]


def read_scores(answer: str | None) -> Scores:
    """The scores in an answer. Raises ``MalformedError``."""
    read = _read(_Scores, answer)
    return Scores(read.edu, read.format)


def read_program(task: str, answer: str | None, lines: Sequence[str], first: int) -> list[Call]:
    """The calls of a task's program for a chunk: ``lines``, the document's from number ``first`` on.

    ``keep_chunk()`` alone gives no calls. Raises ``MalformedError`` for a call that does not parse or is not the task's,
    for lines that are not the chunk's, and for a string that does not occur in it: such a call was not written
    for this chunk.
    """
    calls = parse(_read(_Program, answer).program).calls
    if not calls:
        raise MalformedError("the program has no calls")
    if len(calls) > MAX_CALLS:
        raise MalformedError(f"the program has {len(calls)} calls, more than {MAX_CALLS}")
    for number, call in enumerate(calls):
        problem = _problem(task, call, lines, first)
        if problem:
            raise MalformedError(f"call {number}: {problem}")
    edits = [call for call in calls if call.operation != "keep_chunk"]
    if edits and len(edits) < len(calls):
        raise MalformedError("keep_chunk() must be the only call")
    return edits


def _problem(task: str, call: Call, lines: Sequence[str], first: int) -> str | None:
    if call.outcome != "ok":
        return call.outcome
    if call.operation not in OPERATIONS[task]:
        return f"{call.operation} is not allowed in this task"
    last = first + len(lines) - 1
    if call.line_start is not None and call.line_end is not None:
        if not first <= call.line_start <= call.line_end <= last:
            return f"lines {call.line_start} to {call.line_end} are not in {first} to {last}"
    elif call.operation == "normalize":
        source = call.source or ""
        if not source or not any(source in line for line in lines):
            return f"no line contains {source[:_SHOWN]!r}"
    return None


def _read(model: type[Model], answer: str | None) -> Model:
    """The JSON object in an answer, whatever a model without a schema wrote around it."""
    start, end = (answer or "").find("{"), (answer or "").rfind("}")
    if answer is None or not 0 <= start < end:
        raise MalformedError(f"no JSON object in {(answer or '')[:_SHOWN]!r}")
    try:
        return model.model_validate_json(answer[start : end + 1])
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, found["loc"]))
        raise MalformedError(f"{where}{': ' if where else ''}{found['msg']}") from None
