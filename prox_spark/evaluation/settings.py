"""What ``evaluate`` is told."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class EvaluateConfig(BaseModel):
    """Measuring the configuration's refiners on labels."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    pages: list[str] = []
    """Files of labelled pages (``doc_id``, ``raw_content`` or ``text``, ``gold_keep``): the chunk stage is measured on each."""
    documents: list[str] = []
    """Files of labelled documents (``doc_id``, ``text``, ``gold_keep_doc``): the document stage is measured on each."""
    output: str = "evaluation"
    """Folder for ``evaluation.json``, ``thresholds.svg`` and a store for each file, on a path that all tasks see."""
    thresholds: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)] = [
        round(0.05 * step, 2) for step in range(1, 20)
    ]
    """Values of ``execution.drop_line_below`` and ``drop_document_below`` that are compared."""

    @model_validator(mode="after")
    def _something(self) -> "EvaluateConfig":
        if not self.pages and not self.documents:
            raise ValueError("name evaluate.pages, evaluate.documents or both")
        return self
