"""Engine settings in a configuration: a frozen model for each ``kind``."""

import json
import math
import re
import urllib.parse
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from prox_spark.credentials import in_options, reason
from prox_spark.rules.catalogue import known_names
from prox_spark.section import Section
from prox_spark.suggest import unknown

HARMLESS_OPTIONS = frozenset(
    {
        *("gpu_memory_utilization", "kv_cache_memory_bytes", "num_gpu_blocks_override", "swap_space", "block_size"),
        *("max_num_seqs", "max_num_batched_tokens", "max_num_partial_prefills", "max_long_partial_prefills"),
        *("enable_chunked_prefill", "enable_prefix_caching", "scheduling_policy", "async_scheduling"),
        *("disable_log_stats", "enable_log_requests", "enable_logging_iteration_details", "use_tqdm_on_load"),
        *("max_num_scheduled_tokens", "long_prefill_token_threshold", "cpu_offload_gb", "kv_offloading_size"),
        *("log_level", "logging_config", "log_config_file", "aggregate_engine_logging", "kv_cache_metrics"),
        *("otlp_traces_endpoint", "collect_detailed_traces", "show_hidden_metrics_for_version"),
        *("max_parallel_loading_workers", "download_dir"),
    }
)
"""vLLM's options for memory, number of sequences, batching and logging: they change no answer. Every other option is part of
the refiner's fingerprint."""


NEUTRAL_OPTIONS: dict[str, Any] = {
    **dict.fromkeys(
        ("dtype", "load_format", "tokenizer_mode", "config_format", "model_impl", "kv_cache_dtype"), "auto"
    ),
    **dict.fromkeys(("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"), 1),
    **dict.fromkeys(("enforce_eager", "enable_lora", "trust_remote_code"), False),
    "hf_overrides": {},
}
"""vLLM's own defaults of options that change answers: writing one out changes nothing."""


def answering_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The engine options that can change answers: neither harmless, nor null, nor at vLLM's own default."""
    return {
        name: value
        for name, value in options.items()
        if name not in HARMLESS_OPTIONS and value is not None and NEUTRAL_OPTIONS.get(name, value is None) != value
    }


class RulesSettings(Section):
    """Classic web filters, without a model. ``docs/rules.md`` lists all rules with source and threshold."""

    kind: Literal["rules"]
    rules: tuple[str, ...] | None = None
    """Names of rules and sets (``gopher_quality``, ``gopher_repetition``, ``c4``, ``fineweb``, ``refinedweb``, ``all``).
    Default: the stage's defaults."""

    @field_validator("rules")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        known = known_names()
        for name in names or ():
            if name not in known:
                raise ValueError(unknown("rule", name, known))
        return names


class StatisticsSettings(Section):
    """Scores documents with weights on statistics of their text, without a model. For the document stage."""

    kind: Literal["statistics"]
    model: str
    """A folder made by ``adapt`` (``adapt.task=documents``), or a refiner that ships with the package."""


class DsirSettings(Section):
    """Selects documents that resemble a target corpus, with hashed n-gram importance resampling (DSIR). For the document stage.

    ``keep_score`` is a document's rank in the raw corpus, so ``execution.drop_document_below: 0.8`` keeps a fifth.
    """

    kind: Literal["dsir"]
    model: str
    """A folder made by ``adapt`` (``adapt.task=selection``)."""


class RandomSettings(Section):
    """Selects documents at random, as a baseline. For the document stage.

    ``keep_score`` is a uniform random number, computed from the document's id and ``seed``, so it is the same on any
    cluster: ``execution.drop_document_below: 0.8`` keeps a fifth.
    """

    kind: Literal["random"]
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    """Random seed."""


