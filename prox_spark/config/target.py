"""What ``adapt`` is told of the corpus that a selection aims at."""

from pydantic import field_validator, model_validator

from prox_spark.corpora.formats import FORMATS
from prox_spark.section import Section
from prox_spark.suggest import unknown

STORE = "store"
"""The format of a target that is a store."""


class TargetConfig(Section):
    """The corpus that chosen documents resemble: read as ``input`` is, or the documents or a refinement of a store."""

    path: str | list[str]
    """As ``input.path``; with the format ``store`` a store."""
    format: str
    """As ``input.format``, or ``store``."""
    columns: dict[str, str] = {}
    """As ``input.columns``."""
    refinement: str | None = None
    """With the format ``store``: ``NAME`` or ``NAME:VERSION``, whose refined texts are the target; all documents unless given."""

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
            raise ValueError(f"refinement is given, which format {self.format} has not; it belongs to format store")
        return self
