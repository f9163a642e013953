"""Set-up of each task: the refiner's prompts, vocabulary, model and training data."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from prox_spark.adapt.models import existing, new_classifier, new_writer
from prox_spark.adapt.programs import ProgramTask, Writer
from prox_spark.adapt.rows import check_packing
from prox_spark.adapt.scores import ScoreTask
from prox_spark.adapt.tokenizer import write_tokenizer
from prox_spark.adapt.windows import cut_document, encode_documents, encode_pages, windows
from prox_spark.config.adapt import AdaptConfig
from prox_spark.corpora.labels import LabelledPage, read_documents, read_pages
from prox_spark.engines.models import resolve_model
from prox_spark.errors import TrainingError
from prox_spark.generation.marks import MARKS
from prox_spark.generation.numbers import END, ENTRIES, HINTS
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import Refiner
from prox_spark.generation.templates import template
from prox_spark.generation.tokens import PromptTokenizer

_SAMPLED_LINE = 80
"""Characters of a line that a vocabulary is trained on: a template that clips lines sends few more."""
_MAX_TOKENS = {"lines": 0, "programs": 256, "documents": 1}
_TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt")
DECISION = ("keep", "drop")
"""The words with which a causal model answers about a document."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that training needs."""

    refiner: Refiner
    model: Any
    task: Any
    examples: int


def template_of(settings: AdaptConfig) -> str:
    """The template used in training."""
    if settings.template is not None:
        return template(settings.template).name
    if settings.base is None:
        return "numbered/1" if settings.task == "programs" else "marked/2"
    return "text/1" if settings.task == "lines" else "lines/1"


def make_recipe(settings: AdaptConfig, folder: Path) -> Recipe:
    """Read the pages, write the tokenizer into ``folder``, and set up model and task.

    Raises ``TrainingError`` if the pages cannot be used, ``RefinerError`` if the base cannot.
    """
    import torch

    read: Any = read_documents if settings.task == "documents" else read_pages
    pages = read(settings.train)
    validation = {path: read([path]) for path in settings.validation}
    torch.manual_seed(settings.seed)
    model = _base(settings, folder) if settings.base is not None else None
    size = 0 if model is not None else _new_tokenizer(settings, pages, folder)
    context = (
        settings.context if model is None else int(getattr(model.config, "max_position_embeddings", settings.context))
    )
    refiner = refiner_of(settings, context)
    tokenizer = PromptTokenizer(folder)
    prompter = Prompter(refiner, tokenizer)
    if prompter.overhead + settings.window + refiner.max_tokens > context:
        raise TrainingError(
            f"adapt.window {settings.window}, {prompter.overhead} tokens of the template and {refiner.max_tokens} of the "
            f"answer do not fit into the model's context of {context}"
        )

    def encoded(encode: Any) -> tuple[Any, dict[str, Any]]:
        return encode(prompter, pages), {path: encode(prompter, chosen) for path, chosen in validation.items()}

    if settings.task == "programs":
        end = tokenizer.entries([END])[0] if model is None else _end_of(model, settings)
        hints = None
        if model is None:
            remove, keep = tokenizer.entries(HINTS)
            hints = (remove, keep)
        model = model or new_writer(settings.shape, size, context, settings.dropout, end)
        writer = Writer(prompter, end, hints)
        task: Any = ProgramTask(writer, *encoded(encode_pages), settings, refiner.max_tokens)
    elif settings.task == "documents":
        kept, dropped = tokenizer.decision_ids(DECISION)
        documents = encoded(encode_documents)
        task = ScoreTask(lambda document, _: cut_document(prompter, document), *documents, settings, (dropped, kept))
    else:
        model = model or new_classifier(settings.shape, size, context, settings.dropout)
        task = ScoreTask(lambda page, size: windows(prompter, page, size), *encoded(encode_pages), settings)
    if settings.packing:
        check_packing(model, [np.arange(1, 9), np.arange(5, 21), np.arange(3, 10)])
    return Recipe(refiner, model, task, len(pages))


def refiner_of(settings: AdaptConfig, context: int) -> Refiner:
    """The refiner as ``refiner.json`` will describe it."""
    scored = settings.task == "lines"
    numbered = template(template_of(settings)).numbered
    return Refiner(
        stage="document" if settings.task == "documents" else "chunk",
        name=settings.name,
        kind="model",
        sources=(),
        template=template_of(settings),
        numbering="chunk" if numbered else "none" if scored else "document",
        window=settings.window,
        context=context,
        max_tokens=_MAX_TOKENS[settings.task],
        decision=DECISION if settings.task == "documents" else None,
        label=1 if scored else None,
    )


def _base(settings: AdaptConfig, folder: Path) -> Any:
    """The base's model; its tokenizer goes into ``folder``."""
    base = resolve_model(str(settings.base), settings.revision)
    for pattern in _TOKENIZER_FILES:
        for file in base.glob(pattern):
            shutil.copy2(file, folder / file.name)
    return existing(base, causal=settings.task != "lines")


def _new_tokenizer(settings: AdaptConfig, pages: Sequence[LabelledPage], folder: Path) -> int:
    lines = chain.from_iterable(page.text.split("\n") for page in pages)
    sampled = (line[:_SAMPLED_LINE] for line in lines)
    if settings.task == "programs":
        special = (*MARKS, *HINTS, END)
        return write_tokenizer(folder, sampled, settings.shape.vocabulary, special, ENTRIES)
    return write_tokenizer(folder, sampled, settings.shape.vocabulary, MARKS)


def _end_of(model: Any, settings: AdaptConfig) -> int:
    end = model.generation_config.eos_token_id
    end = end[0] if isinstance(end, list) else end
    if end is None:
        raise TrainingError(f"adapt.base {settings.base} has no end token (eos_token_id), so a program would never end")
    return int(end)
