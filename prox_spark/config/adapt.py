"""What ``adapt`` is told."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from prox_spark.config.shapes import PAPER_SIZES, named_shape
from prox_spark.config.target import TargetConfig
from prox_spark.section import Section

Task = Literal["lines", "programs", "documents", "selection"]


class Shape(Section):
    """A model with random weights: ModernBERT where lines or documents are scored, Llama where programs are written."""

    vocabulary: Annotated[int, Field(ge=512)] = 4096
    """Entries of the byte-level BPE that is trained on the pages; the template's marks come on top."""
    hidden: Annotated[int, Field(ge=64, multiple_of=64)] = 256
    """Dimensions."""
    feed_forward: Annotated[int, Field(ge=64)] = 512
    """Width of the gated feed-forward layers."""
    layers: Annotated[int, Field(ge=1)] = 6
    """ModernBERT: every second one looks at the whole window, the others at 64 tokens to each side."""
    heads: Annotated[int, Field(ge=1)] | None = None
    """Attention heads; one for every 64 dimensions unless given."""
    kv_heads: Annotated[int, Field(ge=1)] | None = None
    """Heads of keys and values (Llama); as many as heads unless given."""


SIZES = {name: Shape(vocabulary=32_000, **size) for name, size in PAPER_SIZES.items()}
"""ProX's own sizes by their names."""


class AdaptConfig(Section):
    """Training a refiner on labelled pages or documents."""

    name: str
    """Name of the refiner; stands in its ``refiner.json`` and on its card."""
    output: str
    """Folder that is made; it must not exist."""
    task: Task = "lines"
    """``lines``: P(keep) of each line. ``programs``: a causal model that writes ``remove_lines``. ``documents``:
    ``keep_score`` of a whole document. ``selection``: how much the store's documents resemble ``target`` (``docs/selection.md``);
    of the other keys it reads ``min_words``, ``raw_documents``, ``seed`` and ``card``."""
    train: list[str] = []
    """Files with labels: ``raw_content`` (or ``text``) and ``gold_keep``, a 0 or 1 for each line; for ``documents``
    ``gold_keep_doc``, a 0 or 1. Required but for ``selection``."""
    validation: list[str] = []
    """Files of other sites, of the same form, each reported: they choose the best checkpoint, and calibrate a line scorer.
    Required but for ``selection``."""
    base: str | None = None
    """A model to start from, a folder or a repository (causal, or a token classifier's encoder); random weights of
    ``shape`` and a vocabulary of the pages' own without it."""
    revision: str | None = None
    """Commit or branch of ``base``."""
    shape: Shape = Shape()
    """The model without ``base``; also ``xs``, ``s`` or ``m``, the paper's sizes."""
    template: str | None = None
    """Prompt template; without ``base`` ``marked/2`` (scores) or ``numbered/1`` (programs), with one ``lines/1`` or
    ``text/1``."""
    window: Annotated[int, Field(ge=64)] = 384
    """Tokens of a chunk (``documents``: of a document, which is cut there)."""
    context: Annotated[int, Field(ge=128)] = 4096
    """Longest prompt with its answer, in tokens, of a model with random weights."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    """Passes over the training pages."""
    batch_tokens: Annotated[int, Field(gt=0)] = 8192
    """Tokens of a step and process, padding counted."""
    packing: bool = False
    """Several examples share a row, each seeing itself alone, where batches of like lengths are padded otherwise."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """At its peak: a short linear rise, then a cosine."""
    final_rate: Annotated[float, Field(ge=0, le=1)] = 0.03
    """Share of the peak rate where the cosine ends."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """Of AdamW."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of values that are dropped in training (models with random weights)."""
    noise: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of prompt tokens that are hidden in training, so that a model leans on no single one."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay, a step, of the exponential average of the weights that is evaluated and kept; 0 keeps the weights themselves."""
    evaluations: Annotated[int, Field(ge=1)] = 6
    """So many checkpoints are scored on the validation pages; the best is kept. An interrupted run goes on from the last."""
    seed: int = 0
    """Of initialisation, order, noise and dropout."""
    processes: Annotated[int, Field(ge=1)] = 1
    """Processes that share each step, started by PySpark's ``TorchDistributor``; a GPU each where there are GPUs."""
    cluster: bool = False
    """Whether those processes run on the cluster's executors (with GPUs where ``spark.task.resource.gpu.amount`` is set); on the
    driver otherwise."""
    target: TargetConfig | None = None
    """``selection``: the corpus that chosen documents resemble."""
    min_words: Annotated[int, Field(ge=1)] = 100
    """``selection``: documents of fewer words get ``keep_score`` 0; DSIR's own number."""
    raw_documents: Annotated[int, Field(ge=1)] = 1_000_000
    """``selection``: about so many of the store's documents are the raw corpus, drawn by a hash of their id and the seed; all,
    where it has no more."""
    card: str = ""
    """What the card says beside recipe and scores: credits of the data, limits (Markdown)."""

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
                raise ValueError(f"{name} is given, which task {self.task} does not read")
        return self
