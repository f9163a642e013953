"""Which engine writes the programs, as it stands in a configuration: one frozen model for each ``kind``."""

import math
import urllib.parse
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from prox_spark.rules.catalogue import known_names
from prox_spark.section import Section
from prox_spark.suggest import unknown

HARMLESS_OPTIONS = frozenset(
    {
        *("gpu_memory_utilization", "kv_cache_memory_bytes", "num_gpu_blocks_override", "swap_space", "block_size"),
        *("max_num_seqs", "max_num_batched_tokens", "max_num_partial_prefills", "max_long_partial_prefills"),
        *("enable_chunked_prefill", "enable_prefix_caching", "scheduling_policy", "async_scheduling"),
        *("disable_log_stats", "enable_log_requests", "enable_logging_iteration_details", "use_tqdm_on_load"),
        *("max_parallel_loading_workers", "download_dir"),
    }
)
"""vLLM's options for memory, number of sequences, batching and logging: they change no answer. Every other option is part of
the refiner's fingerprint."""


class RulesSettings(Section):
    """Classic rules of web corpora, no model. ``docs/rules.md`` has all of them, with source and threshold."""

    kind: Literal["rules"]
    rules: tuple[str, ...] | None = None
    """Names of rules, and of sets (``gopher_quality``, ``gopher_repetition``, ``c4``, ``fineweb``, ``refinedweb``, ``all``);
    the stage's defaults unless given."""

    @field_validator("rules")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        known = known_names()
        for name in names or ():
            if name not in known:
                raise ValueError(unknown("rule", name, known))
        return names


class StatisticsSettings(Section):
    """Documents scored by weights on statistics of their text: no model runs, every weight can be read. Document stage."""

    kind: Literal["statistics"]
    model: str
    """A folder that ``adapt`` made (``adapt.task=documents``), or one that ships with the package."""


class DsirSettings(Section):
    """Documents chosen to resemble a target corpus: hashed n-gram importance resampling (DSIR). Document stage.

    ``keep_score`` is a document's rank in the raw corpus, so that ``execution.drop_document_below: 0.8`` keeps a fifth.
    """

    kind: Literal["dsir"]
    model: str
    """A folder that ``adapt`` made (``adapt.task=selection``)."""


class RandomSettings(Section):
    """Documents chosen by chance, the baseline of every selection. Document stage.

    ``keep_score`` is a uniform number that follows from the document's id, the same on any cluster:
    ``execution.drop_document_below: 0.8`` keeps a fifth.
    """

    kind: Literal["random"]
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    """Another seed chooses others."""


class ColumnSettings(Section):
    """Documents chosen by a score that the corpus brings: of QuRating, DsDm, MATES, a classifier, a perplexity. Document stage.

    A document without a number there fails, alone, and is counted.
    """

    kind: Literal["column"]
    column: str
    """A column of ``documents``, else a key of its ``metadata``, where ingest puts all columns of the corpus that it does not
    know."""
    scale: tuple[float, float] | None = None
    """The values that become 0 and 1, linearly; what lies beyond is clipped. The first is the larger one where less is better.
    Without it the values are in [0, 1], and a document with another one fails."""

    @field_validator("scale")
    @classmethod
    def _apart(cls, scale: tuple[float, float] | None) -> tuple[float, float] | None:
        if scale is not None and not (all(map(math.isfinite, scale)) and scale[0] != scale[1]):
            raise ValueError(f"{list(scale)}: two different numbers are needed, those that become 0 and 1")
        return scale