class ColumnSettings(Section):
    """Selects documents by a score in the corpus: QuRating, DsDm, MATES, a classifier, a perplexity. For the document stage.

    A document without a valid number fails and is counted; the other documents are not affected.
    """

    kind: Literal["column"]
    column: str
    """A column of ``documents``, or a key of ``metadata``, where ingest puts corpus columns that it does not know."""
    scale: tuple[float, float] | None = None
    """The two values that map to 0 and 1, linearly; values beyond are clipped. If less is better, the first is the larger.
    Without ``scale``, values must be in [0, 1]; a document with another value fails."""

    @field_validator("scale")
    @classmethod
    def _apart(cls, scale: tuple[float, float] | None) -> tuple[float, float] | None:
        if scale is not None and not (all(map(math.isfinite, scale)) and scale[0] != scale[1]):
            raise ValueError(f"{list(scale)}: give two different numbers: the values that map to 0 and 1")
        return scale


class DuplicatesSettings(Section):
    """Keeps one document of each group with equal or nearly equal text (``docs/duplicates.md``). For the document stage.

    ``keep_score`` is 1 for a document that is kept and 0 for its duplicates. The defaults are those of FineWeb: two texts that
    share 75% of their shingles are found with a probability of 77%.
    """

    kind: Literal["duplicates"]
    keep: Literal["first", "longest", "best_score"] = "first"
    """Which document of a group is kept: the first in order of arrival, the longest, or the one with the best ``score``. An
    earlier run's document is always kept."""
    score: str | None = None
    """For ``best_score``: a column of ``documents``, or a key of ``metadata``, with numbers. More is better."""
    words: Annotated[int, Field(gt=0, le=100)] = 5
    """Words of a shingle."""
    buckets: Annotated[int, Field(ge=0, le=1000)] = 14
    """Documents with an equal bucket are duplicates; more buckets find less similar ones. 0: only equal normalised texts."""
    hashes: Annotated[int, Field(gt=0, le=100)] = 8
    """MinHash values per bucket; more values require more similarity."""

    @model_validator(mode="after")
    def _with_score(self) -> "DuplicatesSettings":
        if (self.keep == "best_score") != (self.score is not None):
            raise ValueError("keep: best_score and score go together: set both or neither")
        return self


class ScriptedSettings(Section):
    """Answers from a table, with faults on demand, for tests.

    A key of ``answers`` is a text, the SHA-256 (hex) of a text, or a part of a text; they are tried in this order. A value is
    a string (the output), a number (the document's ``keep_score``) or a list of numbers (the scores of the lines).
    """

    kind: Literal["scripted"]
    answers: dict[str, str | float | tuple[float, ...]] = {}
    """Answers by text."""
    default: str | None = None
    """The answer to every other text. Default: ``keep_doc()`` or ``keep_chunk()``."""
    lines_per_chunk: Annotated[int, Field(gt=0)] | None = None
    """Lines per chunk. Default: the whole document is one chunk."""
    calls_file: str | None = None
    """A log file with a line for each answered request: the stage and the SHA-256 of the text."""
    error_on: str | None = None
    """A request whose text contains this fails."""
    crash_on: str | None = None
    """A request whose text contains this kills the process that answers it (SIGKILL)."""
    crash_marker: str | None = None
    """With this file ``crash_on`` kills only once: the file is created first, and while it exists nothing is killed."""
    seconds_per_call: Annotated[float, Field(ge=0)] = 0.0
    """Duration of each answer, in seconds."""


class TransformersSettings(Section):
    """Hugging Face transformers, in batches of similar length, for machines without vLLM."""

    kind: Literal["transformers"]
    model: str
    """A model folder, or a repository on the model hub."""
    revision: str | None = None
    """Branch, tag or commit of that repository."""


class OnnxSettings(Section):
    """Token classifiers on onnxruntime, in the task itself, for CPUs: needs neither torch nor vLLM.

    Runs ModernBERT token classifiers, which the line scorers of ``adapt`` and of the package are.
    """

    kind: Literal["onnx"]
    model: str
    """A model folder, or a repository on the model hub."""
    revision: str | None = None
    """Branch, tag or commit of that repository."""
    precision: Literal["float32", "int8"] | None = None
    """Precision of matrix products. ``int8`` is faster and makes another refiner; ``float32`` scores as ``vllm`` and
    ``transformers`` do, within 1e-4. Default: ``int8`` if ``int8`` is true in the stage's part of ``refiner.json``, which
    ``adapt`` writes where the F1 of validation pages stays within .002; else ``float32``."""


