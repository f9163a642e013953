"""Finished rows of ``programs``: Python values until a batch is full, Arrow from then on; programs are judged here."""

import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prox_spark.engines.protocol import Completion
from prox_spark.execution.settings import SEMANTICS
from prox_spark.generation.plan import StagePlan
from prox_spark.generation.templates import template
from prox_spark.programs import parse, parse_batch
from prox_spark.programs.written import DECISIONS, decision
from prox_spark.schemas import CALL, PROGRAMS

_ROWS = 1000
"""Rows of an output batch; ``mapInArrow`` is fastest around a thousand."""

_ERROR_CHARACTERS = 500

Key = tuple[str, str | None, int | None]
"""doc_id, content_hash and unit of a row's document."""

_ROW = (
    *("doc_id", "content_hash", "unit", "chunk", "line_start", "line_end", "status", "keep_score"),
    *("prompt_tokens", "output_tokens", "output", "line_scores", "error"),
)
_CONFIDENCE = CALL.get_field_index("confidence")


class Rows:
    """The rows of one partition, in the order in which their documents were complete."""

    def __init__(self, plan: StagePlan) -> None:
        self._plan = plan
        self._rows: list[tuple[Any, ...]] = []
        self._confidences: list[list[float] | None] = []
        self._batches: list[pa.RecordBatch] = []

    def full(self) -> bool:
        """Whether a whole batch is there."""
        return bool(self._batches)

    def flush(self, *, everything: bool = False) -> Iterator[pa.RecordBatch]:
        """Hand out whole batches, and the last unfinished one too where it is time for ``everything``."""
        if everything and self._rows:
            self._pack()
        batches, self._batches = self._batches, []
        yield from batches

    def add_without_answer(self, key: Key, status: str, error: str | None) -> None:
        """A row of a document that asked nothing."""
        self._add(key, 0, None, None, (status, None, 0, 0, None, None, error))

    def add_answer(
        self,
        key: Key,
        number: int,
        covered: tuple[int, int] | None,
        completion: Completion,
        prompt_tokens: int,
        output: str | None,
        ends: list[int] | None,
    ) -> None:
        """The row of one chunk's (or the document's) answer; its program is judged when the batch is packed.

        ``output`` is what the model wrote, ``ends`` where each generated token ends in it (null where that is unknown).
        """
        error = None
        confidences = _call_confidences(output, ends, completion.token_logprobs)
        if completion.finish == "error":
            status, output, error = "failed", None, completion.error or "the engine gave no reason"
        elif completion.keep_score is not None or completion.scores is not None:
            status = "ok"
        elif not output:
            status = "empty"
        else:
            status = "truncated" if completion.finish == "length" else "ok"
        output_tokens = completion.output_tokens
        if output_tokens is None:
            output_tokens = len(completion.token_ids or ())
        keep_score, scores = completion.keep_score, completion.scores
        if scores is not None:
            expected = 1 if covered is None else covered[1] - covered[0] + 1
            if len(scores) != expected or any(map(math.isnan, scores)):
                what = "lines" if covered else "document"
                status, error = "failed", f"the model gave {len(scores)} scores ({scores[:3]}…) for {expected} {what}"
                scores = None
            elif covered is None:
                keep_score, scores = scores[0], None
        if keep_score is not None and math.isnan(keep_score):
            status, error, keep_score = "failed", "the model's score is not a number", None
        short = error[:_ERROR_CHARACTERS] if error else None
        values = (status, keep_score, prompt_tokens, output_tokens, output, scores, short)
        self._add(key, number, covered, confidences, values)

    def _add(
        self,
        key: Key,
        number: int,
        covered: tuple[int, int] | None,
        confidences: list[float] | None,
        values: tuple[Any, ...],
    ) -> None:
        self._rows.append((*key, number, *(covered or (None, None)), *values))
        self._confidences.append(confidences)
        if len(self._rows) >= _ROWS:
            self._pack()

    def _pack(self) -> None:
        """Turn the rows into an Arrow batch; here all their programs are parsed at once."""
        columns = map(list, zip(*self._rows, strict=True))
        values: dict[str, Any] = dict(zip(_ROW, columns, strict=True))
        count = len(self._rows)
        confidences, self._rows, self._confidences = self._confidences, [], []
        outputs = pa.array(values["output"], pa.string())
        # What the refiner calls its first line is line 0 here.
        first = template(self._plan.refiner.template).first_line if self._plan.refiner.template else 0
        from_chunk = self._plan.refiner.numbering == "chunk" and self._plan.stage == "chunk"
        offsets = [(start or 0) * from_chunk - first for start in values["line_start"]]
        calls = parse_batch(outputs, pa.array(offsets, pa.int64()))
        calls = _with_confidences(calls, confidences)
        decides = DECISIONS if self._plan.stage == "document" else SEMANTICS
        self._judge(values, calls, parse_batch(outputs, semantics=decides))
        values["calls"] = calls
        values["line_offset"] = offsets
        values["stage"] = [self._plan.stage] * count
        values["refiner"] = [self._plan.fingerprint] * count
        arrays = [pa.array(values[field.name], field.type) for field in PROGRAMS if field.name != "calls"]
        arrays.insert(PROGRAMS.get_field_index("calls"), calls)
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=PROGRAMS))

    def _judge(self, values: dict[str, list[Any]], calls: pa.ListArray, as_written: pa.ListArray) -> None:
        """Settle what only the parsed calls tell: a chunk's ``invalid``, a document's ``keep_score`` or failure.

        ``calls`` are those that version 1 of the rules reads. Those ``as_written`` are more in a chunk's answer; of a document's
        they alone decide, as they see no call in thoughts or behind the end of the answer.
        """
        if self._plan.stage == "chunk":
            good = _rows_with(calls) | _rows_with(as_written)
            for row, status in enumerate(values["status"]):
                if status == "ok" and values["output"][row] is not None and row not in good:
                    values["status"][row] = "invalid"
            return
        keep, drop = (_rows_with(as_written, operation) for operation in ("keep_doc", "drop_doc"))
        for row, status in enumerate(values["status"]):
            if status not in ("ok", "empty", "truncated") or values["keep_score"][row] is not None:
                continue
            answer = values["output"][row] or ""
            said = "drop" if row in drop else "keep" if row in keep else decision(answer, cut=status == "truncated")
            if said is not None:
                values["keep_score"][row] = 0.0 if said == "drop" else 1.0
                values["status"][row] = "ok"
            else:
                values["status"][row] = "failed"
                values["error"][row] = f"no keep_doc() or drop_doc() in the answer {answer[:100]!r}"


