"""Settings of ``pretrain``."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from prox_spark.config.shapes import PAPER_SIZES, default_heads, named_shape
from prox_spark.section import Section


class ModelShape(Section):
    """A Llama with random weights, with the vocabulary of the token shards."""

    hidden: Annotated[int, Field(ge=16)] = 128
    """Hidden dimensions."""
    feed_forward: Annotated[int, Field(ge=16)] = 384
    """Width of the gated feed-forward layers."""
    layers: Annotated[int, Field(ge=1)] = 4
    """Number of layers."""
    heads: Annotated[int, Field(ge=1)] | None = None
    """Attention heads. Default: one for every 64 dimensions."""
    kv_heads: Annotated[int, Field(ge=1)] | None = None
    """Key and value heads. Default: as many as heads."""
    tied: bool = False
    """Share input and output embeddings."""

    @model_validator(mode="after")
    def _divides(self) -> "ModelShape":
        heads = self.heads or default_heads(self.hidden)
        if self.hidden % heads or self.hidden // heads % 2:
            raise ValueError(f"hidden {self.hidden} must be an even number of dimensions for each of {heads} heads")
        if heads % (self.kv_heads or heads):
            raise ValueError(f"kv_heads {self.kv_heads} must divide the {heads} heads")
        return self


SIZES = {
    "tiny": ModelShape(tied=True),
    **{name: ModelShape(**size) for name, size in PAPER_SIZES.items()},
}
"""``tiny`` (0.9 million parameters without embeddings) trains on a laptop. The others are the paper's TLM-XS, TLM-S and
TLM-M, with separate input and output embeddings."""


class PretrainConfig(Section):
    """Training of a causal model on token shards. The defaults are the paper's for its XS and S models, from its repository
    (GAIR-NLP/ProX, ``train/configs/general``)."""

    name: str
    """Name of the model, for its card."""
    data: str
    """Folder with token shards from ``export --format tokens``."""
    output: str
    """Folder to create; it must not exist."""
    shape: ModelShape | None = None
    """Shape of a model with random weights: ``tiny``, one of the paper's sizes ``xs``, ``s``, ``m``, or a mapping."""
    base: str | None = None
    """A causal model to continue from, instead of ``shape``: a folder or a repository, with the tokenizer of the shards."""
    revision: str | None = None
    """Branch, tag or commit of ``base``."""
    tokens: Annotated[int, Field(gt=0)]
    """Number of training tokens, rounded down to whole steps of ``batch_tokens``."""
    passes: Annotated[float, Field(gt=0)] = 1.0
    """Maximum passes over a corpus with fewer than ``tokens`` tokens; if they are not enough, it is refused. Up to four passes
    cost little quality (Muennighoff and others, 2023, arXiv 2305.16264)."""
    sequence: Annotated[int, Field(ge=8)] = 2048
    """Tokens of a sequence; also the context length of a new model."""
    batch_tokens: Annotated[int, Field(gt=0)] = 1024 * 2048
    """Tokens per step over all processes; a multiple of ``sequence``."""
    micro_batch: Annotated[int, Field(gt=0)] = 16
    """Sequences per forward pass of a process; limited by memory."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """Peak learning rate: after a linear warm-up, the rate decays with a cosine. The paper uses 3e-4 for M, 8e-5 when it
    continues from a base, and 2e-5 for 7B Mistral."""
    final_rate: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Final learning rate, as a share of the peak rate."""
    warm_up: Annotated[int, Field(ge=0)] = 500
    """Warm-up steps, at most a tenth of all steps. The paper uses none when it continues from a base."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """AdamW weight decay (betas .9 and .95; gradients are clipped to a norm of 1)."""
    validation: list[str] = []
    """Files of held-out text, in the formats of ``evaluate.perplexity``, to measure perplexity during training."""
    validation_bytes: Annotated[int, Field(gt=0)] = 200_000
    """Read about this many bytes from the start of each of these files."""
    text_key: str = "text"
    """Key or column of the text in these files."""
    evaluations: Annotated[int, Field(ge=1)] = 10
    """Number of evaluations, evenly spaced, the last one at the end."""
    checkpoint_every: Annotated[int, Field(gt=0)] = 500
    """Steps between saved states; each evaluation also saves one. An interrupted run resumes from the last."""
    seed: int = 0
    """Seed for initialisation and the order of sequences."""
    processes: Annotated[int, Field(ge=1)] = 1
    """Processes that share each step, started by PySpark's ``TorchDistributor``; one GPU each if there are GPUs."""
    cluster: bool = False
    """Run these processes on the cluster's executors (with GPUs if ``spark.task.resource.gpu.amount`` is set) instead of the
    driver."""
    card: str = ""
    """Text to add to the card after recipe and measurements (Markdown)."""

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, given: Any) -> Any:
        return named_shape(given, SIZES)

    @model_validator(mode="after")
    def _fits(self) -> "PretrainConfig":
        if (self.shape is None) == (self.base is None):
            raise ValueError(f"set either pretrain.shape ({', '.join(SIZES)}, or a mapping) or pretrain.base, not both")
        if self.batch_tokens % self.sequence:
            raise ValueError(
                f"pretrain.batch_tokens ({self.batch_tokens}) must be a multiple of pretrain.sequence ({self.sequence})"
            )
        if (self.batch_tokens // self.sequence) % self.processes:
            raise ValueError(
                f"pretrain.batch_tokens has {self.batch_tokens // self.sequence} sequences, which pretrain.processes "
                f"({self.processes}) cannot divide evenly"
            )
        if self.tokens < self.batch_tokens:
            raise ValueError(
                f"pretrain.tokens ({self.tokens}) is less than one step of pretrain.batch_tokens ({self.batch_tokens})"
            )
        return self

    @property
    def steps(self) -> int:
        """Optimizer steps of the run."""
        return self.tokens // self.batch_tokens

    @property
    def trained_tokens(self) -> int:
        """Tokens of the run: those of whole steps."""
        return self.steps * self.batch_tokens