class VllmSettings(Section):
    """vLLM: one engine for each GPU, or for each executor without a GPU."""

    kind: Literal["vllm"]
    model: str
    """A model folder, or a repository on the model hub."""
    revision: str | None = None
    """Branch, tag or commit of that repository."""
    options: dict[str, Any] = {}
    """vLLM's own engine arguments by name (``gpu_memory_utilization``, ``max_num_seqs``, …). Those that can change answers
    (``dtype``, ``quantization``, ``max_model_len``, …) make another refiner."""

    @field_validator("options")
    @classmethod
    def _plain(cls, options: dict[str, Any]) -> dict[str, Any]:
        if "hf_token" in options:
            raise ValueError("hf_token is a secret: set HF_TOKEN in the environment of driver and executors instead")
        if (why := in_options(options)) is not None:
            raise ValueError(why)
        for name, value in options.items():
            try:
                json.dumps(value, sort_keys=True)
            except TypeError as error:
                raise ValueError(f"{name} must be plain YAML, with text as keys: {error}") from None
        return options


class EndpointSettings(Section):
    """An OpenAI-compatible endpoint and its client settings."""

    model: str
    """The model's name at the endpoint."""
    base_url: str
    """Base URL of the endpoint: ``http://host:8000/v1`` for ``vllm serve``, ``https://HOST/serving-endpoints``."""
    api_key_variable: str = "OPENAI_API_KEY"
    """Environment variable with the API key, on the executors. If it is not set, no key is sent."""
    max_in_flight: Annotated[int, Field(gt=0, le=1000)] = 64
    """Maximum open requests of a task."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 120.0
    """Timeout of a request. After it, the request is sent again."""
    retries: Annotated[int, Field(ge=0)] = 6
    """Maximum retries of a request, with increasing delays: after 429, 5xx, a lost connection or an unusable answer."""

    @field_validator("base_url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        if "@" in url or parts.query or reason(url) is not None:
            # The address is written to tables and messages.
            raise ValueError("it must not contain a password, key or query: put the key into an environment variable")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not a URL: it must begin with http:// or https:// and name a host")
        if parts.path.rstrip("/").endswith("/completions"):
            raise ValueError("leave out /completions and /chat/completions at its end: they are added to it")
        return url

    @field_validator("api_key_variable")
    @classmethod
    def _variable(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            # Not shown: it may be the key itself.
            raise ValueError("it must be the name of an environment variable: letters, digits and '_'")
        return name


class OpenaiSettings(EndpointSettings):
    """Any OpenAI-compatible endpoint: ``vllm serve``, a Databricks serving endpoint, and those in ``docs/running.md``.

    Spark tasks call it directly and need no GPU. The model runs at the endpoint; the refiner's files define the prompts.
    """

    kind: Literal["openai"]
    model: str
    """The model's name at the endpoint. It is part of the refiner's fingerprint, because the weights are not visible here."""
    refiner: str
    """A folder or hub repository with tokenizer, ``config.json`` and ``refiner.json``; weights are not needed."""
    revision: str | None = None
    """Branch, tag or commit of that repository."""
    prompt: Literal["token_ids", "text"] = "token_ids"
    """Format of prompts. Text is tokenised again by the endpoint, which adds its BOS token. If the endpoint does not accept
    token ids, prompts are sent as text, or as chat messages, and the log says so."""
    batch: bool = False
    """Send requests through the provider's batch API (``/v1/batches``): cheaper, but answers may take 24 hours. A restarted
    job waits for the batches that it has submitted."""


ModelSettings = OnnxSettings | OpenaiSettings | TransformersSettings | VllmSettings
"""Engines that run a model. Prompts are token ids."""

EngineSettings = Annotated[
    RulesSettings
    | StatisticsSettings
    | DsirSettings
    | RandomSettings
    | ColumnSettings
    | DuplicatesSettings
    | ScriptedSettings
    | OnnxSettings
    | TransformersSettings
    | VllmSettings
    | OpenaiSettings,
    Field(discriminator="kind"),
]
