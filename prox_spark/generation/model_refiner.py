"""The refiner in a model's folder.

A model folder may have a ``refiner.json``::

    {"name": "…", "context": 2048,
     "document": {"template": "lines/1", "window": 2000, "decision": ["keep", "drop"]},
     "chunk": {"template": "lines/1", "window": 1500, "max_tokens": 256, "numbering": "document", "grammar": false}}

A stage with a ``label`` is a token classifier, which writes no program: the probability of that label (a name in
``config.json``'s ``id2label``) is read at the last token of each line, or at the first token of a document. ``int8`` says that
such a model keeps its F1 in whole numbers of 8 bits: the engine ``onnx`` then uses them.
A folder without ``refiner.json`` is taken for a released ProX refiner.
"""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from prox_spark.config.engines import ModelSettings, OnnxSettings, OpenaiSettings, VllmSettings, answering_options
from prox_spark.engines.digests import file_digest
from prox_spark.engines.models import refiner_folder
from prox_spark.errors import RefinerError
from prox_spark.generation.refiner import Numbering, Overrides, Refiner, Stage
from prox_spark.generation.templates import template
from prox_spark.programs.grammar import DOCUMENT_EBNF, EBNF
from prox_spark.section import Section

_DIGESTED = ("config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json")
_DIGESTED_OLD = ("vocab.json", "merges.txt", "added_tokens.json")
_WEIGHTS = "*.safetensors"


class _StageFile(Section):
    template: str
    window: Annotated[int, Field(gt=0)]
    max_tokens: Annotated[int, Field(ge=0)] = 1
    numbering: Numbering = "document"
    decision: tuple[str, str] | None = None
    label: str | None = None
    grammar: bool = False
    int8: bool = False


class _RefinerFile(Section):
    name: str
    context: Annotated[int, Field(gt=0)]
    document: _StageFile | None = None
    chunk: _StageFile | None = None


_RELEASED = {
    # ProX cuts documents at 2,000 tokens; its answer is `drop_doc()` or `keep_doc()`.
    "document": _StageFile(template="prox-llama2/1", window=2000, max_tokens=10),
    # ProX, appendix on inference: chunks of 1,500 tokens, 256 tokens of output, lines numbered through the document.
    "chunk": _StageFile(template="prox-plain/1", window=1500, max_tokens=256),
}


def model_refiner(stage: Stage, settings: ModelSettings, given: Overrides) -> Refiner:
    """The refiner in the folder of these settings. Reads (and digests) its files. Raises ``RefinerError``."""
    folder = refiner_folder(settings)
    name, context, own = _read(folder, stage)
    template_name = given.template or own.template
    template(template_name)
    decision = own.decision if stage == "document" else None
    label = _label(folder, own.label) if own.label else None
    held = (own.grammar if given.grammar is None else given.grammar) and decision is None and label is None
    return Refiner(
        stage=stage,
        name=name or Path(settings.model).name,
        kind="model",
        sources=_sources(folder, settings),
        revision=settings.revision,
        template=template_name,
        numbering=own.numbering,
        window=given.window or own.window,
        context=context,
        max_tokens=0 if own.label else given.max_tokens or own.max_tokens,
        decision=decision,
        label=label,
        grammar=(DOCUMENT_EBNF if stage == "document" else EBNF) if held else None,
        options=_options(settings, own),
    )


def _read(folder: Path, stage: Stage) -> tuple[str | None, int, _StageFile]:
    """Name, context and stage settings: of ``refiner.json``, else of the released refiners."""
    file = folder / "refiner.json"
    if not file.is_file():
        return None, _context(folder), _RELEASED[stage]
    try:
        read = _RefinerFile.model_validate_json(file.read_bytes())
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise RefinerError(f"{file}: {problems}") from None
    own = read.document if stage == "document" else read.chunk
    if own is None:
        raise RefinerError(f"{file} is not a refiner for the {stage} stage: it has no {stage!r}")
    return read.name, read.context, own


def _context(folder: Path) -> int:
    try:
        return int(_model_config(folder).get("max_position_embeddings", 2048))
    except (ValueError, TypeError) as error:
        raise RefinerError(f"{folder / 'config.json'}: max_position_embeddings is not a number: {error}") from None


def _label(folder: Path, name: str) -> int:
    """The number of a token classifier's class."""
    names = _model_config(folder).get("id2label")
    numbers = {str(value): int(key) for key, value in names.items()} if isinstance(names, dict) else {}
    if name not in numbers:
        known = ", ".join(numbers) or "none"
        raise RefinerError(f"{folder}: refiner.json sets the label {name!r}, but id2label in config.json has {known}")
    return numbers[name]


def _model_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise RefinerError(f"{folder / 'config.json'} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise RefinerError(f"{folder / 'config.json'} is empty")
    return config


def _sources(folder: Path, settings: ModelSettings) -> tuple[tuple[str, str], ...]:
    if isinstance(settings, OpenaiSettings):
        # The weights that answer are the endpoint's, whatever else is in the folder.
        return (*folder_digests(folder, weights=False), ("model", settings.model), ("prompt", settings.prompt))
    return folder_digests(folder)


def _options(settings: ModelSettings, own: _StageFile) -> tuple[tuple[str, str], ...]:
    """Engine options that change what a model answers, by name, each value as canonical JSON."""
    chosen = answering_options(settings.options) if isinstance(settings, VllmSettings) else {}
    if isinstance(settings, OnnxSettings):
        precision = settings.precision or ("int8" if own.int8 else "float32")
        # Single precision is what every engine computes where the hardware has nothing faster.
        chosen = {} if precision == "float32" else {"precision": precision}
    return tuple(
        (name, json.dumps(value, sort_keys=True, separators=(",", ":"))) for name, value in sorted(chosen.items())
    )


def folder_digests(folder: Path, *, weights: bool = True) -> tuple[tuple[str, str], ...]:
    """(name, sha256) of the files in a model's folder that change what it answers."""
    patterns = (*_DIGESTED, *_DIGESTED_OLD, *([_WEIGHTS] if weights else []))
    files = {file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    return tuple((file.name, file_digest(file)) for file in sorted(files))
