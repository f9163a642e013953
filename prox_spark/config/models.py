"""The configuration of a refinement: the keys of the YAML file and their meaning.

Every model is frozen and refuses unknown keys. ``docs/configuration.md`` is generated from these docstrings.
"""

import json
import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from prox_spark.config.adapt import AdaptConfig
from prox_spark.config.annotate import AnnotateConfig
from prox_spark.config.engines import EngineSettings
from prox_spark.config.evaluate import EvaluateConfig
from prox_spark.config.pretrain import PretrainConfig
from prox_spark.corpora.extraction import DEFAULT
from prox_spark.corpora.formats import FORMATS, check_extract
from prox_spark.credentials import in_settings
from prox_spark.errors import InputError
from prox_spark.execution.settings import ExecutionSettings, Mode, Thresholds
from prox_spark.limits import DocumentLimits
from prox_spark.section import Section, Share
from prox_spark.suggest import unknown

NAME = re.compile(r"[A-Za-z0-9._-]+\Z")

Bounds = tuple[Share, Share]


class InputConfig(Section):
    """The location and format of the corpus."""

    path: str | list[str]
    """A file, a folder, a glob, or a list of them; for ``delta`` a table's path, for ``table`` its name."""
    format: str
    """Format of the corpus: a name in the table of formats below."""
    columns: dict[str, str] = {}
    """Map prox_spark columns (doc_id, text, url, source) to corpus columns, if the mapping of the format does not fit."""
    extract: str = DEFAULT
    """The extractor of text from HTML, for ``warc``: a name in the table of extractors below."""
    source: str | None = None
    """Value of ``source`` for records without one. Default: the name of the format."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Read at most this many records, from the start."""

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FORMATS:
            raise ValueError(unknown("format", name, FORMATS))
        return name

    @model_validator(mode="after")
    def _extractor_fits(self) -> "InputConfig":
        try:
            check_extract(self.extract, self.format)
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    def reading(self, limits: DocumentLimits) -> str:
        """The settings that decide the texts and ids of a file's records, as JSON; stored with each file that they read.

        Settings at their default are omitted, so that a new setting does not change the readings stored already.
        """
        found = self.model_dump(include={"format", "columns", "extract"}, exclude_defaults=True)
        found |= limits.model_dump(exclude_defaults=True)
        return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class IngestConfig(Section):
    """How documents are stored."""

    unit_bytes: Annotated[int, Field(gt=0)] = 256 * 1024 * 1024
    """Target size of a unit, in bytes of text. Generation resumes and retries by unit."""
    batch_bytes: Annotated[int, Field(gt=0)] = 64 * 1024**3
    """Bytes of text per commit, approximately."""


class DocumentConfig(Section):
    """The document stage: keep or drop."""

    engine: EngineSettings
    """The engine that writes the programs, and its settings."""
    template: str | None = None
    """Name of the prompt template. Default: the refiner's."""
    max_prompt_tokens: Annotated[int, Field(gt=0)] | None = None
    """Cut longer documents to this many tokens before the model reads them. Default: the refiner's (2,000 in ProX)."""
    grammar: bool | None = None
    """Constrain decoding of text programs to the program grammar. Default: the refiner's."""


class ChunkConfig(Section):
    """The chunk stage: remove lines, normalise strings."""

    engine: EngineSettings
    """The engine that writes the programs, and its settings."""
    min_keep_score: Share | None = None
    """Process only documents with at least this ``keep_score``. Default: ``execution.drop_document_below``."""
    window: Annotated[int, Field(gt=0)] | None = None
    """Maximum tokens of a chunk, including labels and line ends. Default: the refiner's (1,500 in ProX)."""
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    """Maximum tokens of a program. Default: the refiner's (256 in ProX)."""
    template: str | None = None
    """Name of the prompt template. Default: the refiner's."""
    grammar: bool | None = None
    """Constrain decoding to the program grammar. Default: the refiner's."""


class ExecutionConfig(Thresholds):
    """How programs are executed. ``docs/programs.md`` defines every rule."""

    mode: Mode = "strict"
    """``strict``, or ``compat``, which reproduces the published ProX executor with all its quirks."""
    drop_document_below: Share = 0.5
    """Drop a document with a ``keep_score`` below this."""
    on_failed_chunk: Literal["keep", "quarantine"] = "keep"
    """``keep``: the lines of a failed chunk stay unchanged. ``quarantine``: its document is quarantined."""

    def settings(self) -> ExecutionSettings:
        """The settings that the executor itself reads."""
        return ExecutionSettings(**self.model_dump(include=set(Thresholds.model_fields)))


