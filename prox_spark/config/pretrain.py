"""What ``pretrain`` is told."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from prox_spark.config.shapes import PAPER_SIZES, default_heads, named_shape
from prox_spark.section import Section


class ModelShape(Section):
    """A Llama with random weights; its vocabulary is the token shards' tokenizer's."""

    hidden: Annotated[int, Field(ge=16)] = 128
    """Dimensions."""
    feed_forward: Annotated[int, Field(ge=16)] = 384
    """Width of the gated feed-forward layers."""
    layers: Annotated[int, Field(ge=1)] = 4
    """Layers."""
    heads: Annotated[int, Field(ge=1)] | None = None
    """Attention heads; one for every 64 dimensions unless given."""
    kv_heads: Annotated[int, Field(ge=1)] | None = None
    """Heads of keys and values; as many as heads unless given."""
    tied: bool = False
    """Whether input and output embeddings are shared."""

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
"""``tiny`` (0.9 million parameters beside its embeddings) learns on a laptop; the others are the paper's TLM-XS, TLM-S and
TLM-M, whose input and output embeddings are two matrices."""


class PretrainConfig(Section):
    """Training a causal model on token shards. Defaults are the paper's for its XS and S models, as its repository has them
    (GAIR-NLP/ProX, ``train/configs/general``)."""

    name: str
    """Name of the model; stands on its card."""
    data: str
    """Folder with token shards, as ``export --format tokens`` writes it."""
    output: str
    """Folder that is made; it must not exist."""
    shape: ModelShape | None = None
    """The model with random weights: ``tiny``, one of the paper's sizes ``xs``, ``s``, ``m``, or a mapping."""
    base: str | None = None
    """Instead of ``shape``, a causal model to go on from, a folder or a repository, with the tokenizer of the shards."""
    revision: str | None = None
    """Commit or branch of ``base``."""
    tokens: Annotated[int, Field(gt=0)]
    """Tokens to train on; whole steps of ``batch_tokens`` that fit are made."""
    passes: Annotated[float, Field(gt=0)] = 1.0
    """A corpus that holds fewer than ``tokens`` is refused unless so many passes over it suffice. Up to four cost little
    (Muennighoff and others, 2023, arXiv 2305.16264)."""
    sequence: Annotated[int, Field(ge=8)] = 2048
    """Tokens of a sequence; the model's context where it is new."""
    batch_tokens: Annotated[int, Field(gt=0)] = 1024 * 2048
    """Tokens of a step, all processes together; whole sequences."""
    micro_batch: Annotated[int, Field(gt=0)] = 16
    """Sequences that a process computes at a time: what memory allows."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """At its peak: a linear rise, then a cosine. The paper: 3e-4 for M, 8e-5 where it goes on from a base, 2e-5 for 7B
    Mistral."""
    final_rate: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the peak rate where the cosine ends."""
    warm_up: Annotated[int, Field(ge=0)] = 500
    """Steps until the peak, at most a tenth of all; the paper has none where it goes on from a base."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """Of AdamW (betas .9 and .95; gradients are clipped to a norm of 1)."""
    validation: list[str] = []
    """Files of held-out text (``evaluate.perplexity`` says which forms): its perplexity is measured as training goes on."""
    validation_bytes: Annotated[int, Field(gt=0)] = 200_000
    """About so many bytes of each of those files, from its beginning."""
    text_key: str = "text"
    """Key or column of the text in those files."""
    evaluations: Annotated[int, Field(ge=1)] = 10
    """So many times, evenly, they are measured; the last time at the end."""
    checkpoint_every: Annotated[int, Field(gt=0)] = 500
    """Steps between two saved states; each evaluation saves one too. An interrupted run goes on from the last."""
    seed: int = 0
    """Of initialisation and of the order of sequences."""
    processes: Annotated[int, Field(ge=1)] = 1
    """Processes that share each step, started by PySpark's ``TorchDistributor``; a GPU each where there are GPUs."""
    cluster: bool = False
    """Whether those processes run on the cluster's executors (with GPUs where ``spark.task.resource.gpu.amount`` is set); on the
    driver otherwise."""
    card: str = ""
    """What the card says beside recipe and measurements (Markdown)."""

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, given: Any) -> Any:
        return named_shape(given, SIZES)

    @model_validator(mode="after")
    def _fits(self) -> "PretrainConfig":
        if (self.shape is None) == (self.base is None):
            raise ValueError(f"name pretrain.shape ({', '.join(SIZES)}, or a mapping) or pretrain.base, and not both")
        if self.batch_tokens % self.sequence:
            raise ValueError(
                f"pretrain.batch_tokens ({self.batch_tokens}) must be whole sequences of pretrain.sequence ({self.sequence})"
            )
        if (self.batch_tokens // self.sequence) % self.processes:
            raise ValueError(
                f"pretrain.batch_tokens has {self.batch_tokens // self.sequence} sequences, which pretrain.processes "
                f"({self.processes}) cannot share evenly"
            )
        if self.tokens < self.batch_tokens:
            raise ValueError(
                f"pretrain.tokens ({self.tokens}) is less than one step of pretrain.batch_tokens ({self.batch_tokens})"
            )
        return self

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.tokens // self.batch_tokens

    @property
    def trained_tokens(self) -> int:
        """Tokens of the whole run: those of whole steps."""
        return self.steps * self.batch_tokens
