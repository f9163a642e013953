"""What ``evaluate`` is told."""

from typing import Annotated

from pydantic import Field, model_validator

from prox_spark.section import Section


class EvaluateConfig(Section):
    """Measuring the configuration's refiners on labels, and models that were pretrained on what they refined."""

    pages: list[str] = []
    """Files of labelled pages (``doc_id``, ``raw_content`` or ``text``, ``gold_keep``): the chunk stage is measured on each."""
    documents: list[str] = []
    """Files of labelled documents (``doc_id``, ``text``, ``gold_keep_doc``): the document stage is measured on each."""
    models: list[str] = []
    """Folders of causal models, of ``pretrain`` or others; the first is what the others are compared with. Nothing is
    refined for them."""
    perplexity: list[str] = []
    """Files of clean held-out text (JSON lines, plain or ``.gz`` or ``.zst``, Parquet, or one plain ``.txt``): the models'
    perplexity on each, by ``source`` too."""
    perplexity_bytes: Annotated[int, Field(gt=0)] | None = None
    """Only about so many bytes of each of those files, from its beginning."""
    text_key: str = "text"
    """Key or column of the text in those files."""
    window: Annotated[int, Field(ge=8)] | None = None
    """Tokens that a model reads at a time; its context unless given, at most 2,048."""
    suite: str | None = None
    """Tasks for the models: ``general`` or ``math``, or the path of a suite's file; needs the extra ``harness``."""
    tasks: str | None = None
    """Folder of the harness's task files that a suite may name beside the harness's own."""
    output: str = "evaluation"
    """Folder for ``evaluation.json``, ``thresholds.svg``, ``compute.svg``, a store for each labelled file and what each model
    was measured to be, on a path that all tasks see."""
    thresholds: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)] = [
        round(0.05 * step, 2) for step in range(1, 20)
    ]
    """Values of ``execution.drop_line_below`` and ``drop_document_below`` that are compared."""

    @model_validator(mode="after")
    def _something(self) -> "EvaluateConfig":
        if not self.pages and not self.documents and not self.models:
            raise ValueError("name evaluate.pages, evaluate.documents, evaluate.models or several of them")
        for key in ("perplexity", "suite", "tasks"):
            if getattr(self, key) and not self.models:
                raise ValueError(f"evaluate.{key} is measured on evaluate.models, which is empty")
        return self
