"""Settings of ``adapt``."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from prox_spark.config.shapes import PAPER_SIZES, named_shape
from prox_spark.config.target import TargetConfig
from prox_spark.section import Section

Task = Literal["lines", "programs", "documents", "selection"]


class Shape(Section):
    """A model with random weights: ModernBERT for scores of lines or documents, Llama for programs."""

    vocabulary: Annotated[int, Field(ge=512)] = 4096
    """Size of the byte-level BPE vocabulary that is trained on the pages, without the marks of the template."""
    hidden: Annotated[int, Field(ge=64, multiple_of=64)] = 256
    """Hidden dimensions."""
    feed_forward: Annotated[int, Field(ge=64)] = 512
    """Width of the gated feed-forward layers."""
    layers: Annotated[int, Field(ge=1)] = 6
    """Number of layers. In ModernBERT every second layer attends to the whole window, the others to 64 tokens on each side."""
    heads: Annotated[int, Field(ge=1)] | None = None
    """Attention heads. Default: one for every 64 dimensions."""
    kv_heads: Annotated[int, Field(ge=1)] | None = None
    """Key and value heads (Llama). Default: as many as heads."""


SIZES = {name: Shape(vocabulary=32_000, **size) for name, size in PAPER_SIZES.items()}
"""The model sizes of the ProX paper, by name."""


class AdaptConfig(Section):
    """Training a refiner on labelled pages or documents."""

    name: str
    """Name of the refiner, for its ``refiner.json`` and its card."""
    output: str
    """Folder to create; it must not exist."""
    task: Task = "lines"
    """``lines``: P(keep) of each line. ``programs``: a causal model that writes ``remove_lines``. ``documents``:
    ``keep_score`` of a whole document. ``selection``: resemblance of the store's documents to ``target`` (``docs/selection.md``);
    its other keys are ``min_words``, ``raw_documents``, ``seed`` and ``card``."""
    train: list[str] = []
    """Files with labels: ``raw_content`` (or ``text``) and ``gold_keep``, a 0 or 1 for each line; for ``documents``
    ``gold_keep_doc``, a 0 or 1. Required except for ``selection``."""
    validation: list[str] = []
    """Files in the same format with pages of other sites. They select the best checkpoint and calibrate a line scorer; each
    file is reported. Required except for ``selection``."""
    base: str | None = None
    """A model to start from: a folder or a repository (causal, or the encoder of a token classifier). Without it, training
    starts with random weights of ``shape`` and a vocabulary trained on the pages."""
    revision: str | None = None
    """Branch, tag or commit of ``base``."""
    shape: Shape = Shape()
    """Shape of the model without ``base``: a mapping, or ``xs``, ``s`` or ``m``, the paper's sizes."""
    template: str | None = None
    """Prompt template. Default without ``base``: ``marked/2`` (scores) or ``numbered/1`` (programs); with ``base``: ``lines/1``
    or ``text/1``."""
    window: Annotated[int, Field(ge=64)] = 384
    """Maximum tokens of a chunk (``documents``: of a document; longer ones are cut)."""
    context: Annotated[int, Field(ge=128)] = 4096
    """Context length in tokens (prompt and answer) of a model with random weights."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    """Passes over the training pages."""
    batch_tokens: Annotated[int, Field(gt=0)] = 8192
    """Tokens per step and process, including padding."""
    packing: bool = False
    """Pack several examples into a row with separate attention; otherwise pad batches of similar length."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """Peak learning rate: after a short linear warm-up, the rate decays with a cosine."""
    final_rate: Annotated[float, Field(ge=0, le=1)] = 0.03
    """Final learning rate, as a share of the peak rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """AdamW weight decay."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout rate (models with random weights)."""
    noise: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of prompt tokens that are masked in training, so that the model does not depend on single tokens."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay per step of the exponential moving average of the weights. The average is evaluated and kept; 0 turns it off."""
    evaluations: Annotated[int, Field(ge=1)] = 6
    """Number of evaluations on the validation pages. The best checkpoint is kept; an interrupted run resumes from the last."""
    seed: int = 0
    """Seed for initialisation, order, noise and dropout."""
    processes: Annotated[int, Field(ge=1)] = 1
    """Processes that share each step, started by PySpark's ``TorchDistributor``; one GPU each if there are GPUs."""
    cluster: bool = False
    """Run these processes on the cluster's executors (with GPUs if ``spark.task.resource.gpu.amount`` is set) instead of the
    driver."""
    target: TargetConfig | None = None
    """``selection``: the target corpus."""
    min_words: Annotated[int, Field(ge=1)] = 100
    """``selection``: documents with fewer words get ``keep_score`` 0. The default is DSIR's."""
    raw_documents: Annotated[int, Field(ge=1)] = 1_000_000
    """``selection``: approximate size of the sample of the store's documents that serves as raw corpus, drawn by a hash of id
    and seed; a smaller store is used completely."""
    card: str = ""
    """Text to add to the card after recipe and scores, such as credits of the data and limits (Markdown)."""

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, given: Any) -> Any:
        return named_shape(given, SIZES)

    @model_validator(mode="after")
    def _complete(self) -> "AdaptConfig":
        needed = ("target",) if self.task == "selection" else ("train", "validation")
        for name in ("train", "validation", "target"):
            if name in needed and not getattr(self, name):
                raise ValueError(f"{name} is missing: task {self.task} needs it")
            if name not in needed and getattr(self, name):
                raise ValueError(f"{name} is set, but task {self.task} does not use it")
        return self
