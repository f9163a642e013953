"""Settings of the target corpus of a selection."""

from pydantic import field_validator, model_validator

from prox_spark.corpora.formats import FORMATS
from prox_spark.section import Section
from prox_spark.suggest import unknown

STORE = "store"
"""Format name for a store as the target."""


class TargetConfig(Section):
    """The target corpus: read like ``input``, or the documents or a refinement of a store."""

    path: str | list[str]
    """Like ``input.path``; with the format ``store``, a store."""
    format: str
    """Like ``input.format``, or ``store``."""
    columns: dict[str, str] = {}
    """Like ``input.columns``."""
    refinement: str | None = None
    """With the format ``store``: ``NAME`` or ``NAME:VERSION``, whose refined texts are the target. Default: all documents."""

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FORMATS and name != STORE:
            raise ValueError(unknown("format", name, [*FORMATS, STORE]))
        return name

    @model_validator(mode="after")
    def _of_a_store(self) -> "TargetConfig":
        if self.format == STORE and (not isinstance(self.path, str) or self.columns):
            raise ValueError("format store takes one path and no columns")
        if self.format != STORE and self.refinement is not None:
            raise ValueError(
                f"refinement is set, but format {self.format} has no refinements; use it with format store"
            )
        return self
