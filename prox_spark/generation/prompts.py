"""From documents to engine requests: chunks and, for engines with a model, prompts as token ids."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prox_spark.engines.protocol import Request
from prox_spark.generation.chunking import Chunk, cut, cut_by_count, cut_overlapping
from prox_spark.generation.marks import MARKS, page_marks
from prox_spark.generation.numbers import Numbers
from prox_spark.generation.refiner import Refiner
from prox_spark.generation.templates import CONTROL, template
from prox_spark.generation.tokens import PromptTokenizer

_DOCUMENT_CHARACTERS = 8
"""Characters of a document that are tokenised at first for each token of its window: twice what English needs, so that cutting
a long document costs its window and not its length. One whose tokens are longer (rules, blanks) is tokenised further."""


@dataclass(slots=True)
class Asked:
    """The requests of one document: its chunks, in order, and their prompts' ids (without template).

    ``starts`` and ``stops`` are the places of each chunk in ``text``, in characters. ``ends`` are the places of each chunk's
    line ends in its ids, where lines are scored. ``doc_id`` and ``score`` as in ``Request``.
    """

    text: str
    chunks: list[Chunk]
    starts: Sequence[int]
    stops: Sequence[int]
    ids: list["array[int]"] = field(default_factory=list)
    ends: list["array[int]"] = field(default_factory=list)
    doc_id: str = ""
    score: str | None = None

    def text_of(self, index: int) -> str:
        """The text of chunk ``index``, without the line end after it."""
        return self.text[self.starts[index] : self.stops[index]]

    def cost(self, index: int) -> int:
        """Tokens of chunk ``index``; 0 where nothing is tokenised."""
        return len(self.ids[index]) if self.ids else 0


@dataclass(slots=True)
class Encoded:
    """A chunk stage's document as token ids.

    ``ids`` of each line, its label and line end or its marks included, ``None`` where it is longer than any window;
    ``head`` begins every chunk.
    """

    text: str
    lines: list[str]
    ids: list["array[int] | None"]
    head: "array[int]"


class Asker(Protocol):
    """Turns documents into questions."""

    def ask(self, texts: list[str]) -> list[Asked]:
        """What is asked about each of these (non-blank) texts, in their order."""
        ...

    def request(self, number: int, asked: Asked, index: int) -> Request:
        """The request for chunk ``index``, with the id ``number``."""
        ...


class TextAsker:
    """For engines that read text: the whole document, or chunks of so many lines."""

    def __init__(self, refiner: Refiner) -> None:
        self._refiner = refiner

    def ask(self, texts: list[str]) -> list[Asked]:
        """See ``Asker``."""
        return [self._one(text) for text in texts]

    def request(self, number: int, asked: Asked, index: int) -> Request:
        """See ``Asker``."""
        text = asked.text_of(index)
        return Request(id=number, stage=self._refiner.stage, text=text, doc_id=asked.doc_id, score=asked.score)

    def _one(self, text: str) -> Asked:
        per_chunk = self._refiner.lines_per_chunk
        if self._refiner.stage == "document" or per_chunk is None:
            return _whole(text)
        lines = text.split("\n")
        chunks = cut_by_count(len(lines), per_chunk)
        return Asked(text, chunks, *_places(lines, chunks))


class Prompter:
    """For engines with a model: prompts as token ids, tokenised in batches over many documents."""

    def __init__(self, refiner: Refiner, tokenizer: PromptTokenizer, prefix: Sequence[int] | None = None) -> None:
        """``prefix``: as in ``StagePlan``; by the tokenizer where it is null."""
        chosen = template(refiner.template or "")
        form = chosen.form(refiner.stage)
        tokenizer.entries([token for token in CONTROL if token in form.prefix + form.suffix])
        if prefix is None:
            prefix = tokenizer.prefix(form.prefix.replace("{system}", refiner.system or ""), begin=chosen.begin)
        self._prefix = array("I", prefix)
        self._suffix = tokenizer.suffix(form.suffix)
        self._template = chosen
        self._refiner = refiner
        self.tokenizer = tokenizer
        self._decision = tokenizer.decision_ids(refiner.decision) if refiner.decision else None
        self.numbers = Numbers(tokenizer) if chosen.numbered else None
        """Where lines have numbers of one token."""
        self._labels = self._chunk_labels()
        self._label_costs = [len(label) for label in self._labels]
        self._clip = chosen.clip
        self._marks = tokenizer.entries(MARKS) if chosen.clip else []
        self.before = len(self._prefix)
        """Tokens before the document's own."""
        self.overhead = len(self._prefix) + len(self._suffix)
        """Tokens of the template."""

    @property
    def prefix(self) -> tuple[int, ...]:
        """The ids that every prompt begins with."""
        return tuple(self._prefix)

    def ask(self, texts: list[str]) -> list[Asked]:
        """See ``Asker``. A document stage's text is cut at the window; a chunk stage's lines are labelled."""
        return self._documents(texts) if self._refiner.stage == "document" else self._chunks(texts)

    def request(self, number: int, asked: Asked, index: int) -> Request:
        """See ``Asker``."""
        positions = None
        if self._refiner.label is not None:
            positions = (
                [self.before + end for end in asked.ends[index]] if asked.ends else [self._decisive(asked, index)]
            )
        return Request(
            id=number,
            stage=self._refiner.stage,
            text=asked.text_of(index),
            token_ids=self.prompt(asked, index).tolist(),
            max_tokens=self._refiner.max_tokens,
            decision=self._decision,
            positions=positions,
            grammar=self._refiner.grammar,
        )

    def prompt(self, asked: Asked, index: int) -> "array[int]":
        """The whole prompt of chunk ``index``."""
        return self._prefix + asked.ids[index] + self._suffix

    def _decisive(self, asked: Asked, index: int) -> int:
        """The token at which a classifier has read the whole document: a bidirectional one at the first already."""
        return len(asked.ids[index]) + self.overhead - 1 if self._refiner.at_end else 0

    def first_number(self, chunk: Chunk) -> int:
        """The number that a program gives the chunk's first line."""
        return self._template.first_line + (0 if self._refiner.numbering == "chunk" else chunk.line_start)

    def _chunk_labels(self) -> list["array[int]"]:
        """Labels that count from the chunk's first line; none where they stand in the lines."""
        if self._refiner.numbering != "chunk":
            return []
        if self.numbers is not None:
            return [array("I", [number]) for number in self.numbers.labels]
        # A line costs a token at least: no chunk has more lines than its window has tokens.
        return self.tokenizer.pieces([self._label(number) for number in range(self._refiner.window + 1)])

    def _documents(self, texts: list[str]) -> list[Asked]:
        window = self._refiner.window
        stripped = [text.strip() for text in texts]
        ids: list[array[int]] = [array("I")] * len(texts)
        short, characters = list(range(len(texts))), window * _DOCUMENT_CHARACTERS
        while short:
            for number, piece in zip(
                short, self.tokenizer.pieces([stripped[n][:characters] for n in short]), strict=True
            ):
                ids[number] = piece[:window]
            short = [n for n in short if len(ids[n]) < window and len(stripped[n]) > characters]
            characters *= 2
        return [_whole(text, piece) for text, piece in zip(texts, ids, strict=True)]

    def _chunks(self, texts: list[str]) -> list[Asked]:
        return [self.cut(document, self._refiner.window) for document in self.encode(texts)]

    def encode(self, texts: list[str]) -> list[Encoded]:
        """A chunk stage's documents, tokenised line by line."""
        return self._marked(texts) if self._clip else self._labelled(texts)

    def cut(self, document: Encoded, window: int) -> Asked:
        """Cut a document into chunks of at most ``window`` tokens."""
        costs = [None if piece is None else len(piece) for piece in document.ids]
        room, overlap = window - len(document.head), self._template.overlap
        if overlap and self._refiner.numbering == "document":
            chunks = cut_overlapping(document.lines, costs, room, overlap)
        else:
            chunks = cut(document.lines, costs, self._label_costs, room)
        asked = Asked(document.text, chunks, *_places(document.lines, chunks))
        for chunk in chunks:
            prompt, ends = array("I", document.head), array("I")
            for number in range(chunk.line_start - chunk.context, chunk.line_start):
                prompt += document.ids[number] or array("I")
            for number in range(chunk.line_start, chunk.line_end + 1):
                label = self._labels[number - chunk.line_start] if self._labels else array("I")
                ids = document.ids[number] or array("I")
                prompt += ids + label if self.numbers else label + ids
                # A tokenizer without line feeds (BERT's) has nothing for blank lines: such a first one is read at what follows.
                ends.append(max(len(prompt) - 1, 0))
            if self._template.open_end:
                last = chunk.line_end
                del prompt[len(prompt) - len(document.ids[last] or ()) :]
                prompt += self.tokenizer.pieces([f"{self._label(last)}{document.lines[last]}"])[0]
            asked.ids.append(prompt)
            asked.ends.append(ends)
        return asked

    def _labelled(self, texts: list[str]) -> list[Encoded]:
        # A line of more characters than this is over-long whatever its tokens: it need not be tokenised to know.
        limit = self._refiner.window * self.tokenizer.longest
        labelled = self._refiner.numbering == "document"
        documents = [text.split("\n") for text in texts]
        pieces = (
            f"{self._label(number)}{line}\n" if labelled else f"{line}\n"
            for lines in documents
            for number, line in enumerate(lines)
            if len(line) <= limit
        )
        tokens = self.tokenizer.stream(pieces)
        return [
            Encoded(text, lines, [next(tokens) if len(line) <= limit else None for line in lines], array("I"))
            for text, lines in zip(texts, documents, strict=True)
        ]

    def _label(self, number: int) -> str:
        return self._template.label.format(number + self._template.first_line)

    def _marked(self, texts: list[str]) -> list[Encoded]:
        assert self._clip is not None
        head, tail = self._clip
        documents = [text.split("\n") for text in texts]
        tokens = self.tokenizer.stream(_clipped(line) for lines in documents for line in lines)
        encoded = []
        for text, lines in zip(texts, documents, strict=True):
            page, marks = page_marks(lines)
            ids: list[array[int] | None] = []
            for line_marks in marks:
                piece = next(tokens)
                if len(piece) > head + tail:
                    piece = piece[:head] + piece[-tail:]
                ids.append(piece + array("I", [self._marks[mark] for mark in line_marks]))
            encoded.append(Encoded(text, lines, ids, array("I", [self._marks[mark] for mark in page])))
        return encoded


def _whole(text: str, *ids: "array[int]") -> Asked:
    """A document that is one chunk."""
    return Asked(text, [Chunk(0, text.count("\n"))], [0], [len(text)], list(ids))


def _places(lines: Sequence[str], chunks: Sequence[Chunk]) -> tuple["array[int]", "array[int]"]:
    """Where each chunk starts and stops in the text, in characters."""
    starts, stops = array("Q"), array("Q")
    place = number = 0
    for chunk in chunks:
        place += sum(len(lines[line]) + 1 for line in range(number, chunk.line_start))
        starts.append(place)
        place += sum(len(lines[line]) + 1 for line in range(chunk.line_start, chunk.line_end + 1))
        stops.append(place - 1)
        number = chunk.line_end + 1
    return starts, stops


_LINE_START, _LINE_END = 96, 48


def _clipped(line: str) -> str:
    """Enough of a long line to take its first and last tokens from."""
    return line if len(line) <= _LINE_START + _LINE_END else line[:_LINE_START] + line[-_LINE_END:]
