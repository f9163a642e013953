"""Writing a stage's programs inside a Spark task: documents in, rows of ``programs`` out, the engine always fed.

One stream of requests runs over all Arrow batches of a partition: an Arrow batch's end never drains the engine. Rows
leave in batches as their documents are complete. What fails for one document is that document's row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prox_spark.engines.models import resolve_model
from prox_spark.engines.open import open_engine
from prox_spark.engines.protocol import Completion, Engine, Request
from prox_spark.engines.settings import TransformersSettings, VllmSettings
from prox_spark.generation.plan import StagePlan, plan_stage
from prox_spark.generation.prompts import Asked, Asker, Prompter, TextAsker
from prox_spark.generation.tokens import PromptTokenizer
from prox_spark.programs import parse_batch
from prox_spark.schemas import PROGRAMS

__all__ = ["StagePlan", "generate_programs", "plan_stage", "run_stage"]

_SLAB_CHARACTERS = 1 << 20
"""Text that is tokenised before its first request goes out: small, so that the engine is not left waiting."""

_SLAB_DOCUMENTS = 256
_ROWS = 1000
"""Rows of an output batch; ``mapInArrow`` is fastest around a thousand."""

_ERROR_CHARACTERS = 500


def generate_programs(
    batches: Iterator[pa.RecordBatch], plan: StagePlan, *, gpu: str | None = None
) -> Iterator[pa.RecordBatch]:
    """Programs of a stage for the documents in ``batches``.

    Columns in: ``doc_id``, ``content_hash``, ``unit``, ``text``; out: ``prox_spark.schemas.PROGRAMS``. ``gpu`` is the
    address of the task's GPU, where it has one. Document stage: one row a document, chunk 0, without covered lines.
    Chunk stage: one row a chunk, or one ``skipped`` row (chunk 0, no covered lines) where nothing can be sent. Raises
    ``EngineError`` where the engine is beyond its restart budget.
    """
    engine = open_engine(plan.engine, plan.refiner, gpu=gpu)
    try:
        yield from run_stage(batches, plan, engine)
    finally:
        engine.close()


def run_stage(batches: Iterator[pa.RecordBatch], plan: StagePlan, engine: Engine) -> Iterator[pa.RecordBatch]:
    """``generate_programs`` with an engine that is already open."""
    stage = _Stage(plan)
    for completion in engine.stream(stage.requests(batches)):
        stage.take(completion)
        if stage.rows.full():
            yield from stage.rows.flush()
    yield from stage.rows.flush(everything=True)


@dataclass(slots=True)
class _Document:
    """A document whose answers are awaited."""

    doc_id: str
    content_hash: str | None
    unit: int | None
    text: str | None
    asked: Asked | None = None
    answers: list[tuple[Completion, int] | None] | None = None
    missing: int = 0


class _Stage:
    """Documents in flight and finished rows of one partition."""

    def __init__(self, plan: StagePlan) -> None:
        self._plan = plan
        self._asker, self._tokenizer = _asker(plan)
        self._flying: dict[int, tuple[_Document, int, int]] = {}
        self._count = 0
        self.rows = _Rows(plan)

    def requests(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Request]:
        """Every request of every document, in order; documents without one become rows on the way."""
        for batch in batches:
            for slab in _slabs(batch):
                for document in self._ask(slab):
                    yield from self._send(document)

    def take(self, completion: Completion) -> None:
        """File an answer; the last one of a document turns it into rows."""
        document, index, prompt_tokens = self._flying.pop(completion.id)
        if document.answers is None or document.asked is None:
            raise AssertionError(f"an answer for document {document.doc_id!r}, which asked nothing")
        document.answers[index] = (completion, prompt_tokens)
        document.missing -= 1
        if document.missing:
            return
        for number, (chunk, answer) in enumerate(zip(document.asked.chunks, document.answers, strict=True)):
            if answer is None:
                raise AssertionError(f"document {document.doc_id!r}: chunk {number} has no answer")
            covered = None if self._plan.stage == "document" else (chunk.line_start, chunk.line_end)
            self.rows.add_answer(document, number, covered, answer[0], answer[1], self._output(answer[0]))

    def _output(self, completion: Completion) -> str | None:
        """What the model wrote, without the spaces around it (ProX strips them too)."""
        if completion.token_ids is not None and self._tokenizer is not None:
            return self._tokenizer.decode(completion.token_ids).strip(" ")
        return None if completion.output is None else completion.output.strip(" ")

    def _send(self, document: _Document) -> Iterator[Request]:
        if document.asked is None or not document.asked.chunks:
            self.rows.add_without_answer(document, "skipped", None)
            return
        document.missing = len(document.asked.chunks)
        document.answers = [None] * document.missing
        for index in range(document.missing):
            request = self._asker.request(self._count, document.asked, index)
            self._flying[request.id] = (document, index, len(request.token_ids or ()))
            self._count += 1
            yield request

    def _ask(self, slab: list[_Document]) -> Iterator[_Document]:
        """The slab's documents with what is asked about them; blank ones ask nothing, failed ones become rows."""
        filled = [(document, document.text) for document in slab if document.text and not document.text.isspace()]
        try:
            for (document, _), asked in zip(filled, self._asker.ask([text for _, text in filled]), strict=True):
                document.asked = asked
        except Exception as error:  # noqa: BLE001 -- recorded as the document's own row
            if len(slab) > 1:
                for document in slab:
                    yield from self._ask([document])
                return
            self.rows.add_without_answer(slab[0], "failed", f"{type(error).__name__}: {error}")
            return
        for document in slab:
            if document.text is None:
                self.rows.add_without_answer(document, "failed", "text is null")
            else:
                yield document