def _rows_with(calls: pa.ListArray, operation: str | None = None) -> set[int]:
    """The rows with a call that can be executed, of this operation where one is named."""
    flat = calls.flatten()
    found = pc.equal(flat.field("outcome"), "ok")
    if operation is not None:
        found = pc.and_(found, pc.equal(flat.field("operation"), operation))
    return set(pc.list_parent_indices(calls).filter(found).to_pylist())


def _call_confidences(output: str | None, ends: list[int] | None, logprobs: list[float] | None) -> list[float] | None:
    """The probability that the model gave each call, all before it given: of the tokens that the call is written with."""
    if not output or ends is None or logprobs is None or len(ends) != len(logprobs):
        return None
    found, token = [], 0
    for call in parse(output).calls:
        while token < len(ends) and ends[token] <= call.start:
            token += 1
        total = 0.0
        while token < len(ends):
            total += logprobs[token]
            if ends[token] >= call.end:
                break
            token += 1
        found.append(math.exp(min(total, 0.0)))
    return found


def _with_confidences(calls: pa.ListArray, confidences: list[list[float] | None]) -> pa.ListArray:
    """The parsed calls of all rows with their confidences, where a row has any."""
    if not any(confidences):
        return calls
    counts = pc.fill_null(pc.list_value_length(calls), 0).to_pylist()
    flat: list[float | None] = []
    for count, values in zip(counts, confidences, strict=True):
        flat.extend(values if values is not None and len(values) == count else [None] * count)
    structs = calls.flatten()
    columns = structs.flatten()
    columns[_CONFIDENCE] = pa.array(flat, pa.float32())
    return pa.ListArray.from_arrays(
        calls.offsets, pa.StructArray.from_arrays(columns, fields=list(CALL)), mask=calls.is_null()
    )