class FuseConfig(Section):
    """Limits on the result of a refinement. Outside them it is not committed, so a broken refiner cannot empty a corpus."""

    min_documents: Annotated[int, Field(ge=0)] = 1000
    """Refinements with fewer documents are not checked."""
    kept_documents: Bounds = (0.01, 1.0)
    """Minimum and maximum share of kept documents."""
    kept_characters: Bounds = (0.01, 1.0)
    """Minimum and maximum share of kept characters."""
    failed_chunks: Share = 0.05
    """Maximum share of failed chunks."""


class GenerateConfig(Section):
    """Batching and parallelism of generation."""

    batch_units: Annotated[int, Field(gt=0)] | None = None
    """Units per commit. Default: minutes of work for every engine, estimated from the units' bytes of text."""
    partitions: Annotated[int, Field(gt=0)] | None = None
    """Tasks per batch. Use several per engine, so that it is not idle when a task ends. Default: three per core."""
    self_test: bool = True
    """Before its first batch, the model answers pages of boilerplate; if the model changes none of them, the job stops."""


class ExecuteConfig(Section):
    """Batching of execution. Changes no result."""

    batch_bytes: Annotated[int, Field(gt=0)] | None = None
    """Stored (compressed) bytes of text and programs per batch. A killed job continues after its last complete batch. Default:
    512 MiB for each core."""


class Config(Section):
    """A complete configuration: one refinement of one corpus in one store."""

    store: str
    """A path, or a catalog schema ``catalog.schema``."""
    refinement: str | None = None
    """Name of the refinement. Default: the first 8 digits of its fingerprint."""
    input: InputConfig | None = None
    """The corpus. Only ingest needs it."""
    ingest: IngestConfig = IngestConfig()
    limits: DocumentLimits = DocumentLimits()
    document: DocumentConfig | None = None
    """The document stage. Null keeps every document."""
    chunk: ChunkConfig | None = None
    """The chunk stage. Null leaves every kept document unchanged."""
    execution: ExecutionConfig = ExecutionConfig()
    execute: ExecuteConfig = ExecuteConfig()
    fuse: FuseConfig = FuseConfig()
    generate: GenerateConfig = GenerateConfig()
    adapt: AdaptConfig | None = None
    """Settings of ``adapt``, which trains a refiner. Not part of a refinement's fingerprint."""
    evaluate: EvaluateConfig | None = None
    """Settings of ``evaluate``, which measures refiners and pretrained models. Not part of a refinement's fingerprint."""
    pretrain: PretrainConfig | None = None
    """Settings of ``pretrain``, which trains a model on exported tokens. Not part of a refinement's fingerprint."""
    annotate: AnnotateConfig | None = None
    """Settings of ``annotate``, which labels a sample of the documents. Not part of a refinement's fingerprint."""
    spark: dict[str, str] = {}
    """Spark properties, for sessions that ``prox-spark`` starts itself. Neither stored nor logged: the place for an object
    store's credentials."""

    @model_validator(mode="before")
    @classmethod
    def _no_secrets(cls, given: object) -> object:
        """Runs before all other checks, because their messages may repeat a value."""
        why = in_settings(given)
        if why is not None:
            raise ValueError(why)
        return given

    @field_validator("refinement")
    @classmethod
    def _plain_name(cls, name: str | None) -> str | None:
        if name is not None and not NAME.match(name):
            raise ValueError(f"{name!r}: a name may only contain letters, digits, '.', '_' and '-'")
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
                f"execution.drop_document_below ({self.execution.drop_document_below}) is below chunk.min_keep_score "
                f"({self.min_keep_score}): documents between the two would be kept but have no chunk programs; "
                "raise the first or lower the second"
            )
        return self

    @property
    def min_keep_score(self) -> float:
        """The smallest ``keep_score`` of documents that the chunk stage processes."""
        if self.chunk is None or self.chunk.min_keep_score is None:
            return self.execution.drop_document_below
        return self.chunk.min_keep_score