def _asker(plan: StagePlan) -> tuple[Asker, PromptTokenizer | None]:
    if isinstance(plan.engine, VllmSettings | TransformersSettings):
        tokenizer = PromptTokenizer(resolve_model(plan.engine.model, plan.engine.revision))
        return Prompter(plan.refiner, tokenizer), tokenizer
    return TextAsker(plan.refiner), None


def _slabs(batch: pa.RecordBatch) -> Iterator[list[_Document]]:
    """The documents of an Arrow batch, a bounded amount of text at a time."""
    columns = [batch.column(name) for name in ("doc_id", "content_hash", "unit", "text")]
    start = 0
    while start < batch.num_rows:
        part = [column.slice(start, _SLAB_DOCUMENTS) for column in columns]
        slab: list[_Document] = []
        size = 0
        for row in zip(*(column.to_pylist() for column in part), strict=True):
            slab.append(_Document(*row))
            size += len(row[3] or "")
            if size >= _SLAB_CHARACTERS:
                yield slab
                slab, size = [], 0
        if slab:
            yield slab
        start += _SLAB_DOCUMENTS


_ROW = (
    *("doc_id", "content_hash", "unit", "chunk", "line_start", "line_end", "status", "keep_score"),
    *("prompt_tokens", "output_tokens", "output", "line_scores", "error"),
)


class _Rows:
    """Finished rows: Python values until a batch is full, Arrow from then on."""

    def __init__(self, plan: StagePlan) -> None:
        self._plan = plan
        self._rows: list[tuple[Any, ...]] = []
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

    def add_without_answer(self, document: _Document, status: str, error: str | None) -> None:
        """A row of a document that asked nothing."""
        self._add(document, 0, None, status, None, 0, 0, None, None, error)

    def add_answer(
        self,
        document: _Document,
        number: int,
        covered: tuple[int, int] | None,
        completion: Completion,
        prompt_tokens: int,
        output: str | None,
    ) -> None:
        """The row of one chunk's (or the document's) answer; its program is judged when the batch is packed."""
        error = None
        if completion.finish == "error":
            status, output, error = "failed", None, completion.error or "the engine gave no reason"
        elif completion.keep_score is not None or completion.line_scores is not None:
            status = "ok"
        elif not output:
            status = "empty"
        else:
            status = "truncated" if completion.finish == "length" else "ok"
        output_tokens = len(completion.token_ids or ())
        scores = completion.line_scores
        if scores is not None and covered is not None and len(scores) != covered[1] - covered[0] + 1:
            status, error = "failed", f"{len(scores)} line scores for {covered[1] - covered[0] + 1} lines"
            scores = None
        self._add(
            document,
            number,
            covered,
            status,
            completion.keep_score,
            prompt_tokens,
            output_tokens,
            output,
            scores,
            error,
        )

    def _add(
        self,
        document: _Document,
        number: int,
        covered: tuple[int, int] | None,
        status: str,
        keep_score: float | None,
        prompt_tokens: int,
        output_tokens: int,
        output: str | None,
        line_scores: list[float] | None,
        error: str | None,
    ) -> None:
        start, end = covered or (None, None)
        key = (document.doc_id, document.content_hash, document.unit, number, start, end)
        short = error[:_ERROR_CHARACTERS] if error else None
        self._rows.append((*key, status, keep_score, prompt_tokens, output_tokens, output, line_scores, short))
        if len(self._rows) >= _ROWS:
            self._pack()

    def _pack(self) -> None:
        """Turn the rows into an Arrow batch; here all their programs are parsed at once."""
        columns = map(list, zip(*self._rows, strict=True))
        values: dict[str, Any] = dict(zip(_ROW, columns, strict=True))
        count = len(self._rows)
        self._rows = []
        outputs = pa.array(values["output"], pa.string())
        from_chunk = self._plan.refiner.numbering == "chunk" and self._plan.stage == "chunk"
        calls = parse_batch(outputs, pa.array(values["line_start"], pa.int64()) if from_chunk else None)
        self._judge(values, calls)
        values["calls"] = calls
        values["line_offset"] = [start or 0 for start in values["line_start"]] if from_chunk else [0] * count
        values["stage"] = [self._plan.stage] * count
        values["refiner"] = [self._plan.fingerprint] * count
        arrays = [pa.array(values[field.name], field.type) for field in PROGRAMS if field.name != "calls"]
        arrays.insert(PROGRAMS.get_field_index("calls"), calls)
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=PROGRAMS))

    def _judge(self, values: dict[str, list[Any]], calls: pa.ListArray) -> None:
        """Settle what only the parsed calls tell: a chunk's ``invalid``, a document's ``keep_score`` or failure."""
        flat = calls.flatten()
        rows = pc.list_parent_indices(calls).to_numpy(zero_copy_only=False)
        ok = pc.equal(flat.field("outcome"), "ok").to_numpy(zero_copy_only=False).astype(bool)
        if self._plan.stage == "chunk":
            good = set(np.unique(rows[ok]).tolist())
            for row, status in enumerate(values["status"]):
                if status == "ok" and values["output"][row] is not None and row not in good:
                    values["status"][row] = "invalid"
            return
        operations = flat.field("operation")
        keep, drop = (
            set(rows[ok & pc.equal(operations, name).to_numpy(zero_copy_only=False).astype(bool)].tolist())
            for name in ("keep_doc", "drop_doc")
        )
        for row, status in enumerate(values["status"]):
            if status not in ("ok", "empty", "truncated") or values["keep_score"][row] is not None:
                continue
            if row in drop or row in keep:
                values["keep_score"][row] = 0.0 if row in drop else 1.0
                values["status"][row] = "ok"
            else:
                answer = values["output"][row] or ""
                values["status"][row] = "failed"
                values["error"][row] = f"no keep_doc() or drop_doc() in the answer {answer[:100]!r}"
