"""Parsing of the model's answers: scores with ProX's rule, and programs for chunks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from prox_spark.annotation.objects import find_object
from prox_spark.annotation.prompts import OPERATIONS
from prox_spark.execution.settings import SEMANTICS
from prox_spark.programs import Call, parse, render
from prox_spark.programs.grammar import MAX_CALLS

_SHOWN = 80
_OF_FIVE = re.compile(r"\s*/\s*5\s*\Z")
_HALF = re.compile("[\ud800-\udfff]")

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


def _whole(value: Any) -> Any:
    """A whole number in any notation: ``"3"``, ``3.0`` and ``"3/5"`` are 3."""
    try:
        number = float(_OF_FIVE.sub("", value)) if isinstance(value, str) else value
    except ValueError:
        return value
    return int(number) if isinstance(number, float) and number.is_integer() else value


_Mark = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=0, le=5)]


class _Scores(BaseModel):
    edu: _Mark
    format: _Mark


def _joined(value: Any) -> Any:
    """A program whose calls are a list."""
    return "\n".join(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else value


class _Program(BaseModel):
    program: Annotated[str, BeforeValidator(_joined), Field(strict=True)]


def read_scores(answer: str | None) -> Scores:
    """The scores in an answer; see ``find_object`` for how they may be written. Raises ``MalformedError``."""
    read = _read(_Scores, answer)
    return Scores(read.edu, read.format)


def read_program(task: str, answer: str | None, lines: Sequence[str], first: int) -> list[Call]:
    """The calls of a task's program for a chunk: ``lines``, the document's from number ``first`` on.

    ``keep_chunk()`` alone gives no calls. Raises ``MalformedError`` for a call that does not parse or that the task does
    not allow, for lines outside of the chunk, and for a string that does not occur in it: such a call was not written for
    this chunk.
    """
    calls = parse(_program(answer)).calls
    if any(_HALF.search(f"{call.source or ''}{call.target or ''}") for call in calls):
        raise MalformedError("the program has half of a surrogate pair")
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


def _program(answer: str | None) -> str:
    """The program's text: in an object, in an object within that object, or without any object."""
    try:
        program = _read(_Program, answer).program
    except MalformedError:
        # Without any object, the answer is accepted if it consists only of calls, as models write them.
        bare = parse(answer or "", SEMANTICS)
        if not bare.calls or any(call.outcome != "ok" for call in bare.calls):
            raise
        return render(bare)
    return _read(_Program, program).program if program.lstrip().startswith("{") else program


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
    """The object in an answer, without the text that a model without a schema writes around it."""
    found = find_object(answer or "", model.model_fields)
    if found is None:
        raise MalformedError(f"no JSON object in {(answer or '')[:_SHOWN]!r}")
    try:
        return model.model_validate(found)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise MalformedError(f"{where}{': ' if where else ''}{problem['msg']}") from None
