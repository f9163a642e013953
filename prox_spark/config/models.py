"""The configuration of a refinement: what may stand in a YAML file, and what each key means.

Every model is frozen and refuses unknown keys. ``docs/configuration.md`` is read off these docstrings.
"""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from prox_spark.config.adapt import AdaptConfig
from prox_spark.config.annotate import AnnotateConfig
from prox_spark.config.engines import EngineSettings
from prox_spark.config.evaluate import EvaluateConfig
from prox_spark.config.pretrain import PretrainConfig
from prox_spark.corpora.formats import FORMATS
from prox_spark.execution.settings import ExecutionSettings, Thresholds
from prox_spark.section import Section, Share
from prox_spark.suggest import unknown

NAME = re.compile(r"[A-Za-z0-9._-]+\Z")

Bounds = tuple[Share, Share]


class InputConfig(Section):
    """Where the corpus lies and how to read it."""

    path: str | list[str]
    """A file, a folder, a glob, or a list of them; for ``delta`` a table's path, for ``table`` its name."""
    format: str
    """How the corpus is stored: a name of the table of formats below."""
    columns: dict[str, str] = {}
    """Our column (doc_id, text, url, source) to theirs, where the format's own mapping does not fit."""
    source: str | None = None
    """What to write into ``source`` where a record names none; the format's name unless given."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Read no more than the first so many records."""

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FORMATS:
            raise ValueError(unknown("format", name, FORMATS))
        return name


class IngestConfig(Section):
    """How documents are stored."""

    unit_bytes: Annotated[int, Field(gt=0)] = 256 * 1024 * 1024
    """About so many bytes of text make a unit: what generation resumes and retries by."""
    batch_bytes: Annotated[int, Field(gt=0)] = 64 * 1024**3
    """Files of about so many bytes of text are read between two commits."""


class DocumentConfig(Section):
    """The document stage: keep or drop."""

    engine: EngineSettings
    """Which engine writes the programs, and its own settings."""
    template: str | None = None
    """Name of the prompt template; the refiner's own unless given."""
    max_prompt_tokens: Annotated[int, Field(gt=0)] | None = None
    """Longer documents are cut here before the model reads them; the refiner's own unless given (2,000 in ProX)."""
    grammar: bool | None = None
    """Hold the model's text programs to the grammar; the refiner's own unless given."""


class ChunkConfig(Section):
    """The chunk stage: remove lines, normalise strings."""

    engine: EngineSettings
    """Which engine writes the programs, and its own settings."""
    min_keep_score: Share | None = None
    """Only documents with at least this ``keep_score`` are read; ``execution.drop_document_below`` unless given."""
    window: Annotated[int, Field(gt=0)] | None = None
    """Tokens in a chunk, labels and line ends counted; the refiner's own unless given (1,500 in ProX)."""
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    """Tokens of a program at most; the refiner's own unless given (256 in ProX)."""
    template: str | None = None
    """Name of the prompt template; the refiner's own unless given."""
    grammar: bool | None = None
    """Hold programs to the grammar; the refiner's own unless given."""


class ExecutionConfig(Thresholds):
    """How programs are applied. ``docs/programs.md`` states every rule."""

    mode: Literal["strict", "compat"] = "strict"
    """``strict``, or ``compat``: what the published ProX executor returns, quirk by quirk."""
    drop_document_below: Share = 0.5
    """A document with a smaller ``keep_score`` is dropped."""
    on_failed_chunk: Literal["keep", "quarantine"] = "keep"
    """A failed chunk's lines stay as they are, or its document is quarantined."""

    def settings(self) -> ExecutionSettings:
        """The part of this section that the executor itself reads."""
        return ExecutionSettings(**self.model_dump(include=set(Thresholds.model_fields)))


class FuseConfig(Section):
    """Bounds outside of which a refinement is not committed: a broken refiner must not empty a corpus overnight."""

    min_documents: Annotated[int, Field(ge=0)] = 1000
    """Smaller refinements are not judged."""
    kept_documents: Bounds = (0.01, 1.0)
    """Share of the documents that may be kept: at least, at most."""
    kept_characters: Bounds = (0.01, 1.0)
    """Share of the characters that may be kept: at least, at most."""
    failed_chunks: Share = 0.05
    """Share of the chunks that may fail."""


class GenerateConfig(Section):
    """How the engine is kept busy and how often its work is committed."""

    batch_units: Annotated[int, Field(gt=0)] = 8
    """So many units are generated and committed at a time: at least minutes of engine time."""
    partitions: Annotated[int, Field(gt=0)] | None = None
    """Tasks for a batch; several for each engine, so that one that ends never leaves it idle. Two a core unless given."""
    self_test: bool = True
    """Before a model's first batch: it answers pages of boilerplate, and a prompt that leaves all of them as they are stops."""


class Config(Section):
    """A whole configuration: one refinement of one corpus in one store."""

    store: str
    """A path, or a catalog schema ``catalog.schema``."""
    refinement: str | None = None
    """Name of the refinement; the first 8 digits of its fingerprint unless given."""
    input: InputConfig | None = None
    """The corpus; not needed where nothing is ingested."""
    ingest: IngestConfig = IngestConfig()
    document: DocumentConfig | None = None
    """The document stage, or null: every document is kept."""
    chunk: ChunkConfig | None = None
    """The chunk stage, or null: every kept document stays as it is."""
    execution: ExecutionConfig = ExecutionConfig()
    fuse: FuseConfig = FuseConfig()
    generate: GenerateConfig = GenerateConfig()
    adapt: AdaptConfig | None = None
    """How ``adapt`` trains a refiner; no part of a refinement."""
    evaluate: EvaluateConfig | None = None
    """How ``evaluate`` measures refiners on labels, and pretrained models; no part of a refinement."""
    pretrain: PretrainConfig | None = None
    """How ``pretrain`` trains a model on exported tokens; no part of a refinement."""
    annotate: AnnotateConfig | None = None
    """How ``annotate`` has a sample of the documents labelled; no part of a refinement."""
    spark: dict[str, str] = {}
    """Spark properties for a session that ``prox-spark`` starts itself."""

    @field_validator("refinement")
    @classmethod
    def _plain_name(cls, name: str | None) -> str | None:
        if name is not None and not NAME.match(name):
            raise ValueError(f"{name!r}: only letters, digits, '.', '_' and '-' may stand in a name")
        return name

    @field_validator("spark", mode="before")
    @classmethod
    def _properties(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        # YAML reads `true` and `4`; Spark's properties are strings, and its true is lower case.
        return {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in value.items()}

    @model_validator(mode="after")
    def _thresholds(self) -> "Config":
        if self.chunk and self.execution.drop_document_below < self.min_keep_score:
            raise ValueError(
                f"execution.drop_document_below ({self.execution.drop_document_below}) is under chunk.min_keep_score "
                f"({self.min_keep_score}): documents between the two would be kept but have no chunk programs; "
                "raise the first or lower the second"
            )
        return self

    @property
    def min_keep_score(self) -> float:
        """The ``keep_score`` from which on the chunk stage reads a document."""
        if self.chunk is None or self.chunk.min_keep_score is None:
            return self.execution.drop_document_below
        return self.chunk.min_keep_score
