"""Generation inside a Spark task: documents in, rows of ``programs`` out, with the engine kept busy.

One stream of requests runs over all Arrow batches of a partition: an Arrow batch's end never drains the engine. Rows
leave in batches as their documents are complete. A failure affects only the row of its document.
"""

from collections.abc import Iterator
from dataclasses import astuple, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from prox_spark.config.engines import ModelSettings
from prox_spark.engines.models import refiner_folder
from prox_spark.engines.protocol import Completion, Engine, Request, Usage
from prox_spark.generation.kinds import kind_of, open_engine
from prox_spark.generation.once import AskOnce
from prox_spark.generation.plan import StagePlan
from prox_spark.generation.prompts import Asked, Asker, Prompter, TextAsker
from prox_spark.generation.rows import Key, Rows
from prox_spark.generation.tokens import PromptTokenizer
from prox_spark.limits import DocumentLimits, too_large
from prox_spark.schemas import PROGRAMS

GENERATED = pa.schema(
    [
        *PROGRAMS,
        ("engine_seconds", pa.float64()),
        ("engine_busy_seconds", pa.float64()),
        ("engine_restarts", pa.int64()),
        ("engine_retries", pa.int64()),
        ("engine_repeated", pa.int64()),
    ]
)
"""Rows of ``programs``, and in one row of each task how its engine was used (``Usage``), null in the others."""

_SLAB_BYTES = 1 << 20
"""Text that is tokenised before its first request goes out: small, so that the engine is not left waiting."""

_SLAB_DOCUMENTS = 256


def generate_programs(
    batches: Iterator[pa.RecordBatch], plan: StagePlan, *, gpu: str | None = None
) -> Iterator[pa.RecordBatch]:
    """Programs of a stage for the documents in ``batches``.

    Columns in: ``doc_id``, ``content_hash``, ``unit``, ``text``; where only some chunks of a document are asked for,
    their numbers in ``chunks`` (null: all of them); where the refiner reads a column, its values in ``score`` (strings).
    Out: ``GENERATED``. ``gpu`` is the address of the task's GPU, where it has one. Document stage: one row a document,
    chunk 0, without covered lines. Chunk stage: one row a chunk, or one ``skipped`` row (chunk 0, no covered lines) where
    nothing can be sent. A text that is null or above ``plan.limits`` is one ``failed`` row. Raises ``EngineError`` where
    the engine is beyond its restart budget.
    """
    engine = open_engine(plan.settings, plan.refiner, gpu=gpu)
    if kind_of(plan.settings).reads == "text":
        engine = AskOnce(engine)
    try:
        last = None
        for batch in run_stage(batches, plan, engine):
            if last is not None:
                yield _with_usage(last, None)
            last = batch
        if last is not None:
            yield _with_usage(last, engine.usage())
    finally:
        engine.close()


def _with_usage(batch: pa.RecordBatch, usage: Usage | None) -> pa.RecordBatch:
    """The batch with the columns of ``Usage``, filled in its first row."""
    fields = list(GENERATED)[len(PROGRAMS) :]
    used = astuple(usage) if usage else (None,) * len(fields)
    columns = [
        pa.array([value, *([None] * (batch.num_rows - 1))], field.type)
        for value, field in zip(used, fields, strict=True)
    ]
    return pa.RecordBatch.from_arrays([*batch.columns, *columns], schema=GENERATED)


def run_stage(batches: Iterator[pa.RecordBatch], plan: StagePlan, engine: Engine) -> Iterator[pa.RecordBatch]:
    """Rows of ``PROGRAMS`` by an engine that is already open."""
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
    chunks: list[int] | None
    score: str | None
    text: str | None
    error: str | None
    asked: Asked | None = None
    answers: list[tuple[Completion, int] | None] | None = None
    missing: int = 0

    @property
    def key(self) -> Key:
        return self.doc_id, self.content_hash, self.unit


