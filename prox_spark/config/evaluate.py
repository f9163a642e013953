"""Settings of ``evaluate``."""

from typing import Annotated

from pydantic import Field, model_validator

from prox_spark.section import Section


class EvaluateConfig(Section):
    """Measurement of refiners on labels, and of models that were pretrained on refined text."""

    pages: list[str] = []
    """Files of labelled pages (``doc_id``, ``raw_content`` or ``text``, ``gold_keep``), to measure the chunk stage."""
    documents: list[str] = []
    """Files of labelled documents (``doc_id``, ``text``, ``gold_keep_doc``), to measure the document stage."""
    models: list[str] = []
    """Folders of causal models, from ``pretrain`` or elsewhere. The first is the baseline. No refinement is run for them."""
    perplexity: list[str] = []
    """Files of clean held-out text (JSON lines, plain, ``.gz`` or ``.zst``; Parquet; or a plain ``.txt``), to measure the
    models' perplexity, in total and by ``source``."""
    perplexity_bytes: Annotated[int, Field(gt=0)] | None = None
    """Read only about this many bytes from the start of each of these files."""
    text_key: str = "text"
    """Key or column of the text in these files."""
    window: Annotated[int, Field(ge=8)] | None = None
    """Tokens per window. Default: the model's context, at most 2,048."""
    suite: str | None = None
    """Tasks for the models: ``general`` or ``math``, or the path of a suite's file; needs the extra ``harness``."""
    tasks: str | None = None
    """Folder with additional task files of lm-evaluation-harness for a suite."""
    output: str = "evaluation"
    """Output folder for ``evaluation.json``, ``thresholds.svg``, ``compute.svg``, a store for each labelled file and the
    measurements of each model. All tasks must be able to read its path."""
    thresholds: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1)] = [
        round(0.05 * step, 2) for step in range(1, 20)
    ]
    """Values of ``execution.drop_line_below`` and ``drop_document_below`` to compare."""

    @model_validator(mode="after")
    def _something(self) -> "EvaluateConfig":
        if not self.pages and not self.documents and not self.models:
            raise ValueError("set evaluate.pages, evaluate.documents or evaluate.models (or several of them)")
        for key in ("perplexity", "suite", "tasks"):
            if getattr(self, key) and not self.models:
                raise ValueError(f"evaluate.{key} is measured on evaluate.models, which is empty")
        return self