class ScriptedSettings(Section):
    """Answers from a table, with faults on demand: what tests of everything around an engine run with.

    A key of ``answers`` is a text, the sha256 (hex) of a text, or a part of one, looked for in this order. A string is
    the output; a number is the document's ``keep_score``; a list of numbers is the lines' scores.
    """

    kind: Literal["scripted"]
    answers: dict[str, str | float | tuple[float, ...]] = {}
    """What is answered to which text."""
    default: str | None = None
    """The answer to every other text; ``keep_doc()`` or ``keep_chunk()`` unless given."""
    lines_per_chunk: Annotated[int, Field(gt=0)] | None = None
    """Cut documents into chunks of so many lines; the whole document is one chunk unless given."""
    calls_file: str | None = None
    """A file that gets one line for each answered request: the stage and the text's sha256."""
    error_on: str | None = None
    """A request whose text holds this part fails, alone."""
    crash_on: str | None = None
    """A request whose text holds this part kills the process that answers it (SIGKILL)."""
    crash_marker: str | None = None
    """With this file ``crash_on`` kills once: the file is written first, and where it exists nothing is killed."""
    seconds_per_call: Annotated[float, Field(ge=0)] = 0.0
    """How long each answer takes."""


class TransformersSettings(Section):
    """Hugging Face transformers, in batches by length: for where vLLM is not."""

    kind: Literal["transformers"]
    model: str
    """A model folder, or the name of a repository on the model hub."""
    revision: str | None = None
    """Branch, tag or commit of that repository."""


class VllmSettings(Section):
    """vLLM, one engine for each GPU or, without one, for each executor."""

    kind: Literal["vllm"]
    model: str
    """A model folder, or the name of a repository on the model hub."""
    revision: str | None = None
    """Branch, tag or commit of that repository."""
    options: dict[str, Any] = {}
    """vLLM's own engine arguments by name (``gpu_memory_utilization``, ``max_num_seqs``, …). Those that can change answers
    (``dtype``, ``quantization``, ``max_model_len``, …) make another refiner."""


class EndpointSettings(Section):
    """An OpenAI-compatible endpoint, and how it is asked."""

    model: str
    """The model's name at the endpoint."""
    base_url: str
    """Where the endpoint's paths begin: ``http://host:8000/v1`` for ``vllm serve``, ``https://HOST/serving-endpoints``."""
    api_key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key where the tasks run (the executors); not set: an endpoint without one."""
    max_in_flight: Annotated[int, Field(gt=0, le=1000)] = 64
    """Requests of one task that are unanswered at a time."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 120.0
    """An answer that takes longer is given up, and the request sent again."""
    retries: Annotated[int, Field(ge=0)] = 6
    """How often a request is sent again, with growing pauses: after 429, 5xx, a lost connection, an unusable answer."""

    @field_validator("base_url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address: it begins with http:// or https:// and names a host")
        if parts.username is not None or parts.query:
            # The address is written to tables and messages.
            raise ValueError("a password or query must not stand in it: a key belongs in an environment variable")
        return url


class OpenaiSettings(EndpointSettings):
    """Any OpenAI-compatible completions endpoint: ``vllm serve``, a Databricks serving endpoint.

    Spark tasks ask it themselves and need no GPU. The model runs at the endpoint; the refiner's own files say how it is
    asked.
    """

    kind: Literal["openai"]
    model: str
    """The model's name at the endpoint; part of the refiner's fingerprint, as its weights cannot be seen from here."""
    refiner: str
    """A folder, or a repository on the model hub, with tokenizer, ``config.json`` and ``refiner.json``; no weights needed."""
    revision: str | None = None
    """Branch, tag or commit of that repository."""
    prompt: Literal["token_ids", "text"] = "token_ids"
    """How prompts are sent; ``text`` for endpoints that take nothing else: they tokenise it again, and add their BOS."""


ModelSettings = OpenaiSettings | TransformersSettings | VllmSettings
"""Engines whose refiner is a model: prompts are token ids."""

EngineSettings = Annotated[
    RulesSettings
    | StatisticsSettings
    | DsirSettings
    | RandomSettings
    | ColumnSettings
    | ScriptedSettings
    | TransformersSettings
    | VllmSettings
    | OpenaiSettings,
    Field(discriminator="kind"),
]