class _Stage:
    """Documents in flight and finished rows of one partition."""

    def __init__(self, plan: StagePlan) -> None:
        self._plan = plan
        self._asker, self._tokenizer = _asker(plan)
        self._flying: dict[int, tuple[_Document, int, int]] = {}
        self._count = 0
        self.rows = Rows(plan)

    def requests(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Request]:
        """Every request of every document; documents without one become rows on the way.

        The longest of a slab go first: a long one that came last would leave the engine's other slots empty. Each is made as
        it is sent.
        """
        for batch in batches:
            for slab in _slabs(batch, self._plan.limits):
                chunks = [chunk for document in self._ask(slab) for chunk in self._chunks(document)]
                chunks.sort(key=lambda chunk: -chunk[2])
                for document, index, _ in chunks:
                    yield self._request(document, index)

    def take(self, completion: Completion) -> None:
        """File an answer; the last one of a document turns it into rows."""
        document, index, prompt_tokens = self._flying.pop(completion.id)
        if document.answers is None or document.asked is None:
            raise AssertionError(f"received an answer for document {document.doc_id!r}, which sent no request")
        document.answers[index] = (completion, prompt_tokens)
        document.missing -= 1
        if document.missing:
            return
        for number, (chunk, answer) in enumerate(zip(document.asked.chunks, document.answers, strict=True)):
            if answer is None:
                continue  # Only some chunks were wanted.
            covered = None if self._plan.stage == "document" else (chunk.line_start, chunk.line_end)
            completion, prompt_tokens = answer
            self.rows.add_answer(document.key, number, covered, completion, prompt_tokens, *self._output(completion))

    def _output(self, completion: Completion) -> tuple[str | None, list[int] | None]:
        """What the model wrote, without the spaces around it (ProX strips them too), and where each token ends in it."""
        if completion.token_ids is None or self._tokenizer is None:
            return (None if completion.output is None else completion.output.strip(" ")), None
        text = self._tokenizer.decode(completion.token_ids)
        ends = self._tokenizer.ends(completion.token_ids) if completion.token_logprobs else None
        if ends is not None:
            ends = [end - (len(text) - len(text.lstrip(" "))) for end in ends]
        return text.strip(" "), ends

    def _chunks(self, document: _Document) -> Iterator[tuple[_Document, int, int]]:
        """The chunks that are asked about, each with its cost; a document without one becomes a row."""
        asked = document.asked
        if asked is None or not asked.chunks:
            self.rows.add_without_answer(document.key, "skipped", None)
            return
        chunks = range(len(asked.chunks))
        wanted = chunks if document.chunks is None else [index for index in document.chunks if index in chunks]
        document.missing = len(wanted)
        document.answers = [None] * len(chunks)
        for index in wanted:
            yield document, index, asked.cost(index)

    def _request(self, document: _Document, index: int) -> Request:
        assert document.asked is not None
        request = self._asker.request(self._count, document.asked, index)
        self._flying[request.id] = (document, index, len(request.token_ids or ()))
        self._count += 1
        return request

    def _ask(self, slab: list[_Document]) -> Iterator[_Document]:
        """The slab's documents with what is asked about them; blank ones ask nothing, failed ones become rows."""
        for document in slab:
            if document.error is not None:
                self.rows.add_without_answer(document.key, "failed", document.error)
        slab = [document for document in slab if document.error is None]
        filled = [(document, document.text) for document in slab if document.text and not document.text.isspace()]
        try:
            for (document, _), asked in zip(filled, self._asker.ask([text for _, text in filled]), strict=True):
                asked.doc_id, asked.score = document.doc_id, document.score
                document.asked = asked
        except Exception as error:  # noqa: BLE001 -- recorded as the document's own row
            if len(slab) > 1:
                for document in slab:
                    yield from self._ask([document])
                return
            self.rows.add_without_answer(slab[0].key, "failed", f"{type(error).__name__}: {error}")
            return
        yield from slab


def _asker(plan: StagePlan) -> tuple[Asker, PromptTokenizer | None]:
    if isinstance(plan.settings, ModelSettings):
        tokenizer = PromptTokenizer(refiner_folder(plan.settings))
        return Prompter(plan.refiner, tokenizer, plan.prefix), tokenizer
    return TextAsker(plan.refiner), None


def _slabs(batch: pa.RecordBatch, limits: DocumentLimits) -> Iterator[list[_Document]]:
    """The documents of an Arrow batch, a bounded amount of text at a time; null and too large ones without their text."""
    names = ("doc_id", "content_hash", "unit", "chunks", "score")
    columns = [batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows) for name in names]
    text = batch.column("text")
    errors = pc.if_else(text.is_null(), "text is null", too_large(text, limits))
    text = pc.if_else(errors.is_null(), text, pa.scalar(None, text.type))
    sizes = pc.fill_null(pc.binary_length(text), 0).to_pylist()
    start = 0
    while start < batch.num_rows:
        end = size = 0
        while start + end < batch.num_rows and end < _SLAB_DOCUMENTS and size < _SLAB_BYTES:
            size += sizes[start + end]
            end += 1
        part = (column.slice(start, end).to_pylist() for column in (*columns, text, errors))
        yield [_Document(*row) for row in zip(*part, strict=True)]
        start += end
