"""What ``adapt`` is told."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ScorerShape(_Settings):
    """A bidirectional encoder (ModernBERT) with a head of two classes, and its vocabulary."""

    vocabulary: Annotated[int, Field(ge=512)] = 4096
    """Entries of the byte-level BPE that is trained on the pages; the template's marks come on top."""
    hidden: Annotated[int, Field(ge=64, multiple_of=64)] = 128
    """Dimensions; every 64 of them are an attention head."""
    feed_forward: Annotated[int, Field(ge=64)] = 256
    """Width of the gated feed-forward layers."""
    layers: Annotated[int, Field(ge=1)] = 4
    """Every second one looks at the whole window, the others at 64 tokens to each side."""


class AdaptConfig(_Settings):
    """Training a line scorer from scratch on labelled pages."""

    name: str
    """Name of the refiner; stands in its ``refiner.json`` and on its card."""
    output: str
    """Folder that is made; it must not exist."""
    train: list[str]
    """Files of labelled pages: ``raw_content`` (or ``text``) and ``gold_keep``, a 0 or 1 for each line."""
    validation: list[str]
    """Files of labelled pages of other sites: they choose the best checkpoint and calibrate it, each file reported."""
    shape: ScorerShape = ScorerShape()
    """The model."""
    window: Annotated[int, Field(ge=64)] = 384
    """Tokens of a chunk."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    """Passes over the training pages."""
    batch_tokens: Annotated[int, Field(gt=0)] = 8192
    """Tokens of a step, padding counted."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """At its peak: a short linear rise, then a cosine to a thirtieth."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of values that are dropped in training."""
    evaluations: Annotated[int, Field(ge=1)] = 6
    """So many checkpoints are scored on the validation pages; the best is kept."""
    seed: int = 0
    """Of initialisation, order and dropout."""
    card: str = ""
    """What the card says beside recipe and scores: credits of the data, limits (Markdown)."""
